import { describe, expect, it } from 'vitest';
import type { Execution } from '../../../src/core/execution.ts';
import type { RetryPolicy } from '../../../src/core/job.ts';
import { ENGINE, HOUR, keyOf } from './fixture.ts';
import type { Bench } from './fixture.ts';

const BACKOFF: RetryPolicy = {
  backoff: 'exponential',
  initialMs: 1000,
  factor: 2,
  maxMs: 60_000,
  jitter: 'full',
};

/** Pauses and rules of retries, and what ends an execution before all of its tasks have run. */
export function retriesContract(bench: Bench): void {
  const fail = (execution: string, index = 0, attempt = 0) =>
    bench.finish({ execution, index, attempt }, bench.exit(1));
  const states = async (name: string) =>
    (await bench.store.listTasks(name, { size: 100 })).items.map(({ state }) => state);
  const get = async (name: string): Promise<Execution> => {
    const execution = await bench.store.getExecution(name);
    if (execution === undefined) throw new TypeError(`${name} is gone`);
    return execution;
  };
  const ends = async (uid: string) =>
    (await bench.store.listEvents({ origin: 'execution' }, { size: 100 })).items.filter(
      ({ event }) => event.id === uid,
    );

  describe('retry', () => {
    it('waits for the pause that was drawn, which grows with each retry', async () => {
      await bench.created({ retry: BACKOFF, maxRetries: 3 });
      for (const [random, pause] of [
        [0.25, 250],
        [0.5, 1000],
      ] as const) {
        const { attempt } = await bench.running();
        const key = keyOf(attempt);
        const epoch = await bench.epoch();
        const params = { key, epoch, result: bench.exit(1), logBytes: null, random };
        const { task, execution } = await bench.store.finishAttempt(params);
        expect(task.notBefore).toBe(bench.clock.now() + pause);
        expect(execution).toMatchObject({ waits: null, retryTime: task.notBefore });
        await bench.clock.advance(pause - 1);
        await expect(bench.running()).rejects.toThrow('nothing to claim');
        await bench.clock.advance(1);
      }
      const { attempt, execution } = await bench.running();
      expect(attempt.attempt).toBe(2);
      expect(execution.retryTime).toBeNull();
    });

    it('leaves alone what its rules do not name, and says so', async () => {
      await bench.created({ retry: { ...BACKOFF, backoff: 'none', notOnExitCodes: [2] } });
      const { task, execution } = await bench.attempt(bench.exit(2));
      expect(task).toMatchObject({ state: 'FAILED', retries: 0 });
      expect(execution.message).toBe(
        'Task 0 failed: exit code 2, which "retry" of its job does not try again.',
      );
    });
  });

  describe('maxFailedTasks', () => {
    it('0 cancels at the first failed task what waits, and asks what runs to stop', async () => {
      const name = await bench.created({ taskCount: 5, parallelism: 2, maxRetries: 0, maxFailedTasks: 0 });
      await bench.running();
      await bench.running();
      const { execution } = await fail(name);
      expect(execution).toMatchObject({ state: 'RUNNING', haltReason: 'TOO_MANY_FAILED' });
      expect(await bench.claim()).toEqual([]);
      expect(await states(name)).toEqual(['FAILED', 'RUNNING', 'CANCELLED', 'CANCELLED', 'CANCELLED']);
      expect(await bench.store.stopRequests(ENGINE)).toMatchObject([{ index: 1, stopReason: 'failures' }]);
      const last = await bench.finish(
        { execution: name, index: 1, attempt: 0 },
        { ...bench.broken('CANCELLED', 'Stopped.'), state: 'CANCELLED' },
      );
      expect(last.execution).toMatchObject({
        state: 'FAILED',
        reason: 'TOO_MANY_FAILED',
        message: 'Task 0 failed: exit code 1. The other 4 tasks were cancelled: failFast.',
        counters: { running: 0, succeeded: 0, failed: 1, cancelled: 4, retried: 0 },
      });
      expect(await ends(last.execution.uid)).toHaveLength(1);
    });

    it('lets so many tasks fail, and ends with the next', async () => {
      const name = await bench.created({ taskCount: 5, maxRetries: 0, maxFailedTasks: 1 });
      await bench.attempt(bench.exit(1));
      await bench.attempt(bench.exit(0));
      const { execution } = await bench.attempt(bench.exit(1));
      expect(execution).toMatchObject({
        state: 'FAILED',
        reason: 'TOO_MANY_FAILED',
        message:
          'Task 0 failed: exit code 1. 1 other task failed too. The other 2 tasks were cancelled: maxFailedTasks is 1.',
      });
      expect(await states(name)).toEqual(['FAILED', 'SUCCEEDED', 'FAILED', 'CANCELLED', 'CANCELLED']);
    });

    it('cancels what waits for a retry, and counts tasks, not attempts', async () => {
      const name = await bench.created({ taskCount: 2, parallelism: 2, maxRetries: 1, maxFailedTasks: 0 });
      await bench.running();
      await bench.running();
      expect((await fail(name, 1)).execution.haltReason).toBeNull();
      await bench.running();
      await fail(name, 1, 1);
      expect(await states(name)).toEqual(['RUNNING', 'FAILED']);
      // It would have a retry left, but nothing is started any more.
      expect((await fail(name)).task).toMatchObject({ state: 'CANCELLED', retries: 0 });
      expect(await get(name)).toMatchObject({ state: 'FAILED', reason: 'TOO_MANY_FAILED' });
    });

    it('has the reason of the failure where nothing was left to cancel', async () => {
      await bench.created({ maxRetries: 0, maxFailedTasks: 0 });
      const { execution } = await bench.attempt(bench.exit(1));
      expect(execution).toMatchObject({
        reason: 'NON_ZERO_EXIT_CODE',
        message: 'Task 0 failed: exit code 1.',
      });
    });
  });

  describe('deadline', () => {
    it('is of the creation, keeps what is late from starting, and fails what never ran', async () => {
      const name = await bench.created({ taskCount: 3, deadlineMs: HOUR });
      expect((await get(name)).deadline).toBe(bench.clock.now() + HOUR);
      await bench.clock.advance(HOUR - 1);
      expect(await bench.store.haltOverdue(10)).toBe(0);
      await bench.clock.advance(1);
      expect(await bench.claim()).toEqual([]);
      expect(await bench.store.haltOverdue(10)).toBe(1);
      const execution = await get(name);
      expect(execution).toMatchObject({
        state: 'FAILED',
        reason: 'DEADLINE_EXCEEDED',
        message: 'Not done within its deadline of 1h: 0 of 3 tasks had succeeded, 3 were cancelled.',
        counters: { cancelled: 3 },
        startTime: null,
      });
      expect(await states(name)).toEqual(['CANCELLED', 'CANCELLED', 'CANCELLED']);
      expect(await ends(execution.uid)).toHaveLength(1);
      expect(await bench.store.haltOverdue(10)).toBe(0);
    });

    it('takes what is late out of the line at the next claim, also one that slept or whose other task ends', async () => {
      const spec = { deadlineMs: HOUR, taskCount: 2, retry: { ...BACKOFF, initialMs: HOUR, maxMs: HOUR } };
      const slept = await bench.created({ ...spec, taskCount: 1 });
      await bench.attempt(bench.exit(1));
      const [waiting, running] = [
        await bench.created(spec),
        await bench.created({ ...spec, parallelism: 2 }),
      ];
      const [, claim] = await bench.claim(2);
      await bench.start(claim?.attempt ?? { execution: running, index: 9, attempt: 9 });
      await bench.clock.advance(HOUR);
      expect(await bench.claim()).toEqual([]);
      await bench.finish({ execution: running, index: 0, attempt: 0 }, bench.exit(0));
      for (const name of [slept, waiting, running]) expect((await get(name)).waits).toBeNull();
    });

    it('asks what runs to stop, also after a restart, and ends with its end', async () => {
      const name = await bench.created({ taskCount: 4, parallelism: 2, maxRetries: 0, deadlineMs: HOUR });
      await bench.attempt(bench.exit(0));
      await bench.attempt(bench.exit(1));
      await bench.running();
      await bench.clock.advance(HOUR);
      const store = await bench.fixture.reopen();
      expect(await store.haltOverdue(10)).toBe(1);
      const [open] = await store.openAttempts(ENGINE);
      expect(open?.attempt).toMatchObject({
        index: 2,
        stopReason: 'deadline',
        stopRequestTime: bench.clock.now(),
      });
      expect(await store.cancelExecution(name, 'ann')).toMatchObject({
        changed: true,
        execution: { cancelRequestTime: null, haltReason: 'DEADLINE_EXCEEDED' },
      });
      const epoch = await bench.epoch();
      const result = { ...bench.broken('CANCELLED', 'Stopped.'), state: 'CANCELLED' } as const;
      const key = { execution: name, index: 2, attempt: 0 };
      const { execution } = await store.finishAttempt({ key, epoch, result, logBytes: null });
      expect(execution).toMatchObject({
        state: 'FAILED',
        reason: 'DEADLINE_EXCEEDED',
        message:
          'Not done within its deadline of 1h: 1 of 4 tasks had succeeded, 1 had failed, 2 were cancelled. Task 1 failed: exit code 1.',
      });
    });

    it('does not undo a success that it came too late for', async () => {
      const name = await bench.created({ deadlineMs: HOUR });
      await bench.running();
      await bench.clock.advance(HOUR);
      await bench.store.haltOverdue(10);
      const { execution } = await bench.finish({ execution: name, index: 0, attempt: 0 }, bench.exit(0));
      expect(execution).toMatchObject({ state: 'SUCCEEDED', reason: null });
    });

    it('halts so many at a time, and leaves what has ended or is being cancelled', async () => {
      const spec = { deadlineMs: HOUR };
      await bench.created(spec);
      await bench.attempt(bench.exit(0));
      const cancelled = await bench.created(spec);
      await bench.running();
      await bench.store.cancelExecution(cancelled, 'ann');
      for (let i = 0; i < 3; i++) await bench.created(spec);
      await bench.clock.advance(2 * HOUR);
      expect(await bench.store.haltOverdue(2)).toBe(2);
      expect(await bench.store.haltOverdue(2)).toBe(1);
      expect(await bench.store.haltOverdue(2)).toBe(0);
      expect((await get(cancelled)).haltReason).toBeNull();
    });
  });
}
