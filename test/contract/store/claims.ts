import { describe, expect, it } from 'vitest';
import { ENGINE, expectCode, keyOf } from './fixture.ts';
import type { Bench } from './fixture.ts';
import type { Claim } from '../../../src/core/store.ts';

const names = (claims: readonly Claim[]): string[] =>
  claims.map(({ attempt: { execution, index, attempt } }) => `${execution}/${index}/${attempt}`);

export function claimsContract(bench: Bench): void {
  describe('createExecution', () => {
    it('stores it as given, and a repeated call answers what is stored', async () => {
      const given = bench.execution(
        { taskCount: 3 },
        { labels: { team: 'x' }, context: { event: { id: '1' } } },
      );
      const stored = await bench.store.createExecution(given);
      const counters = { running: 0, succeeded: 0, failed: 0, cancelled: 0, retried: 0 };
      expect(stored).toMatchObject({ ...given, state: 'PENDING', counters, createTime: bench.clock.now() });
      expect(await bench.store.createExecution(given)).toEqual(stored);
      const stranger = { ...given, uid: bench.fixture.ids.uid() };
      await expectCode(bench.store.createExecution(stranger), 'CONFLICT');
    });
  });

  describe('claimAttempts', () => {
    it('writes the intent: execution and task RUNNING, attempt STARTING under its name for ever', async () => {
      const name = await bench.created();
      await bench.clock.advance(10);
      const [claim] = await bench.claim();
      const now = bench.clock.now();
      expect(claim?.execution).toMatchObject({
        name,
        state: 'RUNNING',
        startTime: now,
        counters: { running: 1 },
      });
      expect(claim?.attempt).toMatchObject({
        execution: name,
        index: 0,
        attempt: 0,
        state: 'STARTING',
        engine: ENGINE,
        createTime: now,
        containerName: `${bench.store.instance()}-${name}-t0-a0`,
        startTime: null,
        deadline: null,
        endTime: null,
        stopReason: null,
        rendered: null,
        logBytes: null,
      });
      expect(await bench.store.getTask(name, 0)).toMatchObject({
        state: 'RUNNING',
        attempts: 1,
        startTime: now,
      });
      expect(await bench.store.counts()).toMatchObject({ runningAttempts: 1, runningExecutions: 1 });
      expect(await bench.claim()).toEqual([]);
    });

    it('keeps to parallelism, and to the limit given where that is 0', async () => {
      const two = await bench.created({ taskCount: 5, parallelism: 2 });
      expect(names(await bench.claim())).toEqual([`${two}/0/0`, `${two}/1/0`]);
      const free = await bench.created({ taskCount: 5, parallelism: 0 });
      expect(names(await bench.claim(100, 3))).toEqual([`${free}/0/0`, `${free}/1/0`, `${free}/2/0`]);
      expect(await bench.claim(100, 3)).toEqual([]);
      expect(names(await bench.claim(1, 4))).toEqual([`${free}/3/0`]);
    });

    it('serves the execution with the fewest running tasks first, then the oldest', async () => {
      const a = await bench.created({ taskCount: 9, parallelism: 0 });
      expect(names(await bench.claim(2))).toEqual([`${a}/0/0`, `${a}/1/0`]);
      const b = await bench.created({ taskCount: 9, parallelism: 0 });
      const c = await bench.created({ taskCount: 9, parallelism: 0 });
      expect(names(await bench.claim(5))).toEqual([
        `${b}/0/0`,
        `${c}/0/0`,
        `${b}/1/0`,
        `${c}/1/0`,
        `${a}/2/0`,
      ]);
    });

    it('takes a retry that is due before a task that has not started', async () => {
      const name = await bench.created({ taskCount: 3, parallelism: 1 });
      await bench.attempt(bench.exit(1));
      expect(names(await bench.claim())).toEqual([`${name}/0/1`]);
    });

    it('leaves a retry until its time, and starts other tasks meanwhile', async () => {
      const name = await bench.created({ taskCount: 2, parallelism: 1 });
      const { task } = await bench.attempt(bench.broken('CONTAINER_LOST', 'gone'));
      expect(task).toMatchObject({ state: 'PENDING', notBefore: bench.clock.now() + 5000, infraFailures: 1 });
      expect(names([await bench.running()])).toEqual([`${name}/1/0`]);
      await bench.finish({ execution: name, index: 1, attempt: 0 }, bench.exit(0));
      expect(await bench.claim()).toEqual([]);
      await bench.clock.advance(4999);
      expect(await bench.claim()).toEqual([]);
      await bench.clock.advance(1);
      expect(names(await bench.claim())).toEqual([`${name}/0/1`]);
    });

    it('waits with a retry when the clock goes back after it fell due', async () => {
      const name = await bench.created();
      const other = await bench.created({ taskCount: 1 });
      await bench.attempt(bench.broken('CONTAINER_LOST', 'gone'));
      const due = bench.clock.now() + 5000;
      bench.clock.set(due);
      expect(names(await bench.claim(1))).toEqual([`${name}/0/1`]);
      await bench.finish({ execution: name, index: 0, attempt: 1 }, bench.broken('CONTAINER_LOST', 'gone'));
      bench.clock.set(due - 60_000);
      expect(names(await bench.claim())).toEqual([`${other}/0/0`]);
      bench.clock.set(due + 10_000);
      expect(names(await bench.claim())).toEqual([`${name}/0/2`]);
    });
  });

  describe('open attempts', () => {
    it('render, start with a deadline once, and are there after a restart', async () => {
      const name = await bench.created({ timeoutMs: 60_000 });
      const epoch = await bench.epoch();
      const [claim] = await bench.claim();
      const key = keyOf(claim?.attempt ?? { execution: '', index: 0, attempt: 0 });
      await bench.store.attemptRendered(key, epoch, { env: { I: '0' }, args: ['x'] });
      const started = await bench.store.attemptStarted({
        key,
        epoch,
        startTime: 500,
        imageDigest: 'sha256:1',
      });
      expect(started).toMatchObject({
        state: 'RUNNING',
        startTime: 500,
        deadline: 60_500,
        imageDigest: 'sha256:1',
      });
      const again = await bench.store.attemptStarted({ key, epoch, startTime: 900, imageDigest: null });
      expect(again).toEqual(started);

      const store = await bench.fixture.reopen();
      const [open, ...more] = await store.openAttempts(ENGINE);
      expect(more).toEqual([]);
      expect(open?.attempt).toEqual(started);
      expect(open?.attempt.rendered).toEqual({ env: { I: '0' }, args: ['x'] });
      expect(open?.execution).toMatchObject({ name, state: 'RUNNING' });
      expect(await store.openAttempts('another')).toEqual([]);
    });

    it('keep the first reason to stop', async () => {
      const name = await bench.created();
      const epoch = await bench.epoch();
      const key = keyOf((await bench.running()).attempt);
      expect(await bench.store.stopRequests(ENGINE)).toEqual([]);
      await bench.clock.advance(10);
      const stopped = await bench.store.requestStop(key, epoch, 'timeout');
      expect(stopped).toMatchObject({
        stopReason: 'timeout',
        stopRequestTime: bench.clock.now(),
        state: 'RUNNING',
      });
      await bench.clock.advance(10);
      expect(await bench.store.requestStop(key, epoch, 'timeout')).toEqual(stopped);
      await bench.store.cancelExecution(name, 'admin');
      expect(await bench.store.stopRequests(ENGINE)).toEqual([stopped]);
      expect(await bench.store.stopRequests('another')).toEqual([]);
      await bench.finish(key, bench.broken('TIMED_OUT', 'too long'));
      expect(await bench.store.stopRequests(ENGINE)).toEqual([]);
    });

    it('are refused by name where they do not exist or have ended', async () => {
      const name = await bench.created();
      const epoch = await bench.epoch();
      const missing = { execution: name, index: 0, attempt: 0 };
      await expectCode(bench.store.requestStop(missing, epoch, 'timeout'), 'NOT_FOUND');
      await expectCode(bench.finish(missing, bench.exit(0)), 'NOT_FOUND');
      await bench.attempt(bench.exit(0));
      await expectCode(bench.start(missing), 'ILLEGAL_TRANSITION');
    });
  });
}
