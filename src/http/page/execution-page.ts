import { z } from 'zod';
import type { Attempt, Execution, Task } from '../../core/execution.ts';
import type { JobSpec } from '../../core/job.ts';
import { isTerminal } from '../../core/states.ts';
import { taskWaitText, waitText } from '../../executor/waiting.ts';
import type { HttpDeps } from '../deps.ts';
import { pageFields, parseQuery, readPage } from '../params.ts';
import type { AppContext } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { attemptUsageResource, executionUsageResource } from '../usage-resource.ts';
import { measuredText, usageText } from '../../lib/usage-text.ts';
import { clip } from '../../lib/clip.ts';
import { html, tableHead } from './html.ts';
import type { Html } from './html.ts';
import { pageResponse, refreshing } from './layout.ts';
import { logPath, logText } from './log-page.ts';
import { MAX_SCAN_BYTES, readTail, tailCost } from './log-tail.ts';
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
  readonly waitsFor: string | null;
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
  const view = deps.admission();
  const waitsOf = (task: Task) => taskWaitText(task, execution, view, now);
  const parts = await Promise.all(
    tasks.items.map(async (task) => ({
      task,
      attempts: await deps.store.listAttempts(name, task.index),
      waitsFor: waitsOf(task),
    })),
  );
  const logs = await logsOf(deps, parts);
  const decision = await decisionBehind(deps.store, execution);
  const body = html`<h1>${name}</h1>
    <section aria-label="Execution">
      ${summary(execution, whyText(execution, decision), waitText(execution, view), now)}
    </section>
    <section>
      <h2>Tasks</h2>
      ${parts.map((one) => taskPart(one, execution.spec, logs, now))}
      ${tasks.nextPageToken !== '' && html`<p class="more"><a href="${executionPath(name)}?pageToken=${encodeURIComponent(tasks.nextPageToken)}">Further tasks</a></p>`}
    </section>`;
  const still = isTerminal(execution.state) || pageToken !== undefined;
  const live = still ? {} : refreshing(executionPath(name), REFRESH_SECONDS, refresh);
  return pageResponse({ title: name, body, ...live });
}

/**
 * The ends of the newest logs, by attempt: one after another, so that a page holds one log's reader at a time, and all
 * together within a bound.
 */
async function logsOf(deps: HttpDeps, parts: readonly TaskParts[]): Promise<ReadonlyMap<Attempt, Html>> {
  const newestFirst = parts
    .flatMap(({ attempts }) => attempts.map((attempt, i) => ({ attempt, age: attempts.length - i })))
    .sort((a, b) => a.age - b.age);
  const logs = new Map<Attempt, Html>();
  let scan = MAX_SCAN_BYTES;
  for (const { attempt } of newestFirst.slice(0, LOGS_SHOWN)) {
    scan -= await tailCost(deps.logs, attempt);
    // Its own page has it.
    if (scan < 0) break;
    logs.set(attempt, logText(await readTail(deps.logs, attempt, { bytes: LOG_BYTES }), attempt));
  }
  return logs;
}

function summary(execution: Execution, why: Html, waits: string | null, now: number): Html {
  const { state, message, job, jobGeneration, spec } = execution;
  const command = [...(spec.command ?? []), ...(spec.args ?? [])].join(' ');
  return html`<dl>
    <dt>State</dt>
    <dd>${stateMark(state)} ${message ?? ''}${waits !== null && html`<span class="sub">${waits}</span>`}</dd>
    <dt>Why it ran</dt>
    <dd>${why}</dd>
    ${execution.rerunOf !== null && rerunPart(execution.rerunOf, execution)}
    <dt>Job</dt>
    <dd>${job}, generation ${jobGeneration}</dd>
    <dt>Image</dt>
    <dd><code>${spec.image}</code>${imagePart(execution)}</dd>
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
      execution.deadline !== null &&
      html`<dt>Deadline</dt>
        <dd>${exactly(execution.deadline, now)}</dd>`
    }
    ${
      execution.completionTime !== null &&
      html`<dt>Ended</dt>
        <dd>${exactly(execution.completionTime, now)}</dd>`
    }
    <dt>Took</dt>
    <dd>${took(execution, now)}</dd>
    ${
      execution.usage.attempts > 0 &&
      html`<dt>Used</dt>
        <dd>${usageText(executionUsageResource(execution.usage, spec))}</dd>`
    }
  </dl>`;
}

/** Which image the name stood for, once a container of it has started. */
function imagePart({ image }: Execution): Html | null {
  return image === null
    ? null
    : html`<span class="sub"><code>${image.repoDigest ?? image.digest}</code></span>`;
}

function rerunPart(of: string, { toRun, spec, rerunBy }: Execution): Html {
  return html`<dt>Runs again</dt>
    <dd>
      ${toRun} of ${spec.taskCount} tasks of <a href="${executionPath(of)}">${of}</a>, as
      ${rerunBy ?? 'somebody'} asked
    </dd>`;
}

function taskPart(
  { task, attempts, waitsFor }: TaskParts,
  spec: JobSpec,
  logs: ReadonlyMap<Attempt, Html>,
  now: number,
): Html {
  const waits = task.notBefore !== null && task.notBefore > now;
  const why = waitsFor === null ? '' : ` It ${waitsFor}.`;
  return html`<h3>Task ${task.index} ${stateMark(task.state)}</h3>
    ${task.message !== null && html`<p class="any">${task.message}</p>`}
    ${waits && html`<p>Tried again ${ago(task.notBefore, now)}.</p>`}
    ${!waits && attempts.length > 0 && why !== '' && html`<p>${why.trim()}</p>`}
    ${attempts.length === 0 ? html`<p class="faint">It has not started.${why}</p>` : attemptTable(attempts, spec, now)}
    ${attempts.map((attempt) => attemptLog(attempt, logs.get(attempt)))}`;
}

function attemptTable(attempts: readonly Attempt[], spec: JobSpec, now: number): Html {
  return html`<table>
    ${tableHead('Attempt', 'State', 'What happened', 'Started', 'Took')}
    <tbody>
      ${attempts.map((attempt) => attemptRow(attempt, spec, now))}
    </tbody>
  </table>`;
}

function attemptRow(attempt: Attempt, spec: JobSpec, now: number): Html {
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
      ${usedText(attempt, spec)}
    </td>
    <td data-label="Started" class="tight">${ago(startTime, now)}</td>
    <td data-label="Took" class="tight">${time}</td>
  </tr>`;
}

function usedText({ usage, endTime }: Attempt, spec: JobSpec): Html | false {
  if (usage === null) return false;
  const shown = attemptUsageResource(usage, spec);
  // Nothing to tell of one that has just begun.
  if (endTime === null && usage.measureTime === null) return false;
  const text = endTime === null ? `so far ${measuredText(shown)}` : usageText(shown);
  return html`<span class="sub">${text}</span>`;
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
