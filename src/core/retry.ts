import type { AttemptReason, AttemptResult } from './execution.ts';
import type { RetryPolicy } from './job.ts';

export const INFRA_ATTEMPTS = 3;
/** An object store that is away is waited for: nothing ran yet, so that a new attempt costs nothing. About 6 min. */
export const INPUT_ATTEMPTS = 8;
/** The same of a registry that counts pulls, and of a disk that somebody clears. */
export const IMAGE_ATTEMPTS = 8;
/**
 * Infrastructure failures that may pass; each gets a new attempt after a pause, until a task has had so many. Inputs
 * and images are counted apart: a store that was away for a minute must not make the first lost container the last.
 */
const PASSING: ReadonlyMap<AttemptReason, number> = new Map([
  // Nobody answers: where there is no network, a name that is not on the engine is soon told as such.
  ['IMAGE_PULL_FAILED', INFRA_ATTEMPTS],
  ['IMAGE_RATE_LIMITED', IMAGE_ATTEMPTS],
  ['IMAGE_DISK_FULL', IMAGE_ATTEMPTS],
  ['CONTAINER_LOST', INFRA_ATTEMPTS],
  ['ENGINE_RESTARTED', INFRA_ATTEMPTS],
  ['ENGINE_REFUSED', INFRA_ATTEMPTS],
  ['INPUT_FAILED', INPUT_ATTEMPTS],
  // The attempt itself has waited long for the store; the next one has to do the work again.
  ['OUTPUT_FAILED', INFRA_ATTEMPTS],
]);
/** Infrastructure failures that will not pass by themselves: the task fails at once, its retries untouched. */
const LASTING: ReadonlySet<AttemptReason> = new Set([
  'IMAGE_NOT_FOUND',
  'IMAGE_UNAUTHORIZED',
  'CONTAINER_START_FAILED',
  'RENDER_FAILED',
  'SECRET_UNREADABLE',
  'INPUT_UNAVAILABLE',
  'OUTPUT_REFUSED',
]);
/** 5 s, 10 s, 20 s … at most 120 s: the shape that Kestra and Nomad use for pulls. */
const INFRA_BACKOFF_MS = 5_000;
const INFRA_BACKOFF_MAX_MS = 120_000;

export interface RetryInput {
  readonly result: AttemptResult;
  readonly maxRetries: number;
  readonly policy?: RetryPolicy | undefined;
  /** In [0, 1): drawn by the caller, once for each end, as a transaction may run twice. Absent = the whole pause. */
  readonly random?: number | undefined;
  /** Retries that the task has used, before this attempt. */
  readonly retries: number;
  /** Infrastructure failures of the task before this attempt that count with this one: see `countsWith`. */
  readonly infraFailures: number;
  /** A cancel, or a halt of the execution: nothing is started any more. */
  readonly cancelRequested: boolean;
  /** No other is started, though it may have been an infrastructure failure: its container may run on unseen. */
  readonly final?: boolean | undefined;
  readonly now: number;
}
export type NextStep =
  | { readonly task: 'SUCCEEDED' | 'CANCELLED' }
  /** `byRule`: it had retries left, but its job's `retry` leaves an end like this one as it is. */
  | { readonly task: 'FAILED'; readonly byRule?: true }
  | { readonly task: 'PENDING'; readonly counts: 'retry' | 'infra'; readonly notBefore: number };

export const isInfraFailure = (reason: AttemptReason): boolean => PASSING.has(reason) || LASTING.has(reason);

/** Whether two infrastructure failures share one number of tries. */
export const countsWith = (one: AttemptReason, other: AttemptReason): boolean =>
  PASSING.has(one) && PASSING.has(other) && kindOf(one) === kindOf(other);

function kindOf(reason: AttemptReason): 'image' | 'input' | 'other' {
  if (reason === 'INPUT_FAILED') return 'input';
  return reason.startsWith('IMAGE_') ? 'image' : 'other';
}

/**
 * What follows an attempt's end. Pure; every store calls it inside the transaction that ends the attempt.
 *
 * | the attempt                      | the task                                                             |
 * |----------------------------------|----------------------------------------------------------------------|
 * | succeeded                        | SUCCEEDED, also where a cancel came too late for it                  |
 * | was cancelled, or failed after a | CANCELLED                                                            |
 * | cancel or a halt                 |                                                                      |
 * | infrastructure, will not pass,   | FAILED                                                               |
 * | or the last whatever it was      |                                                                      |
 * | infrastructure, may pass         | PENDING after a pause, until it has had its tries; then FAILED       |
 * | ended by the user's code         | no retry left, or `retry` rules it out: FAILED; else PENDING, at     |
 * |                                  | once or after the pause of `retry`                                   |
 *
 * A crash before that transaction leaves the attempt open and its container ended: whoever takes it up draws another
 * pause. After it, the time of the next attempt is in the task's row.
 */
export function nextStep(input: RetryInput): NextStep {
  const { result } = input;
  // A success stands, also where a cancel came too late for it.
  if (result.state !== 'FAILED') return { task: result.state };
  if (input.cancelRequested) return { task: 'CANCELLED' };
  if (input.final === true || LASTING.has(result.reason)) return { task: 'FAILED' };
  const most = PASSING.get(result.reason);
  if (most !== undefined) {
    if (input.infraFailures + 1 >= most) return { task: 'FAILED' };
    const pause = Math.min(INFRA_BACKOFF_MS * 2 ** input.infraFailures, INFRA_BACKOFF_MAX_MS);
    return { task: 'PENDING', counts: 'infra', notBefore: input.now + pause };
  }
  if (input.retries >= input.maxRetries) return { task: 'FAILED' };
  const { policy } = input;
  if (policy === undefined) return { task: 'PENDING', counts: 'retry', notBefore: input.now };
  if (!isRetried(policy, result)) return { task: 'FAILED', byRule: true };
  const pause = retryPause(policy, input.retries, input.random);
  return { task: 'PENDING', counts: 'retry', notBefore: input.now + pause };
}

/** Whether the policy wants another attempt after one that the user's code ended so. */
function isRetried(policy: RetryPolicy, { reason, exitCode }: AttemptResult): boolean {
  const { onExitCodes, notOnExitCodes, onReasons } = policy;
  // After a stop or the kernel's kill the code is not the program's own word.
  const code = reason === 'NON_ZERO_EXIT_CODE' ? exitCode : null;
  if (code !== null && notOnExitCodes?.includes(code) === true) return false;
  if (onExitCodes === undefined && onReasons === undefined) return true;
  if (code !== null && onExitCodes?.includes(code) === true) return true;
  return onReasons?.some((one) => one === reason) === true;
}

/** Whole ms before the retry after `retries` others; `random` in [0, 1), absent = without jitter. */
function retryPause(policy: RetryPolicy, retries: number, random?: number): number {
  const { backoff, initialMs, factor, maxMs, jitter } = policy;
  if (backoff === 'none') return 0;
  const full = backoff === 'constant' ? initialMs : Math.min(initialMs * factor ** retries, maxMs);
  return Math.round(jitter === 'full' && random !== undefined ? full * random : full);
}
