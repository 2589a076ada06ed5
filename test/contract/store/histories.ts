import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isTerminal } from '../../../src/core/states.ts';
import type { AttemptResult, Execution } from '../../../src/core/execution.ts';
import type { JobSpec, RetryPolicy } from '../../../src/core/job.ts';
import { DAY, ENGINE } from './fixture.ts';
import type { Bench } from './fixture.ts';

type Step =
  | { readonly do: 'claim'; readonly limit: number }
  | { readonly do: 'start'; readonly pick: number }
  | { readonly do: 'stop'; readonly pick: number }
  | { readonly do: 'finish'; readonly pick: number; readonly exit: number }
  | { readonly do: 'cancel'; readonly pick: number }
  | { readonly do: 'halt' }
  | { readonly do: 'pass'; readonly ms: number };

const pick = fc.nat(100);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('claim' as const), limit: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('start' as const), pick }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('finish' as const), pick, exit: fc.integer({ min: -2, max: 2 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stop' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('halt' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: -3000, max: 20_000 }) }),
  },
);
const retry: RetryPolicy = { backoff: 'constant', initialMs: 2000, factor: 2, maxMs: 2000, jitter: 'full' };
const spec: fc.Arbitrary<Partial<JobSpec>> = fc.record(
  {
    taskCount: fc.integer({ min: 1, max: 5 }),
    parallelism: fc.integer({ min: 0, max: 3 }),
    maxRetries: fc.integer({ min: 0, max: 2 }),
    maxFailedTasks: fc.integer({ min: 0, max: 2 }),
    deadlineMs: fc.integer({ min: 1000, max: 60_000 }),
    retry: fc.constantFrom(retry, { ...retry, notOnExitCodes: [2] }),
  },
  { requiredKeys: ['taskCount', 'parallelism', 'maxRetries'] },
);
const MAX_PARALLELISM = 4;

/** Random lives of executions: whatever callers do, the books balance, and everything ends. */
export function historiesContract(bench: Bench): void {
  const result = (exit: number): AttemptResult => {
    if (exit === -2) return bench.broken('CONTAINER_LOST', 'gone');
    if (exit === -1) return bench.broken('CONTAINER_START_FAILED', 'no such command');
    return bench.exit(exit);
  };

  async function take(action: Step, names: readonly string[]): Promise<void> {
    if (action.do === 'pass') return bench.clock.set(bench.clock.now() + action.ms);
    if (action.do === 'halt') return void (await bench.store.haltOverdue(2));
    if (action.do === 'claim') return void (await bench.claim(action.limit, MAX_PARALLELISM));
    if (action.do === 'cancel') {
      return void (await bench.store.cancelExecution(names[action.pick % names.length] ?? '', 'ann'));
    }
    const open = await bench.store.openAttempts(ENGINE);
    const attempt = open[action.pick % Math.max(1, open.length)]?.attempt;
    if (attempt === undefined) return;
    if (action.do === 'start') await bench.start(attempt);
    else if (action.do === 'stop') await bench.store.requestStop(attempt, await bench.epoch(), 'timeout');
    else if (attempt.state === 'RUNNING' || action.exit < 0) await bench.finish(attempt, result(action.exit));
  }

  async function checkBooks(name: string): Promise<Execution> {
    const execution = await bench.store.getExecution(name);
    if (execution === undefined) throw new TypeError(`${name} is gone`);
    const { counters, spec: job, state } = execution;
    const { items: tasks } = await bench.store.listTasks(name, { size: 100 });
    const inState = (wanted: string): number => tasks.filter((task) => task.state === wanted).length;
    expect(tasks).toHaveLength(execution.toRun);
    expect([counters.running, counters.succeeded, counters.failed]).toEqual(
      ['RUNNING', 'SUCCEEDED', 'FAILED'].map(inState),
    );
    expect(counters.retried).toBe(tasks.filter(({ retries }) => retries > 0).length);
    expect(counters.running).toBeLessThanOrEqual(job.parallelism || MAX_PARALLELISM);
    if (isTerminal(state)) {
      expect(counters.running + inState('PENDING')).toBe(0);
      expect(counters.succeeded + counters.failed + counters.cancelled).toBe(execution.toRun);
      expect(counters.cancelled).toBe(inState('CANCELLED'));
    }
    for (const task of tasks) {
      const attempts = await bench.store.listAttempts(name, task.index);
      expect(attempts.map(({ attempt }) => attempt)).toEqual([...Array(task.attempts).keys()]);
      expect(attempts.filter(({ endTime }) => endTime === null)).toHaveLength(
        task.state === 'RUNNING' ? 1 : 0,
      );
      expect(task.retries).toBeLessThanOrEqual(job.maxRetries);
    }
    return execution;
  }

  /** Lets every execution run to its end. */
  async function runOut(): Promise<void> {
    for (let round = 0; round < 200; round++) {
      bench.clock.set(bench.clock.now() + DAY);
      await bench.store.haltOverdue(100);
      await bench.claim(100, MAX_PARALLELISM);
      const open = await bench.store.openAttempts(ENGINE);
      if (open.length === 0) return;
      for (const { attempt } of open) {
        await bench.start(attempt);
        await bench.finish(attempt, bench.exit(0));
      }
    }
    throw new Error('something never ends');
  }

  /** Every task succeeds once, over the re-runs of an execution. */
  async function checkRerun(name: string): Promise<void> {
    const { counters, toRun, spec: job } = await checkBooks(name);
    const again = `${name}-r`;
    const params = { of: name, uid: bench.fixture.ids.uid(), name: again, by: 'ann' };
    const answer = await bench.store.rerunExecution(params);
    expect(answer?.outcome).toBe(counters.succeeded === toRun ? 'nothing' : 'created');
    if (answer?.outcome !== 'created') return;
    await checkBooks(again);
    const indexes = async (of: string, succeeded: boolean): Promise<number[]> =>
      (await bench.store.listTasks(of, { size: 100 })).items
        .filter(({ state }) => (state === 'SUCCEEDED') === succeeded)
        .map(({ index }) => index);
    expect(await indexes(again, false)).toEqual(await indexes(name, false));
    await runOut();
    const { state } = await checkBooks(again);
    // `runOut` lets a day pass before each claim.
    expect(state).toBe(job.deadlineMs === undefined ? 'SUCCEEDED' : 'FAILED');
  }

  describe('random histories', () => {
    it('keep counters, parallelism and attempts right, and every execution ends with one event', async () => {
      const histories = fc.asyncProperty(
        fc.array(spec, { minLength: 1, maxLength: 3 }),
        fc.array(step, { maxLength: 30 }),
        async (specs, steps) => {
          const names: string[] = [];
          for (const job of specs) names.push(await bench.created(job));
          for (const action of steps) {
            await take(action, names);
            for (const name of names) await checkBooks(name);
          }
          await runOut();
          for (const name of names) {
            const { state, uid, reason, counters } = await checkBooks(name);
            expect(isTerminal(state)).toBe(true);
            if (state === 'SUCCEEDED') expect(counters).toMatchObject({ failed: 0, cancelled: 0 });
            if (state === 'FAILED') {
              const late = reason === 'DEADLINE_EXCEEDED';
              expect([counters.failed > 0 || late, reason !== null]).toEqual([true, true]);
            }
            const { items } = await bench.store.listEvents({ origin: 'execution' }, { size: 1000 });
            expect(items.filter(({ event }) => event.id === uid)).toHaveLength(1);
            await checkRerun(name);
          }
        },
      );
      await fc.assert(histories, { numRuns: 25 });
    });
  });
}
