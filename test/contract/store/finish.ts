import { describe, expect, it } from 'vitest';
import { DAY, expectCode, keyOf } from './fixture.ts';
import type { Bench } from './fixture.ts';

export function finishContract(bench: Bench): void {
  const ends = async () => (await bench.store.listEvents({ origin: 'execution' }, { size: 100 })).items;

  describe('finishAttempt', () => {
    it('ends the execution with its last task, and announces it in an event', async () => {
      const given = bench.execution({ taskCount: 2 }, { cause: { kind: 'api', principal: 'ann' } });
      await bench.store.createExecution(given);
      const first = await bench.attempt(bench.exit(0));
      expect(first).toMatchObject({
        task: { state: 'SUCCEEDED' },
        execution: { state: 'RUNNING' },
        repeated: false,
      });
      expect(await ends()).toEqual([]);
      await bench.clock.advance(1000);
      const { attempt } = await bench.running();
      const last = await bench.store.finishAttempt({
        key: keyOf(attempt),
        epoch: await bench.epoch(),
        result: bench.exit(0),
        logBytes: { stdout: 12, stderr: 0 },
      });
      expect(last.attempt).toMatchObject({
        state: 'SUCCEEDED',
        reason: 'EXITED_ZERO',
        exitCode: 0,
        signal: null,
        logBytes: { stdout: 12, stderr: 0 },
        endTime: bench.clock.now(),
      });
      const counters = { running: 0, succeeded: 2, failed: 0, cancelled: 0, retried: 0 };
      const end = { state: 'SUCCEEDED', reason: null, message: 'All 2 tasks succeeded.', counters };
      expect(last.execution).toMatchObject({ ...end, completionTime: bench.clock.now() });
      expect(await bench.store.getExecution(given.name)).toEqual(last.execution);
      expect(await ends()).toMatchObject([
        {
          origin: 'execution',
          trigger: null,
          decideTime: bench.clock.now(),
          event: {
            id: given.uid,
            source: '/jobs/work',
            type: 'dev.tappet.execution.v1.succeeded',
            subject: given.name,
            time: '2026-01-01T00:00:01.000Z',
            datacontenttype: 'application/json',
            data: { execution: given.name, job: 'work', ...end, cause: given.cause },
          },
        },
      ]);
    });

    it('retries up to maxRetries, then says in words what failed', async () => {
      const name = await bench.created({ maxRetries: 2 });
      const first = await bench.attempt(bench.exit(2));
      expect(first.task).toMatchObject({
        state: 'PENDING',
        retries: 1,
        attempts: 1,
        notBefore: bench.clock.now(),
      });
      expect(first.execution).toMatchObject({
        state: 'RUNNING',
        counters: { running: 0, retried: 1, failed: 0 },
      });
      await bench.attempt(bench.exit(2));
      const last = await bench.attempt(bench.exit(2));
      expect(last.task).toMatchObject({
        state: 'FAILED',
        retries: 2,
        attempts: 3,
        completionTime: bench.clock.now(),
      });
      const counters = { running: 0, succeeded: 0, failed: 1, cancelled: 0, retried: 1 };
      const message = 'Task 0 failed after 2 retries: exit code 2.';
      expect(last.execution).toMatchObject({
        state: 'FAILED',
        reason: 'NON_ZERO_EXIT_CODE',
        message,
        counters,
      });
      const attempts = await bench.store.listAttempts(name, 0);
      expect(attempts.map(({ attempt, exitCode }) => [attempt, exitCode])).toEqual([
        [0, 2],
        [1, 2],
        [2, 2],
      ]);
      expect((await ends())[0]?.event.type).toBe('dev.tappet.execution.v1.failed');
    });

    it('lets the other tasks go on after one has failed, and names the first', async () => {
      await bench.created({ taskCount: 3, maxRetries: 0 });
      const first = await bench.attempt(bench.broken('OOM_KILLED', 'It used more than 512 MiB of memory.'));
      expect(first.execution).toMatchObject({ state: 'RUNNING', reason: null, message: null });
      await bench.attempt(bench.exit(0));
      const { execution } = await bench.attempt(bench.exit(1));
      const message = 'Task 0 failed: it used more than 512 MiB of memory. 1 other task failed too.';
      const counters = { running: 0, succeeded: 1, failed: 2, cancelled: 0, retried: 0 };
      expect(execution).toMatchObject({ state: 'FAILED', reason: 'OOM_KILLED', message, counters });
    });

    it('leaves the user retries untouched by infrastructure, which has three tries of its own', async () => {
      await bench.created({ maxRetries: 0 });
      const lost = bench.broken('CONTAINER_LOST', 'The container is gone.');
      for (const infraFailures of [1, 2]) {
        const { task, execution } = await bench.attempt(lost);
        expect(task).toMatchObject({ state: 'PENDING', infraFailures, retries: 0 });
        expect(execution.counters.retried).toBe(0);
        await bench.clock.advance(DAY);
      }
      const { execution } = await bench.attempt(lost);
      expect(execution).toMatchObject({ state: 'FAILED', reason: 'CONTAINER_LOST' });
      expect(execution.message).toBe('Task 0 failed: the container is gone.');
    });

    it('counts failed inputs apart from all other infrastructure, each with tries of its own', async () => {
      await bench.created({ maxRetries: 0 });
      const input = bench.broken('INPUT_FAILED', 'The store does not answer.');
      const lost = bench.broken('CONTAINER_LOST', 'The container is gone.');
      for (const failure of [input, input, input, input, lost, input, input, lost, input]) {
        const { task } = await bench.attempt(failure);
        expect(task.state).toBe('PENDING');
        await bench.clock.advance(DAY);
      }
      const { task } = await bench.attempt(lost);
      expect(task).toMatchObject({ state: 'FAILED', retries: 0 });
    });

    it('takes a failure before the process ran, and no success', async () => {
      await bench.created();
      const [claim] = await bench.claim();
      const key = keyOf(claim?.attempt ?? { execution: '', index: 0, attempt: 0 });
      await expectCode(bench.finish(key, bench.exit(0)), 'ILLEGAL_TRANSITION');
      const { attempt, execution } = await bench.finish(
        key,
        bench.broken('IMAGE_NOT_FOUND', 'No such image.'),
      );
      expect(attempt).toMatchObject({ state: 'FAILED', startTime: null, exitCode: null, logBytes: null });
      expect(execution).toMatchObject({ state: 'FAILED', reason: 'IMAGE_NOT_FOUND' });
    });

    it('changes nothing when repeated, whatever it says then', async () => {
      await bench.created();
      const first = await bench.attempt(bench.exit(0));
      await bench.clock.advance(1000);
      const again = await bench.finish(first.attempt, bench.exit(9));
      expect(again).toEqual({ ...first, repeated: true, turnPassedOn: true });
      expect(await ends()).toHaveLength(1);
    });

    it('counts the same end called twice in one commit once', async () => {
      await bench.created({ taskCount: 2 });
      const { attempt } = await bench.running();
      const results = await Promise.all([
        bench.finish(attempt, bench.exit(0)),
        bench.finish(attempt, bench.exit(0)),
      ]);
      expect(results.map(({ repeated }) => repeated)).toEqual([false, true]);
      expect(results[1]?.execution.counters.succeeded).toBe(1);
    });
  });

  describe('cancelExecution', () => {
    it('ends at once what has nothing running; tasks without a row count as cancelled', async () => {
      const name = await bench.created({ taskCount: 3 });
      const result = await bench.store.cancelExecution(name, 'ann');
      const counters = { running: 0, succeeded: 0, failed: 0, cancelled: 3, retried: 0 };
      const end = { state: 'CANCELLED', reason: 'CANCELLED', message: 'Cancelled by ann.', counters };
      expect(result).toMatchObject({
        changed: true,
        execution: { ...end, cancelRequestTime: bench.clock.now() },
      });
      expect(await bench.claim()).toEqual([]);
      expect((await ends()).map(({ event }) => event.type)).toEqual(['dev.tappet.execution.v1.cancelled']);
      const again = await bench.store.cancelExecution(name, 'bob');
      expect(again).toEqual({ changed: false, execution: result?.execution });
      expect(await bench.store.cancelExecution('nope', 'ann')).toBeUndefined();
    });

    it('asks what runs to stop, starts nothing more, and ends with the last container', async () => {
      const name = await bench.created({ taskCount: 5, parallelism: 2 });
      const [a, b] = [await bench.running(), await bench.running()];
      const result = await bench.store.cancelExecution(name, 'ann');
      expect(result).toMatchObject({
        changed: true,
        execution: { state: 'RUNNING', counters: { running: 2 } },
      });
      const requests = await bench.store.stopRequests('docker');
      expect(requests.map(({ index, stopReason }) => [index, stopReason])).toEqual([
        [0, 'cancel'],
        [1, 'cancel'],
      ]);
      await bench.store.cancelExecution(name, 'bob');
      const cleanExit = await bench.finish(a.attempt, bench.exit(0));
      expect(cleanExit.attempt).toMatchObject({ state: 'SUCCEEDED', exitCode: 0, reason: 'EXITED_ZERO' });
      expect(cleanExit.task.state).toBe('SUCCEEDED');
      expect(await bench.claim()).toEqual([]);
      const cancelled = { ...bench.exit(143), state: 'CANCELLED', reason: 'CANCELLED' } as const;
      const { execution } = await bench.finish(b.attempt, cancelled);
      const counters = { running: 0, succeeded: 1, failed: 0, cancelled: 4, retried: 0 };
      expect(execution).toMatchObject({ state: 'CANCELLED', message: 'Cancelled by ann.', counters });
      expect(await ends()).toHaveLength(1);
    });

    it('comes too late for what had succeeded when it was asked for', async () => {
      const name = await bench.created({ taskCount: 2 });
      await bench.attempt(bench.exit(0));
      const { attempt } = await bench.running();
      await bench.store.cancelExecution(name, 'ann');
      const { execution, task } = await bench.finish(attempt, bench.exit(0));
      expect(task.state).toBe('SUCCEEDED');
      const message = 'All 2 tasks succeeded. A cancel was asked for after everything had succeeded.';
      const counters = { running: 0, succeeded: 2, failed: 0, cancelled: 0, retried: 0 };
      expect(execution).toMatchObject({ state: 'SUCCEEDED', reason: null, message, counters });
      expect((await ends()).map(({ event }) => event.type)).toEqual(['dev.tappet.execution.v1.succeeded']);
    });

    it('cancels tasks that wait for a retry', async () => {
      const name = await bench.created({ taskCount: 2, parallelism: 1 });
      await bench.attempt(bench.broken('CONTAINER_LOST', 'gone'));
      const result = await bench.store.cancelExecution(name, 'ann');
      expect(result?.execution).toMatchObject({ state: 'CANCELLED', counters: { cancelled: 2 } });
      expect(await bench.store.getTask(name, 0)).toMatchObject({ state: 'CANCELLED', notBefore: null });
      await bench.clock.advance(DAY);
      expect(await bench.claim()).toEqual([]);
    });

    it('gives another etag with each write', async () => {
      const name = await bench.created({ taskCount: 2 });
      const etags = [(await bench.store.getExecution(name))?.etag];
      etags.push((await bench.running()).execution.etag);
      etags.push((await bench.store.cancelExecution(name, 'ann'))?.execution.etag);
      const key = { execution: name, index: 0, attempt: 0 };
      etags.push((await bench.finish(key, bench.exit(1))).execution.etag);
      expect(new Set(etags).size).toBe(4);
    });
  });
}
