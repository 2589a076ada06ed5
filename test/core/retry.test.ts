import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ATTEMPT_REASONS } from '../../src/core/execution.ts';
import type { AttemptReason, AttemptResult } from '../../src/core/execution.ts';
import { INFRA_ATTEMPTS, isInfraFailure, nextStep } from '../../src/core/retry.ts';
import type { RetryInput } from '../../src/core/retry.ts';

const NOW = 1_000_000;
function result(reason: AttemptReason, state: AttemptResult['state'] = 'FAILED'): AttemptResult {
  return { state, reason, message: '', exitCode: null, signal: null, endTime: NOW };
}
function input(reason: AttemptReason, over: Partial<RetryInput> = {}): RetryInput {
  return {
    result: result(reason),
    maxRetries: 3,
    retries: 0,
    infraFailures: 0,
    cancelRequested: false,
    now: NOW,
    ...over,
  };
}

describe('nextStep', () => {
  it.each<[string, RetryInput, ReturnType<typeof nextStep>]>([
    ['success', input('EXITED_ZERO', { result: result('EXITED_ZERO', 'SUCCEEDED') }), { task: 'SUCCEEDED' }],
    ['cancelled', input('CANCELLED', { result: result('CANCELLED', 'CANCELLED') }), { task: 'CANCELLED' }],
    [
      'a success beats a cancel',
      input('EXITED_ZERO', { result: result('EXITED_ZERO', 'SUCCEEDED'), cancelRequested: true }),
      { task: 'SUCCEEDED' },
    ],
    ['a cancel beats a retry', input('NON_ZERO_EXIT_CODE', { cancelRequested: true }), { task: 'CANCELLED' }],
    ['retried at once', input('NON_ZERO_EXIT_CODE'), { task: 'PENDING', counts: 'retry', notBefore: NOW }],
    [
      'the last retry',
      input('SIGNALLED', { retries: 2 }),
      { task: 'PENDING', counts: 'retry', notBefore: NOW },
    ],
    ['no retry left', input('OOM_KILLED', { retries: 3 }), { task: 'FAILED' }],
    ['no retries wanted', input('TIMED_OUT', { maxRetries: 0 }), { task: 'FAILED' }],
    ['image missing: lasting', input('IMAGE_NOT_FOUND'), { task: 'FAILED' }],
    [
      'pull failed: after 5 s',
      input('IMAGE_PULL_FAILED'),
      { task: 'PENDING', counts: 'infra', notBefore: NOW + 5_000 },
    ],
    [
      'then 10 s',
      input('CONTAINER_LOST', { infraFailures: 1 }),
      { task: 'PENDING', counts: 'infra', notBefore: NOW + 10_000 },
    ],
    ['then no more', input('IMAGE_PULL_FAILED', { infraFailures: INFRA_ATTEMPTS - 1 }), { task: 'FAILED' }],
    ['an input that is gone: lasting', input('INPUT_UNAVAILABLE'), { task: 'FAILED' }],
    ['a secret that cannot be read: lasting', input('SECRET_UNREADABLE'), { task: 'FAILED' }],
    ['an output that is refused: lasting', input('OUTPUT_REFUSED'), { task: 'FAILED' }],
    [
      'a store that is away before the start: waited for longer',
      input('INPUT_FAILED', { infraFailures: 6 }),
      { task: 'PENDING', counts: 'infra', notBefore: NOW + 120_000 },
    ],
    ['but not for ever', input('INPUT_FAILED', { infraFailures: 7 }), { task: 'FAILED' }],
    [
      'a store that stays away after the work: the work again',
      input('OUTPUT_FAILED', { infraFailures: 1 }),
      { task: 'PENDING', counts: 'infra', notBefore: NOW + 10_000 },
    ],
    ['three times', input('OUTPUT_FAILED', { infraFailures: 2 }), { task: 'FAILED' }],
    [
      'no output after exit code 0: the job’s own failure',
      input('OUTPUT_MISSING'),
      { task: 'PENDING', counts: 'retry', notBefore: NOW },
    ],
    [
      'infra with the retries used up',
      input('CONTAINER_LOST', { retries: 3 }),
      { task: 'PENDING', counts: 'infra', notBefore: NOW + 5_000 },
    ],
  ])('%s', (_, given, wanted) => {
    expect(nextStep(given)).toEqual(wanted);
  });

  it('ends every task, and infrastructure never uses up a retry', () => {
    const step = fc.constantFrom(
      ...ATTEMPT_REASONS.filter((reason) => reason !== 'EXITED_ZERO' && reason !== 'CANCELLED'),
    );
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 20, maxLength: 20 }),
        fc.integer({ min: 0, max: 10 }),
        (reasons, maxRetries) => {
          let retries = 0;
          let infraFailures = 0;
          let user = 0;
          for (const reason of reasons) {
            if (!isInfraFailure(reason)) user++;
            const next = nextStep(input(reason, { maxRetries, retries, infraFailures }));
            if (next.task !== 'PENDING') {
              expect(next.task).toBe('FAILED');
              if (!isInfraFailure(reason)) expect(user).toBe(maxRetries + 1);
              return;
            }
            expect(next.notBefore).toBeGreaterThanOrEqual(NOW);
            if (next.counts === 'retry') retries++;
            else infraFailures++;
            expect(next.counts === 'infra').toBe(isInfraFailure(reason));
          }
          expect.unreachable('a task that never ends');
        },
      ),
    );
  });
});
