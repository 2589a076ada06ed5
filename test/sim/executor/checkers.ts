import type { StoredEvent } from '../../../src/core/event.ts';
import type { Attempt, Execution, Task } from '../../../src/core/execution.ts';
import type { Page, PageParams, QueryStore } from '../../../src/core/store.ts';
import { isTerminal } from '../../../src/core/states.ts';
import type { MemoryLogSink } from '../../support/memory-log-sink.ts';
import type { Mischief } from './mischief.ts';
import { JOBS, originOf } from './scenario.ts';
import type { SimEngine } from './sim-engine.ts';
import { checkTask } from './task-checkers.ts';

/**
 * `lost`, `duplicated`, `unexpected`: an event, an execution, an end event, a start of a container. `overlap`: a task
 * runs twice at once. `orphan`: a container that nobody ends. `stuck`: not over after quiet. `lie`: what is stored is not
 * what happened, or does not add up. `limit`: more runs, or sooner, or more often, than was allowed. `log`: output lost. `input`,
 * `output`: a container without its files, a success without what it made. `secret`: one where it can be read. `stranger`:
 * somebody else's container was touched.
 */
export type FindingKind =
  | 'lost'
  | 'duplicated'
  | 'unexpected'
  | 'overlap'
  | 'orphan'
  | 'stuck'
  | 'lie'
  | 'limit'
  | 'log'
  | 'input'
  | 'output'
  | 'secret'
  | 'stranger';
export interface Finding {
  readonly kind: FindingKind;
  readonly what: string;
}
export interface Message {
  readonly n: number;
  readonly job: string;
  acked: boolean;
}
export interface Outcome {
  readonly seed: number;
  readonly store: QueryStore;
  readonly messages: readonly Message[];
  /** Executions whose cancel was answered with a change. */
  readonly cancelled: ReadonlySet<string>;
  readonly mischief: Mischief;
  readonly engine: SimEngine;
  readonly logs: MemoryLogSink;
}

export interface Life {
  readonly task: Task;
  readonly attempts: readonly Attempt[];
}

export async function check(outcome: Outcome): Promise<Finding[]> {
  const { store } = outcome;
  const executions = await all((page) => store.listExecutions({}, page));
  const events = await all((page) => store.listEvents({}, page));
  const findings = [
    ...checkMessages(outcome.messages, events, executions),
    ...checkEnds(events, executions),
    ...checkContainers(outcome),
  ];
  for (const execution of executions) {
    const tasks = await all((page) => store.listTasks(execution.name, page));
    const lives: Life[] = [];
    for (const task of tasks)
      lives.push({ task, attempts: await store.listAttempts(execution.name, task.index) });
    findings.push(...checkExecution(execution, lives, outcome, executions));
    for (const life of lives) findings.push(...checkTask(execution, life, outcome));
  }
  return findings;
}

async function all<T>(list: (page: PageParams) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = [];
  let page = await list({ size: 1000 });
  items.push(...page.items);
  while (page.nextCursor !== null) {
    page = await list({ size: 1000, cursor: page.nextCursor });
    items.push(...page.items);
  }
  return items;
}

/** One event for a message, one execution for an event; the others are re-runs. */
function checkMessages(
  messages: readonly Message[],
  events: readonly StoredEvent[],
  executions: readonly Execution[],
): Finding[] {
  const findings: Finding[] = [];
  const known = new Set<string>();
  for (const { n, job, acked } of messages) {
    const its = events.filter(({ origin, event }) => origin === originOf(job) && event.id === `message-${n}`);
    const caused = executions.filter(
      ({ cause, rerunOf }) =>
        rerunOf === null && cause.kind === 'event' && its.some(({ uid }) => uid === cause.event),
    );
    for (const { name } of caused) known.add(name);
    const what = `message ${n}: ${its.length} events, ${caused.length} executions`;
    if (!acked) findings.push({ kind: 'stuck', what: `message ${n} was never acknowledged` });
    else if (its.length === 0 || caused.length === 0) findings.push({ kind: 'lost', what });
    if (its.length > 1 || caused.length > 1) findings.push({ kind: 'duplicated', what });
  }
  for (const { name, rerunOf } of executions)
    if (rerunOf === null && !known.has(name))
      findings.push({ kind: 'unexpected', what: `${name} has no message` });
  return findings;
}

/** Every execution ends, with one event that says how. */
function checkEnds(events: readonly StoredEvent[], executions: readonly Execution[]): Finding[] {
  const ends = events.filter(({ origin }) => origin === 'execution');
  const findings: Finding[] = [];
  for (const { uid, name, state } of executions) {
    const its = ends.filter(({ event }) => event.id === uid).map(({ event }) => event.type);
    if (!isTerminal(state)) findings.push({ kind: 'stuck', what: `${name} is ${state}` });
    const wanted = isTerminal(state) ? [`dev.tappet.execution.v1.${state.toLowerCase()}`] : [];
    if (its.join() === wanted.join()) continue;
    const kind = its.length < wanted.length ? 'lost' : its.length > wanted.length ? 'duplicated' : 'lie';
    findings.push({ kind, what: `${name} is ${state}; its events say ${its.join()}` });
  }
  if (ends.length > executions.length)
    findings.push({ kind: 'unexpected', what: `${ends.length} ends of ${executions.length} executions` });
  return findings;
}

function checkContainers({ engine, mischief: { vanished } }: Outcome): Finding[] {
  const { fake: runner, strangers } = engine;
  // One that somebody removes before its start is stored is begun again under its name: nobody can know of it.
  const twice = [...runner.starts].filter(
    ([name, count]) => count > 1 && !vanished.has(name) && !strangers.has(name),
  );
  return [
    ...twice.map(([name, count]): Finding => ({
      kind: 'duplicated',
      what: `${name} was started ${count} times`,
    })),
    ...runner
      .names()
      .map((name): Finding => ({ kind: 'orphan', what: `${name} is ${runner.statusOf(name).state}` })),
    ...[...strangers]
      .filter((name) => runner.statusOf(name).state === 'missing')
      .map((name): Finding => ({ kind: 'stranger', what: `${name}, which somebody else made, is gone` })),
  ];
}

function checkExecution(
  execution: Execution,
  lives: readonly Life[],
  { cancelled, mischief }: Outcome,
  executions: readonly Execution[],
): Finding[] {
  const { name, job, state, counters, toRun, haltReason, rerunOf } = execution;
  if (!isTerminal(state)) return [];
  const lie = (what: string): Finding => ({ kind: 'lie', what: `${name}: ${what}` });
  const of = (wanted: Task['state']): number =>
    lives.filter(({ task, attempts }) => task.state === wanted && attempts.length > 0).length;
  const { running, succeeded, failed, cancelled: ended } = counters;
  const findings: Finding[] = [];
  if (running !== 0 || succeeded + failed + ended !== toRun)
    findings.push(lie(`${JSON.stringify(counters)} of ${toRun}`));
  if (succeeded !== of('SUCCEEDED') || failed !== of('FAILED'))
    findings.push(
      lie(`${JSON.stringify(counters)}, but ${of('SUCCEEDED')} succeeded, ${of('FAILED')} failed`),
    );
  const wanted = expectedState(execution);
  if (state !== wanted) findings.push(lie(`${state}, not ${wanted}`));
  if (cancelled.has(name) && state === 'FAILED' && haltReason === null)
    findings.push(lie('FAILED after a cancel'));
  if (job === 'never' && haltReason !== 'NEVER_FITS' && execution.cancelRequestTime === null)
    findings.push({ kind: 'limit', what: `${name} should never have fitted, and is ${state}` });
  const old = executions.find((one) => one.name === rerunOf);
  if (old !== undefined && toRun !== old.toRun - old.counters.succeeded)
    findings.push(
      lie(
        `runs ${toRun} tasks of ${rerunOf}, of which ${old.counters.succeeded} of ${old.toRun} had succeeded`,
      ),
    );
  // Deadlines are times of day.
  return mischief.jumped > 0 ? findings : [...findings, ...checkHalt(execution, lives)];
}

function expectedState({ counters, toRun, haltReason, cancelRequestTime }: Execution): string {
  if (counters.succeeded === toRun) return 'SUCCEEDED';
  if (haltReason === null && cancelRequestTime !== null) return 'CANCELLED';
  return counters.failed > 0 || haltReason !== null ? 'FAILED' : 'CANCELLED';
}

/** Nothing starts after a deadline, nor after the failure that was one too many. */
function checkHalt({ name, job, deadline, spec }: Execution, lives: readonly Life[]): Finding[] {
  const most = JOBS.get(job)?.spec.maxFailedTasks ?? Infinity;
  const failures = lives
    .filter(({ task }) => task.state === 'FAILED')
    .map(({ task }) => task.completionTime ?? 0)
    .sort((a, b) => a - b);
  const last = Math.min(deadline ?? Infinity, failures[most] ?? Infinity);
  const late = lives.flatMap(({ attempts }) => attempts).filter(({ createTime }) => createTime > last);
  return late.map(({ containerName }) => ({
    kind: 'limit',
    what: `${name}: ${containerName} was claimed after its end (deadline ${spec.deadlineMs}, at most ${most} failed)`,
  }));
}
