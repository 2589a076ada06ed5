import { describe, expect, it } from 'vitest';
import { DAY, ENGINE, expectCode, keyOf } from './fixture.ts';
import type { Bench } from './fixture.ts';
import type { EngineLease, HeldLease } from '../../../src/core/store.ts';

export function enginesContract(bench: Bench): void {
  describe('engines', () => {
    it('gives a free engine, keeps the epoch for its owner, and lets no other in', async () => {
      const other = await bench.fixture.another();
      expect(await bench.store.acquireEngine(ENGINE, 'a', 1000)).toEqual({ held: true, epoch: 1 });
      expect(await bench.store.acquireEngine(ENGINE, 'a', 2000)).toEqual({ held: true, epoch: 1 });
      const leaseUntil = bench.clock.now() + 2000;
      expect(await other.acquireEngine(ENGINE, 'b', 1000)).toEqual({ held: false, owner: 'a', leaseUntil });
      expect(await other.acquireEngine('second', 'b', 1000)).toEqual({ held: true, epoch: 1 });
    });

    it('gives it to another with a higher epoch that has seen its owner silent, whatever the time of day is', async () => {
      const other = await bench.fixture.another();
      await bench.store.acquireEngine(ENGINE, 'a', 1000);
      const seen = heldOf(await other.acquireEngine(ENGINE, 'b', 1000));
      await bench.clock.advance(3_600_000);
      expect(await other.acquireEngine(ENGINE, 'b', 1000)).toEqual(seen);
      expect(await other.acquireEngine(ENGINE, 'b', 1000, { ...seen, owner: 'c' })).toEqual(seen);
      await bench.store.renewEngine(ENGINE, 1, 1000);
      const renewed = heldOf(await other.acquireEngine(ENGINE, 'b', 1000, seen));
      expect(renewed.leaseUntil).toBeGreaterThan(seen.leaseUntil);
      // In the same millisecond, as the clock was set back: it is a sign of life all the same.
      await bench.store.renewEngine(ENGINE, 1, 1000);
      const again = heldOf(await other.acquireEngine(ENGINE, 'b', 1000, renewed));
      expect(await other.acquireEngine(ENGINE, 'b', 1000, again)).toEqual({ held: true, epoch: 2 });
      await expectCode(bench.store.renewEngine(ENGINE, 1, 1000), 'STALE_EPOCH');
    });

    it('renews, and ends at once on release; a release under an old epoch does nothing', async () => {
      const other = await bench.fixture.another();
      await bench.store.acquireEngine(ENGINE, 'a', 1000);
      await bench.clock.advance(900);
      await bench.store.renewEngine(ENGINE, 1, 1000);
      await bench.clock.advance(900);
      expect(await other.acquireEngine(ENGINE, 'b', 1000)).toMatchObject({ held: false });
      await bench.store.releaseEngine(ENGINE, 1);
      await expectCode(bench.store.renewEngine(ENGINE, 1, 1000), 'STALE_EPOCH');
      expect(await other.acquireEngine(ENGINE, 'b', 1000)).toEqual({ held: true, epoch: 2 });
      await bench.store.releaseEngine(ENGINE, 1);
      await other.renewEngine(ENGINE, 2, 1000);
    });

    it('keeps owner and epoch over a restart', async () => {
      await bench.store.acquireEngine(ENGINE, 'a', DAY);
      const store = await bench.fixture.reopen();
      expect(await store.acquireEngine(ENGINE, 'a', DAY)).toEqual({ held: true, epoch: 1 });
    });

    it('refuses every write about attempts under an epoch that is over, and changes nothing', async () => {
      const other = await bench.fixture.another();
      await bench.created();
      const epoch = await bench.epoch();
      const { attempt } = await bench.running();
      const key = keyOf(attempt);
      await bench.store.releaseEngine(ENGINE, epoch);
      await other.acquireEngine(ENGINE, 'b', DAY);

      const startTime = bench.clock.now();
      const result = bench.exit(0);
      const stale = [
        bench.store.claimAttempts({ engine: ENGINE, epoch, limit: 1, maxParallelism: 1 }),
        bench.store.attemptRendered(key, epoch, { env: {}, args: null }),
        bench.store.attemptStarted({ key, epoch, startTime, imageDigest: null }),
        bench.store.requestStop(key, epoch, 'timeout'),
        bench.store.finishAttempt({ key, epoch, result, logBytes: null }),
      ];
      for (const call of stale) await expectCode(call, 'STALE_EPOCH');
      const [open] = await other.openAttempts(ENGINE);
      expect(open?.attempt).toMatchObject({ ...key, state: 'RUNNING', stopReason: null, rendered: null });
      // The successor goes on with what it found.
      const finished = await other.finishAttempt({ key, epoch: epoch + 1, result, logBytes: null });
      expect(finished.execution.state).toBe('SUCCEEDED');
    });

    it('tells which engines have attempts that have not ended', async () => {
      expect(await bench.store.enginesInUse()).toEqual([]);
      await bench.created();
      await bench.store.acquireEngine('idle', 'me', DAY);
      const { attempt } = await bench.running();
      expect(await bench.store.enginesInUse()).toEqual([{ engine: ENGINE, openAttempts: 1 }]);
      // What an owner leaves behind is still there.
      const epoch = await bench.epoch();
      await bench.store.releaseEngine(ENGINE, epoch);
      expect(await bench.store.enginesInUse()).toEqual([{ engine: ENGINE, openAttempts: 1 }]);
      await bench.store.acquireEngine(ENGINE, 'me', DAY);
      const key = keyOf(attempt);
      await bench.store.finishAttempt({ key, epoch: epoch + 1, result: bench.exit(0), logBytes: null });
      expect(await bench.store.enginesInUse()).toEqual([]);
    });

    it('claims nothing for an engine that nobody holds', async () => {
      await bench.created();
      const params = { engine: 'unknown', epoch: 1, limit: 1, maxParallelism: 1 };
      await expectCode(bench.store.claimAttempts(params), 'STALE_EPOCH');
    });
  });
}

function heldOf(lease: EngineLease): HeldLease {
  if (lease.held) throw new TypeError('it was given');
  return lease;
}
