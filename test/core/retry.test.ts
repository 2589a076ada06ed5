import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ATTEMPT_REASONS } from '../../src/core/execution.ts';
import type { AttemptReason, AttemptResult } from '../../src/core/execution.ts';
import { RETRY_REASONS } from '../../src/core/job.ts';
import type { RetryPolicy } from '../../src/core/job.ts';
import {
  IMAGE_ATTEMPTS,
  INFRA_ATTEMPTS,
  countsWith,
  isInfraFailure,
  nextStep,
} from '../../src/core/retry.ts';
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
    ['then no more', input('CONTAINER_LOST', { infraFailures: INFRA_ATTEMPTS - 1 }), { task: 'FAILED' }],
    [
      'a registry that counts pulls: waited for longer',
      input('IMAGE_RATE_LIMITED', { infraFailures: IMAGE_ATTEMPTS - 2 }),
      { task: 'PENDING', counts: 'infra', notBefore: NOW + 120_000 },
    ],
    ['but not for ever', input('IMAGE_DISK_FULL', { infraFailures: IMAGE_ATTEMPTS - 1 }), { task: 'FAILED' }],
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

describe('the pause before a retry', () => {
  const after = (policy: Partial<RetryPolicy>, retries: number, random?: number): number => {
    const full: RetryPolicy = {
      backoff: 'none',
      initialMs: 1000,
      factor: 2,
      maxMs: 60_000,
      jitter: 'none',
      ...policy,
    };
    const next = nextStep(input('SIGNALLED', { maxRetries: 10, retries, policy: full, random }));
    return next.task === 'PENDING' ? next.notBefore - NOW : Number.NaN;
  };
  const pauses = (policy: Partial<RetryPolicy>, random?: number): number[] =>
    [0, 1, 2, 3, 9].map((retries) => after(policy, retries, random));

  it.each<[string, Partial<RetryPolicy>, number | undefined, number[]]>([
    ['none', { backoff: 'none' }, undefined, [0, 0, 0, 0, 0]],
    ['constant', { backoff: 'constant', initialMs: 90_000 }, 0.5, [90_000, 90_000, 90_000, 90_000, 90_000]],
    ['exponential', { backoff: 'exponential' }, 0.5, [1000, 2000, 4000, 8000, 60_000]],
    ['by another factor', { backoff: 'exponential', factor: 1.5 }, 0, [1000, 1500, 2250, 3375, 38_443]],
    ['full jitter', { backoff: 'exponential', jitter: 'full' }, 0.25, [250, 500, 1000, 2000, 15_000]],
    [
      'full jitter, nothing drawn',
      { backoff: 'constant', jitter: 'full' },
      undefined,
      [1000, 1000, 1000, 1000, 1000],
    ],
  ])('%s', (_, policy, random, wanted) => {
    expect(pauses(policy, random)).toEqual(wanted);
  });

  it('is never negative, whole, and never longer than the longest', () => {
    const policies = fc.record({
      backoff: fc.constantFrom('constant' as const, 'exponential' as const),
      initialMs: fc.integer({ min: 100, max: 60_000 }),
      factor: fc.double({ min: 1, max: 10, noNaN: true }),
      jitter: fc.constantFrom('none' as const, 'full' as const),
    });
    const draw = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(policies, fc.nat(9), draw, (policy, retries, random) => {
        const pause = after(policy, retries, random);
        expect(Number.isSafeInteger(pause)).toBe(true);
        expect(pause >= 0 && pause <= 60_000).toBe(true);
      }),
    );
  });
});

describe('rules of retries', () => {
  const CASES: [string, Partial<RetryPolicy>, string][] = [
    ['no rule', {}, '1 2 137 OOM TIMEOUT'],
    ['only these codes', { onExitCodes: [2] }, '2'],
    ['all but these codes', { notOnExitCodes: [2, 137] }, '1 OOM TIMEOUT'],
    ['only these reasons', { onReasons: ['OOM_KILLED'] }, 'OOM'],
    ['codes or reasons', { onExitCodes: [2], onReasons: ['TIMED_OUT'] }, '2 TIMEOUT'],
    ['reasons, but not these codes', { notOnExitCodes: [2], onReasons: ['NON_ZERO_EXIT_CODE'] }, '1 137'],
  ];
  const exit = (code: number, reason: AttemptReason): AttemptResult => ({
    ...result(reason),
    exitCode: code,
  });
  const ENDS: Record<string, AttemptResult> = {
    '1': exit(1, 'NON_ZERO_EXIT_CODE'),
    '2': exit(2, 'NON_ZERO_EXIT_CODE'),
    '137': exit(137, 'NON_ZERO_EXIT_CODE'),
    // The kernel's or our own kill is no word of the program's.
    OOM: exit(137, 'OOM_KILLED'),
    TIMEOUT: exit(2, 'TIMED_OUT'),
  };
  const none: RetryPolicy = { backoff: 'none', initialMs: 1, factor: 1, maxMs: 1, jitter: 'none' };

  it.each(CASES)('%s', (_, rules, wanted) => {
    const policy = { ...none, ...rules };
    const step = (end: AttemptResult, retries = 0) =>
      nextStep({ ...input('SIGNALLED'), result: end, policy, retries });
    const retried = Object.keys(ENDS).filter(
      (name) => step(ENDS[name] ?? result('SIGNALLED')).task === 'PENDING',
    );
    expect(retried.join(' ')).toBe(wanted);
    for (const end of Object.values(ENDS)) {
      const next = step(end);
      expect(next).toEqual(next.task === 'PENDING' ? next : { task: 'FAILED', byRule: true });
      // Then it is not the rule that ends it.
      expect(step(end, 3)).toEqual({ task: 'FAILED' });
    }
  });

  it('are of no use to infrastructure, which goes by its own', () => {
    const policy: RetryPolicy = { ...none, backoff: 'constant', initialMs: 77, onReasons: ['TIMED_OUT'] };
    expect(nextStep(input('CONTAINER_LOST', { policy }))).toMatchObject({
      counts: 'infra',
      notBefore: NOW + 5000,
    });
  });

  it('name every end that uses up a retry, and no other', () => {
    const own = ATTEMPT_REASONS.filter(
      (reason) => !isInfraFailure(reason) && reason !== 'EXITED_ZERO' && reason !== 'CANCELLED',
    );
    expect([...RETRY_REASONS].toSorted()).toEqual(own.toSorted());
  });
});

it('counts the tries of an image, of inputs and of all else apart', () => {
  expect(countsWith('IMAGE_PULL_FAILED', 'IMAGE_RATE_LIMITED')).toBe(true);
  expect(countsWith('IMAGE_DISK_FULL', 'CONTAINER_LOST')).toBe(false);
  expect(countsWith('IMAGE_PULL_FAILED', 'INPUT_FAILED')).toBe(false);
  expect(countsWith('CONTAINER_LOST', 'ENGINE_REFUSED')).toBe(true);
});
