import type { Attempt, AttemptKey, Task } from '../core/execution.ts';
import type { LogChunk, LogReadParams, LogSink, LogStream } from '../core/log-sink.ts';
import type { Clock } from '../core/clock.ts';
import { isTerminal } from '../core/states.ts';
import type { HttpStore } from './deps.ts';

/** How soon a follower sees that an attempt has ended or that another began. */
const POLL_MS = 500;

export interface FollowParams {
  readonly store: HttpStore;
  readonly logs: LogSink;
  readonly clock: Clock;
  readonly execution: string;
  readonly index: number;
  /** The attempt to begin with. */
  readonly attempt: number;
  /** Position within that attempt to continue after. */
  readonly after: number | undefined;
  readonly stream: LogStream | undefined;
  readonly signal: AbortSignal;
}
export interface FollowedChunk {
  readonly attempt: number;
  readonly chunk: LogChunk;
}

/**
 * The output of a task as it comes, from one attempt on through all that follow it, until the task has ended (or
 * is gone) or `signal` aborts. The store says when an attempt has ended, not the sink: an attempt that never ran
 * has no writer whose end one could wait for, and one that another process ended was closed long ago.
 */
export async function* followTask(params: FollowParams): AsyncGenerator<FollowedChunk> {
  let after = params.after;
  for (let attempt = params.attempt; ; attempt++) {
    const row = await waitForAttempt(params, attempt);
    if (row === undefined) return;
    for await (const chunk of followAttempt(params, row, after)) yield { attempt, chunk };
    if (params.signal.aborted) return;
    after = undefined;
  }
}

/** The output of one attempt as it comes, until its end is stored or `signal` aborts. */
export async function* followAttempt(
  params: FollowParams,
  row: Pick<Attempt, 'execution' | 'index' | 'attempt' | 'state'>,
  after: number | undefined,
): AsyncGenerator<LogChunk> {
  if (isTerminal(row.state)) return yield* read(params, row, after, {});
  const ended = new AbortController();
  const signal = AbortSignal.any([params.signal, ended.signal]);
  // The log is closed before the end of an attempt is stored: then all of it is there.
  const end = waitForEnd(params, row.attempt, signal).finally(() => ended.abort());
  // Awaited below; until then a failure must not count as unhandled.
  end.catch(() => undefined);
  try {
    // One reader to the end: it knows what it has told.
    yield* read(params, row, after, { follow: true, signal: params.signal, ended: ended.signal });
    await end;
  } finally {
    ended.abort();
  }
}

function read(
  { logs, stream }: FollowParams,
  key: AttemptKey,
  position: number | undefined,
  more: Pick<LogReadParams, 'follow' | 'signal' | 'ended'>,
): AsyncIterable<LogChunk> {
  const { execution, index, attempt } = key;
  return logs.read(
    { execution, index, attempt },
    {
      ...more,
      ...(stream === undefined ? {} : { stream }),
      ...(position === undefined ? {} : { after: position }),
    },
  );
}

/** undefined where there will be no such attempt, or `signal` aborted. */
async function waitForAttempt(params: FollowParams, attempt: number): Promise<Attempt | undefined> {
  while (!params.signal.aborted) {
    // The task first: once it has ended, the attempts read after that are all there will ever be.
    const task = await params.store.getTask(params.execution, params.index);
    const row = await findAttempt(params, attempt);
    if (row !== undefined) return row;
    if (hasEnded(task)) return undefined;
    await pause(params.clock, params.signal);
  }
  return undefined;
}

async function waitForEnd(params: FollowParams, attempt: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const row = await findAttempt(params, attempt);
    if (row === undefined || isTerminal(row.state)) return;
    await pause(params.clock, signal);
  }
}

async function findAttempt(params: FollowParams, attempt: number): Promise<Attempt | undefined> {
  const attempts = await params.store.listAttempts(params.execution, params.index);
  return attempts.find((row) => row.attempt === attempt);
}

const hasEnded = (task: Task | undefined): boolean => task === undefined || isTerminal(task.state);

/** Until the next look, or the abort. */
export function pause(clock: Clock, signal: AbortSignal, ms = POLL_MS): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.setTimer(ms, done);
    if (signal.aborted) done();
    else signal.addEventListener('abort', done);
  });
}
