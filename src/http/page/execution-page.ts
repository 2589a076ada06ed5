import { z } from 'zod';
import type { Attempt, Execution, Task } from '../../core/execution.ts';
import { isTerminal } from '../../core/states.ts';
import type { HttpDeps } from '../deps.ts';
import { pageFields, parseQuery, readPage } from '../params.ts';
import type { AppContext } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { clip, html, tableHead } from './html.ts';
import type { Html } from './html.ts';
import { pageResponse, refreshing } from './layout.ts';
import { logPath, logText } from './log-page.ts';
import { MAX_SCAN_BYTES, readTail } from './log-tail.ts';
import { decisionBehind } from './read.ts';
import { ago, exactly, executionPath, stateMark, tasksText, took, whyText } from './words.ts';

const TASKS_SHOWN = 20;
/** Of each attempt; all of it is a page of its own. */
const LOG_BYTES = 16 * 1024;
/** Logs on one page; what comes after is a link. */
const LOGS_SHOWN = 20;
const REFRESH_SECONDS = 5;
const COMMAND_CHARS = 500;

const QUERY = { pageToken: pageFields.pageToken, refresh: z.literal('off').optional() };

interface TaskParts {
  readonly task: Task;
  readonly attempts: readonly Attempt[];
}

/** `GET /executions/<name>`: the execution, its cause, each attempt of its tasks with its reason and its log. */
export async function executionPage(c: AppContext, deps: HttpDeps): Promise<Response> {
  const { pageToken, refresh } = parseQuery(c, QUERY);
  const name = c.req.param('name') ?? '';
  const execution = await deps.store.getExecution(name);
  if (execution === undefined) throw notFound('execution', name);
  const now = deps.clock.now();
  const tasks = await readPage({ pageSize: TASKS_SHOWN, pageToken }, (page) =>
    deps.store.listTasks(name, page),
  );
  const parts = await Promise.all(
    tasks.items.map(async (task) => ({ task, attempts: await deps.store.listAttempts(name, task.index) })),
  );
  const logs = await logsOf(deps, parts);
  const decision = await decisionBehind(deps.store, execution);
  const body = html`<h1>${name}</h1>
    <section aria-label="Execution">${summary(execution, whyText(execution, decision), now)}</section>
    <section>
      <h2>Tasks</h2>
      ${parts.map((one) => taskPart(one, logs, now))}
      ${tasks.nextPageToken !== '' && html`<p class="more"><a href="${executionPath(name)}?pageToken=${encodeURIComponent(tasks.nextPageToken)}">Further tasks</a></p>`}
    </section>`;
  const still = isTerminal(execution.state) || pageToken !== undefined;
  const live = still ? {} : refreshing(executionPath(name), REFRESH_SECONDS, refresh);
  return pageResponse({ title: name, body, ...live });
}

/**
 * The ends of the newest logs, by attempt: one after another, so that a page holds one log's reader at a time, and all
 * together no more than one may read.
 */
async function logsOf(deps: HttpDeps, parts: readonly TaskParts[]): Promise<ReadonlyMap<Attempt, Html>> {
  const newestFirst = parts
    .flatMap(({ attempts }) => attempts.map((attempt, i) => ({ attempt, age: attempts.length - i })))
    .sort((a, b) => a.age - b.age);
  const logs = new Map<Attempt, Html>();
  let scan = MAX_SCAN_BYTES;
  for (const { attempt } of newestFirst.slice(0, LOGS_SHOWN)) {
    const tail = await readTail(deps.logs, attempt, { bytes: LOG_BYTES, scan });
    // Its own page says what there is to say.
    if (tail === 'tooLong') break;
    scan -= tail.cost;
    logs.set(attempt, logText(tail, attempt));
  }
  return logs;
}

function summary(execution: Execution, why: Html, now: number): Html {
  const { state, message, job, jobGeneration, spec } = execution;
  const command = [...(spec.command ?? []), ...(spec.args ?? [])].join(' ');
  return html`<dl>
    <dt>State</dt>
    <dd>${stateMark(state)} ${message ?? ''}</dd>
    <dt>Why it ran</dt>
    <dd>${why}</dd>
    <dt>Job</dt>
    <dd>${job}, generation ${jobGeneration}</dd>
    <dt>Image</dt>
    <dd><code>${spec.image}</code></dd>
    ${
      command !== '' &&
      html`<dt>Command</dt>
        <dd><code>${clip(command, COMMAND_CHARS)}</code></dd>`
    }
    <dt>Tasks</dt>
    <dd>${tasksText(execution)}</dd>
    <dt>Created</dt>
    <dd>${exactly(execution.createTime, now)}</dd>
    <dt>Started</dt>
    <dd>${exactly(execution.startTime, now)}</dd>
    ${
      execution.completionTime !== null &&
      html`<dt>Ended</dt>
        <dd>${exactly(execution.completionTime, now)}</dd>`
    }
    <dt>Took</dt>
    <dd>${took(execution, now)}</dd>
  </dl>`;
}

function taskPart({ task, attempts }: TaskParts, logs: ReadonlyMap<Attempt, Html>, now: number): Html {
  const waits = task.notBefore !== null && task.notBefore > now;
  return html`<h3>Task ${task.index} ${stateMark(task.state)}</h3>
    ${task.message !== null && html`<p class="any">${task.message}</p>`}
    ${waits && html`<p>Tried again ${ago(task.notBefore, now)}.</p>`}
    ${attempts.length === 0 ? html`<p class="faint">It has not started.</p>` : attemptTable(attempts, now)}
    ${attempts.map((attempt) => attemptLog(attempt, logs.get(attempt)))}`;
}

function attemptTable(attempts: readonly Attempt[], now: number): Html {
  return html`<table>
    ${tableHead('Attempt', 'State', 'What happened', 'Started', 'Took')}
    <tbody>
      ${attempts.map((attempt) => attemptRow(attempt, now))}
    </tbody>
  </table>`;
}

function attemptRow(attempt: Attempt, now: number): Html {
  const { startTime, endTime, message, reason, containerName } = attempt;
  const time = took({ startTime, completionTime: endTime }, now);
  return html`<tr>
    <td data-label="Attempt">${attempt.attempt}</td>
    <td data-label="State">${stateMark(attempt.state)}</td>
    <td data-label="What happened">
      ${message ?? 'It has not ended.'}
      <span class="sub"
        >${[reason, ending(attempt), containerName].filter((part) => part !== null).join(' · ')}</span
      >
    </td>
    <td data-label="Started" class="tight">${ago(startTime, now)}</td>
    <td data-label="Took" class="tight">${time}</td>
  </tr>`;
}

function ending({ exitCode, signal }: Attempt): string | null {
  if (signal !== null) return `signal ${signal}`;
  return exitCode === null ? null : `exit code ${exitCode}`;
}

function attemptLog(attempt: Attempt, log: Html | undefined): Html {
  const path = logPath(attempt);
  if (log === undefined)
    return html`<p class="small"><a href="${path}">Log of attempt ${attempt.attempt}</a></p>`;
  return html`<details open>
    <summary>Log of attempt ${attempt.attempt}</summary>
    ${log}
    <p class="small"><a href="${path}">All of this log</a></p>
  </details>`;
}
