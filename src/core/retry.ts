import type { AttemptReason, AttemptResult } from './execution.ts';

/** Infrastructure failures that may pass; each gets a new attempt after a pause, at most INFRA_ATTEMPTS in a task's life. */
const PASSING: ReadonlySet<AttemptReason> = new Set([
  'IMAGE_PULL_FAILED',
  'CONTAINER_LOST',
  'ENGINE_REFUSED',
]);
/** Infrastructure failures that will not pass by themselves: the task fails at once, its retries untouched. */
const LASTING: ReadonlySet<AttemptReason> = new Set([
  'IMAGE_NOT_FOUND',
  'IMAGE_UNAUTHORIZED',
  'CONTAINER_START_FAILED',
  'RENDER_FAILED',
]);
export const INFRA_ATTEMPTS = 3;
/** 5 s, 10 s, 20 s … at most 120 s: the shape that Kestra and Nomad use for pulls. */
const INFRA_BACKOFF_MS = 5_000;
const INFRA_BACKOFF_MAX_MS = 120_000;

export interface RetryInput {
  readonly result: AttemptResult;
  readonly maxRetries: number;
  /** Retries that the task has used, before this attempt. */
  readonly retries: number;
  readonly infraFailures: number;
  readonly cancelRequested: boolean;
  readonly now: number;
}
export type NextStep =
  | { readonly task: 'SUCCEEDED' | 'FAILED' | 'CANCELLED' }
  | { readonly task: 'PENDING'; readonly counts: 'retry' | 'infra'; readonly notBefore: number };

export const isInfraFailure = (reason: AttemptReason): boolean => PASSING.has(reason) || LASTING.has(reason);

/** What follows an attempt's end. Pure; every store calls it inside the transaction that ends the attempt. */
export function nextStep(input: RetryInput): NextStep {
  const { result } = input;
  // A success stands, also where a cancel came too late for it.
  if (result.state !== 'FAILED') return { task: result.state };
  if (input.cancelRequested) return { task: 'CANCELLED' };
  if (LASTING.has(result.reason)) return { task: 'FAILED' };
  if (PASSING.has(result.reason)) {
    if (input.infraFailures + 1 >= INFRA_ATTEMPTS) return { task: 'FAILED' };
    const pause = Math.min(INFRA_BACKOFF_MS * 2 ** input.infraFailures, INFRA_BACKOFF_MAX_MS);
    return { task: 'PENDING', counts: 'infra', notBefore: input.now + pause };
  }
  if (input.retries >= input.maxRetries) return { task: 'FAILED' };
  return { task: 'PENDING', counts: 'retry', notBefore: input.now };
}
