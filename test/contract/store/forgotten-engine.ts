import { describe, expect, it } from 'vitest';
import { DAY, ENGINE, expectCode, keyOf } from './fixture.ts';
import type { Bench } from './fixture.ts';

const LOST = {
  state: 'FAILED',
  reason: 'CONTAINER_LOST',
  message: expect.stringMatching(/^Its engine, docker, was given up for good by ann\. /) as unknown,
  exitCode: null,
  signal: null,
};

export function forgottenEngineContract(bench: Bench): void {
  const forget = () => bench.store.forgetEngine({ engine: ENGINE, by: 'ann' });
  const release = async () => bench.store.releaseEngine(ENGINE, await bench.epoch());

  describe('forgetEngine', () => {
    it('ends every open attempt without another, though it had tries left, and the execution with the last', async () => {
      const name = await bench.created({ taskCount: 3, parallelism: 0, maxRetries: 3 });
      await bench.attempt(bench.exit(0));
      const { attempt: runs } = await bench.running();
      const [starts] = await bench.claim();
      await release();
      await bench.clock.advance(1000);
      expect(await forget()).toEqual({ outcome: 'forgotten', endedAttempts: 2 });
      const endTime = bench.clock.now();
      expect(await bench.store.listAttempts(name, runs.index)).toMatchObject([{ ...LOST, endTime }]);
      expect(await bench.store.listAttempts(name, starts?.attempt.index ?? -1)).toMatchObject([
        { ...LOST, endTime },
      ]);
      expect(await bench.store.getTask(name, runs.index)).toMatchObject({
        state: 'FAILED',
        attempts: 1,
        retries: 0,
        infraFailures: 0,
        notBefore: null,
        message: LOST.message,
      });
      expect(await bench.store.getExecution(name)).toMatchObject({
        state: 'FAILED',
        reason: 'CONTAINER_LOST',
        counters: { running: 0, succeeded: 1, failed: 2, cancelled: 0, retried: 0 },
        completionTime: endTime,
      });
      expect((await bench.store.listEvents({ origin: 'execution' }, { size: 10 })).items).toMatchObject([
        { event: { type: 'dev.tappet.execution.v1.failed', subject: name } },
      ]);
    });

    it('lets the other tasks of the execution go on, on another engine too', async () => {
      const name = await bench.created({ taskCount: 2, parallelism: 1 });
      await bench.running();
      await release();
      await forget();
      expect(await bench.store.getExecution(name)).toMatchObject({ state: 'RUNNING' });
      const lease = await bench.store.acquireEngine('second', 'me', DAY);
      const epoch = lease.held ? lease.epoch : 0;
      const params = { engine: 'second', epoch, limit: 10, maxParallelism: 10 };
      const { claims } = await bench.store.claimAttempts(params);
      expect(claims.map(({ attempt }) => keyOf(attempt))).toEqual([
        { execution: name, index: 1, attempt: 0 },
      ]);
      const key = { execution: name, index: 1, attempt: 0 };
      await bench.store.attemptStarted({ key, epoch, startTime: bench.clock.now(), imageDigest: null });
      const { execution } = await bench.store.finishAttempt({
        key,
        epoch,
        result: bench.exit(0),
        logBytes: null,
      });
      expect(execution).toMatchObject({ state: 'FAILED', counters: { succeeded: 1, failed: 1 } });
    });

    it('ends as cancelled what was to be cancelled', async () => {
      const name = await bench.created();
      await bench.running();
      await bench.store.cancelExecution(name, 'bob');
      await release();
      await forget();
      expect(await bench.store.getExecution(name)).toMatchObject({
        state: 'CANCELLED',
        message: 'Cancelled by bob.',
      });
    });

    it('takes the right to write from whoever had it, also where he comes back', async () => {
      await bench.created();
      const epoch = await bench.epoch();
      const { attempt } = await bench.running();
      await release();
      await forget();
      const key = keyOf(attempt);
      const result = bench.exit(0);
      await expectCode(bench.store.finishAttempt({ key, epoch, result, logBytes: null }), 'STALE_EPOCH');
      await expectCode(bench.store.renewEngine(ENGINE, epoch, 1000), 'STALE_EPOCH');
      const lease = await bench.store.acquireEngine(ENGINE, 'me', DAY);
      expect(lease).toMatchObject({ held: true });
      expect(lease.held && lease.epoch).toBeGreaterThan(epoch + 1);
      expect(await bench.store.openAttempts(ENGINE)).toEqual([]);
      expect((await bench.store.listAttempts(key.execution, 0)).map(({ state }) => state)).toEqual([
        'FAILED',
      ]);
    });

    it('changes nothing while somebody is in charge, and does when his lease is over', async () => {
      await bench.created();
      const other = await bench.fixture.another();
      await other.acquireEngine(ENGINE, 'other', 1000);
      await other.claimAttempts({ engine: ENGINE, epoch: 1, limit: 1, maxParallelism: 1 });
      await bench.clock.advance(999);
      expect(await forget()).toEqual({ outcome: 'held' });
      expect(await bench.store.openAttempts(ENGINE)).toHaveLength(1);
      await other.renewEngine(ENGINE, 1, 1000);
      await bench.clock.advance(1000);
      expect(await forget()).toEqual({ outcome: 'forgotten', endedAttempts: 1 });
      await expectCode(other.renewEngine(ENGINE, 1, 1000), 'STALE_EPOCH');
    });

    it('is over after one time, also after a restart, and leaves other engines alone', async () => {
      await bench.created({ taskCount: 2, parallelism: 0 });
      await bench.claim(1);
      await release();
      const lease = await bench.store.acquireEngine('second', 'me', DAY);
      const epoch = lease.held ? lease.epoch : 0;
      await bench.store.claimAttempts({ engine: 'second', epoch, limit: 1, maxParallelism: 10 });
      expect(await forget()).toEqual({ outcome: 'forgotten', endedAttempts: 1 });
      expect(await forget()).toEqual({ outcome: 'forgotten', endedAttempts: 0 });
      const store = await bench.fixture.reopen();
      expect(await store.enginesInUse()).toEqual([{ engine: 'second', openAttempts: 1 }]);
      await store.renewEngine('second', epoch, DAY);
      expect(await store.forgetEngine({ engine: ENGINE, by: 'ann' })).toMatchObject({ endedAttempts: 0 });
    });

    it('that nobody has ever had is nothing', async () => {
      const nothing = { outcome: 'forgotten', endedAttempts: 0 };
      expect(await bench.store.forgetEngine({ engine: 'never', by: 'ann' })).toEqual(nothing);
    });
  });
}
