import type { Attempt, AttemptReason, AttemptResult, StopReason } from '../core/execution.ts';
import type { JobSpec } from '../core/job.ts';
import { KILLED_WITH_ENGINE } from '../core/runner.ts';
import type { ContainerStatus, Exit } from '../core/runner.ts';
import { formatDuration } from '../lib/duration.ts';
import { formatSize } from '../lib/size.ts';

export type Ended = Extract<ContainerStatus, { state: 'exited' | 'missing' }>;
type StopFields = Pick<Attempt, 'stopReason' | 'stopRequestTime'>;
/** What this process saw itself, which the engine's answer does not tell. */
export interface Seen {
  /** It ran when its stop was already requested. */
  readonly ranAfterStopRequest: boolean;
  /** It was to be told to end, and ended before it was. */
  readonly endedUntold: boolean;
  /** The engine was away, or restarted, around the end. */
  readonly engineWasAway: boolean;
  /** What it had in use when it was last measured; null = not known. */
  readonly lastMemoryBytes: number | null;
}
const NOTHING_SEEN: Seen = {
  ranAfterStopRequest: false,
  endedUntold: false,
  engineWasAway: false,
  lastMemoryBytes: null,
};
/** Of its memory: whoever had so much in use and was killed from outside was most likely killed for it. */
const NEARLY_FULL = 0.95;
const RESTARTED = 'The container engine was restarted while it ran, and ended it.';
type SpecFields = Pick<JobSpec, 'timeoutMs' | 'gracePeriodMs' | 'memoryBytes'>;

/**
 * How an attempt ended, from what the engine says and what was asked of it. Pure.
 *
 * | container | asked to stop before the end  | otherwise                                               |
 * |-----------|-------------------------------|---------------------------------------------------------|
 * | missing   | TIMED_OUT / CANCELLED         | CONTAINER_LOST                                          |
 * | exited    | FAILED TIMED_OUT / CANCELLED  | 0 → SUCCEEDED; killed for memory → OOM_KILLED; code →   |
 * |           | (with its code)               | NON_ZERO_EXIT_CODE; signal → SIGNALLED; unknown → LOST; |
 * |           |                               | killed with the engine → ENGINE_RESTARTED; killed by    |
 * |           |                               | nobody known, its memory nearly full → OOM_SUSPECTED    |
 */
export function outcomeOf(
  attempt: StopFields,
  spec: SpecFields,
  ended: Ended,
  now: number,
  seen: Seen = NOTHING_SEEN,
): AttemptResult {
  const endTime = ended.state === 'exited' ? ended.endTime : now;
  const exit = ended.state === 'exited' ? ended.exit : null;
  const { stopReason, stopRequestTime } = attempt;
  // What ended before anybody asked is judged by its own end. The times are of two clocks: what was seen counts more.
  if (stopReason !== null && (seen.ranAfterStopRequest || endTime >= (stopRequestTime ?? 0)))
    return stopped(stopReason, spec, exit, endTime, seen);
  if (exit === null) return failed('CONTAINER_LOST', LOST, null, endTime);
  if (seen.engineWasAway && !exit.oomKilled && KILLED_WITH_ENGINE.has(exit.exitCode))
    return failed('ENGINE_RESTARTED', withWords(RESTARTED, exit), exit, endTime);
  return byExit(exit, spec, endTime, seen);
}

const LOST = 'The container is gone, and nobody here removed it; its exit code is not known.';
const UNKNOWN = 'The container ended, but the engine does not know how.';

const STOP_WORDS: Readonly<Record<Exclude<StopReason, 'timeout'>, string>> = {
  cancel: 'Cancelled',
  deadline: 'Stopped at the deadline of its execution',
  failures: 'Stopped because too many other tasks had failed',
};

/** Who or what stopped it, as the beginning of a sentence. */
export const stopWords = (reason: StopReason | null): string =>
  reason === null || reason === 'timeout' ? STOP_WORDS.cancel : STOP_WORDS[reason];

function stopped(
  reason: StopReason,
  spec: SpecFields,
  exit: Exit | null,
  endTime: number,
  { endedUntold }: Seen,
): AttemptResult {
  const how = endedUntold ? howEnded(exit) : howStopped(exit, spec);
  if (reason === 'timeout') {
    return failed(
      'TIMED_OUT',
      `It ran longer than ${formatDuration(spec.timeoutMs)}; ${how}.`,
      exit,
      endTime,
    );
  }
  return {
    state: 'CANCELLED',
    reason: 'CANCELLED',
    message: `${stopWords(reason)}; ${how}.`,
    ...codes(exit),
    endTime,
  };
}

/** Before it was told to. */
function howEnded(exit: Exit | null): string {
  if (exit === null) return 'its container was gone before it was told to end';
  return `it ended by itself, with ${exitWords(exit)}, before it was told to`;
}

function howStopped(exit: Exit | null, spec: SpecFields): string {
  if (exit === null) return 'removed after SIGKILL';
  const grace = formatDuration(spec.gracePeriodMs);
  if (wasKilled(exit)) return `SIGTERM did not end it within ${grace}, so it was killed`;
  if (exit.exitCode === 143 || exit.signal === 'SIGTERM') return 'ended by SIGTERM';
  return `after SIGTERM it ended with ${exitWords(exit)}`;
}

const exitWords = ({ exitCode, signal }: Exit): string => signal ?? `exit code ${exitCode ?? 'unknown'}`;

const wasKilled = ({ exitCode, signal }: Exit): boolean => exitCode === 137 || signal === 'SIGKILL';

function byExit(exit: Exit, spec: SpecFields, endTime: number, { lastMemoryBytes }: Seen): AttemptResult {
  const memory = formatSize(spec.memoryBytes);
  if (exit.exitCode === 0) {
    const message = exit.oomKilled
      ? `Succeeded; but the kernel killed one of its processes at ${memory} of memory.`
      : 'Succeeded.';
    return { state: 'SUCCEEDED', reason: 'EXITED_ZERO', message, exitCode: 0, signal: null, endTime };
  }
  if (exit.oomKilled) return failed('OOM_KILLED', outOfMemory(exit, memory), exit, endTime);
  if (wasKilled(exit) && lastMemoryBytes !== null && lastMemoryBytes >= NEARLY_FULL * spec.memoryBytes) {
    const message = `Killed from outside when nearly all of its ${memory} of memory was in use, most likely by the kernel; raise "memory" of the job.`;
    return failed('OOM_SUSPECTED', message, exit, endTime);
  }
  if (exit.signal !== null)
    return failed('SIGNALLED', withWords(`Ended by ${exit.signal}.`, exit), exit, endTime);
  if (exit.exitCode === null) return failed('CONTAINER_LOST', withWords(UNKNOWN, exit), exit, endTime);
  const hint = EXIT_HINTS[exit.exitCode];
  const message = `Exit code ${exit.exitCode}${hint === undefined ? '.' : `: ${hint}.`}`;
  return failed('NON_ZERO_EXIT_CODE', withWords(message, exit), exit, endTime);
}

function outOfMemory(exit: Exit, memory: string): string {
  if (wasKilled(exit))
    return `Killed by the kernel: it used more than its ${memory} of memory; raise "memory" of the job.`;
  // A child was killed, and whoever waited for it gave up.
  return `The kernel killed one of its processes, which used more than its ${memory} of memory, and it ended with exit code ${exit.exitCode ?? 'unknown'}; raise "memory" of the job.`;
}

/** What shells and the kernel mean by these. */
const EXIT_HINTS: Readonly<Record<number, string>> = {
  125: 'the engine could not run the container',
  126: 'the command was found but may not be executed; check that it is a program and has the x bit',
  127: 'the command was not found in the image; check "command" and the PATH',
  130: 'ended by SIGINT',
  134: 'ended by SIGABRT, as after a failed assertion',
  137: 'ended by SIGKILL; nobody here sent it, so it may have been the kernel, short of memory',
  139: 'ended by SIGSEGV (it crashed)',
  143: 'ended by SIGTERM; nobody here sent it',
};

/** The engine's own words, where it has any, at the end. */
function withWords(message: string, exit: Exit): string {
  return exit.error === null || exit.error === '' ? message : `${message} The engine says: ${exit.error}`;
}

function failed(reason: AttemptReason, message: string, exit: Exit | null, endTime: number): AttemptResult {
  return { state: 'FAILED', reason, message, ...codes(exit), endTime };
}

function codes(exit: Exit | null): { exitCode: number | null; signal: string | null } {
  if (exit === null) return { exitCode: null, signal: null };
  return exit.signal === null
    ? { exitCode: exit.exitCode, signal: null }
    : { exitCode: null, signal: exit.signal };
}

/** An attempt that ended before its container ran. */
export function neverRan(
  state: 'FAILED' | 'CANCELLED',
  reason: AttemptReason,
  message: string,
  now: number,
): AttemptResult {
  return { state, reason, message, exitCode: null, signal: null, endTime: now };
}
