import type { AttemptReason, AttemptResult } from './execution.ts';

export const INFRA_ATTEMPTS = 3;
/** An object store that is away is waited for: nothing ran yet, so that a new attempt costs nothing. About 6 min. */
export const INPUT_ATTEMPTS = 8;
/**
 * Infrastructure failures that may pass; each gets a new attempt after a pause, until a task has had so many. Inputs
 * are counted apart: a store that was away for a minute must not make the first lost container the last.
 */
const PASSING: ReadonlyMap<AttemptReason, number> = new Map([
  ['IMAGE_PULL_FAILED', INFRA_ATTEMPTS],
  ['CONTAINER_LOST', INFRA_ATTEMPTS],
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
  /** Retries that the task has used, before this attempt. */
  readonly retries: number;
  /** Infrastructure failures of the task before this attempt that count with this one: see `countsWith`. */
  readonly infraFailures: number;
  readonly cancelRequested: boolean;
  readonly now: number;
}
export type NextStep =
  | { readonly task: 'SUCCEEDED' | 'FAILED' | 'CANCELLED' }
  | { readonly task: 'PENDING'; readonly counts: 'retry' | 'infra'; readonly notBefore: number };

export const isInfraFailure = (reason: AttemptReason): boolean => PASSING.has(reason) || LASTING.has(reason);

/** Whether two infrastructure failures share one number of tries. */
export const countsWith = (one: AttemptReason, other: AttemptReason): boolean =>
  PASSING.has(one) && PASSING.has(other) && (one === 'INPUT_FAILED') === (other === 'INPUT_FAILED');

/** What follows an attempt's end. Pure; every store calls it inside the transaction that ends the attempt. */
export function nextStep(input: RetryInput): NextStep {
  const { result } = input;
  // A success stands, also where a cancel came too late for it.
  if (result.state !== 'FAILED') return { task: result.state };
  if (input.cancelRequested) return { task: 'CANCELLED' };
  if (LASTING.has(result.reason)) return { task: 'FAILED' };
  const most = PASSING.get(result.reason);
  if (most !== undefined) {
    if (input.infraFailures + 1 >= most) return { task: 'FAILED' };
    const pause = Math.min(INFRA_BACKOFF_MS * 2 ** input.infraFailures, INFRA_BACKOFF_MAX_MS);
    return { task: 'PENDING', counts: 'infra', notBefore: input.now + pause };
  }
  if (input.retries >= input.maxRetries) return { task: 'FAILED' };
  return { task: 'PENDING', counts: 'retry', notBefore: input.now };
}
