import { describe, expect, it } from 'vitest';
import type { Room, Claim } from '../../../src/core/store.ts';
import { HOUR } from './fixture.ts';
import type { Bench } from './fixture.ts';

const GIB = 1024 ** 3;
/** 8 GiB and 16 cores to give out. */
const ROOM: Room = {
  host: { cpus: 2, memoryBytes: 8 * GIB },
  settings: { cpuOvercommit: 8, memoryReserveBytes: 0 },
  charges: [],
  reserved: null,
};
const held = (gib: number, endBy: number) => ({ memoryBytes: gib * GIB, cpuMillis: 1000, endBy });
const names = (claims: readonly Claim[]): string[] =>
  claims.map(({ attempt: { execution, index } }) => `${execution}/${index}`);

/** What a claim admits, by the size of the host. */
export function roomContract(bench: Bench): void {
  const gib = (n: number, more = {}) => bench.created({ memoryBytes: n * GIB, ...more });

  describe('claimAttempts with a room', () => {
    it('claims what fits beside what is open, and names the first that does not', async () => {
      const [a, b, c] = [await gib(4), await gib(3), await gib(2)];
      const { claims, reserved, more } = await bench.claimed({ room: ROOM });
      expect(names(claims)).toEqual([`${a}/0`, `${b}/0`]);
      const by = bench.clock.now() + 60_000 + 630_000;
      expect([reserved, more]).toEqual([{ execution: c, by }, false]);
      expect((await bench.store.getExecution(c))?.waits).toBe('room');
      const later = await bench.claimed({ room: { ...ROOM, charges: [held(6, HOUR)] } });
      expect(names(later.claims)).toEqual([`${c}/0`]);
      expect(later.reserved).toBeNull();
    });

    it('counts cores, several times over', async () => {
      const name = await gib(1 / 128, { cpu: 2, taskCount: 20, parallelism: 0 });
      expect(names((await bench.claimed({ room: ROOM })).claims)).toHaveLength(8);
      expect((await bench.store.getExecution(name))?.counters.running).toBe(8);
    });

    it('lets small ones go ahead of a large one only where they do not put it off', async () => {
      const large = await gib(6);
      const long = await gib(1, { timeoutMs: 9 * HOUR });
      const beside = await gib(2, { timeoutMs: 9 * HOUR });
      const short = await gib(1, { timeoutMs: 1000 });
      const charges = [held(4, bench.clock.now() + HOUR)];
      const { claims, reserved } = await bench.claimed({ room: { ...ROOM, charges } });
      expect(names(claims)).toEqual([`${long}/0`, `${short}/0`]);
      expect(reserved).toEqual({ execution: large, by: bench.clock.now() + HOUR });
      expect((await bench.store.getExecution(beside))?.state).toBe('PENDING');
    });

    it('goes on waiting for the one that an earlier claim named, whoever stands before it now', async () => {
      const large = await gib(6, { taskCount: 2, parallelism: 2 });
      const first = await bench.claimed({ room: ROOM });
      expect(names(first.claims)).toEqual([`${large}/0`]);
      const { reserved } = first;
      expect(reserved?.execution).toBe(large);
      // One that has nothing running stands before it, and would take what it waits for.
      const small = await gib(3, { timeoutMs: 9 * HOUR });
      const charges = [held(3, bench.clock.now() + HOUR)];
      const then = await bench.claimed({ room: { ...ROOM, charges, reserved } });
      expect([names(then.claims), then.reserved?.execution]).toEqual([[], large]);
      const last = await bench.claimed({ room: { ...ROOM, reserved } });
      expect(names(last.claims)).toEqual([`${large}/1`]);
      expect(last.reserved?.execution).toBe(small);
    });

    it('forgets the one it waited for once that is cancelled', async () => {
      const large = await gib(6);
      const small = await gib(3, { timeoutMs: 9 * HOUR });
      const room = { ...ROOM, charges: [held(4, bench.clock.now() + HOUR)] };
      const { reserved } = await bench.claimed({ room });
      await bench.store.cancelExecution(large, 'ann');
      const then = await bench.claimed({ room: { ...room, reserved } });
      expect([names(then.claims), then.reserved]).toEqual([[`${small}/0`], null]);
    });

    it('looks past many that do not fit for one that does', async () => {
      const long = { timeoutMs: 9 * HOUR };
      // The second kind would fit, but puts off the first.
      for (let i = 0; i < 60; i++) await Promise.all([gib(6), gib(3, long)]);
      const small = await gib(1, { timeoutMs: 1000 });
      const charges = [held(4, bench.clock.now() + HOUR)];
      expect(names((await bench.claimed({ room: { ...ROOM, charges } })).claims)).toEqual([`${small}/0`]);
    });

    it('keeps to the line among those that go ahead, whatever their sizes', async () => {
      await gib(6);
      const [a, b] = [await gib(1, { taskCount: 2, parallelism: 2 }), await gib(0.25)];
      const [c, d] = [await gib(1), await gib(0.5)];
      const charges = [held(4, bench.clock.now() + HOUR)];
      const { claims } = await bench.claimed({ room: { ...ROOM, charges } });
      expect(names(claims)).toEqual([`${a}/0`, `${b}/0`, `${c}/0`, `${d}/0`, `${a}/1`]);
    });

    it('ends at once what can never fit, wherever it stands, without an attempt', async () => {
      const waiting = await gib(6);
      const [large, wide] = [await gib(9, { taskCount: 3 }), await gib(1, { cpu: 3 })];
      const room = { ...ROOM, charges: [held(4, HOUR)] };
      expect((await bench.claimed({ room, limit: 0 })).claims).toEqual([]);
      const failed = await bench.store.getExecution(large);
      expect(failed).toMatchObject({ state: 'FAILED', reason: 'NEVER_FITS', startTime: null });
      expect(failed?.message).toMatch(/needs 9 GiB of memory.* has 8 GiB/);
      expect(failed?.counters).toMatchObject({ failed: 0, cancelled: 3 });
      expect((await bench.store.getExecution(wide))?.message).toMatch(/needs 3 cores.* has 2 cores/);
      expect(await bench.store.listAttempts(large, 0)).toEqual([]);
      expect((await bench.store.getTask(large, 2))?.state).toBe('CANCELLED');
      expect((await bench.store.getExecution(waiting))?.state).toBe('PENDING');
      const [event] = (await bench.store.listEvents({ origin: 'execution' }, { size: 1 })).items;
      expect(event?.event.data).toMatchObject({ state: 'FAILED', reason: 'NEVER_FITS' });
    });

    it('ends what is too large for a small host when its turn comes, and lets nothing wait behind it', async () => {
      const large = await gib(0.5);
      const small = await gib(1 / 8);
      const room = { ...ROOM, host: { cpus: 2, memoryBytes: GIB / 4 } };
      expect(names((await bench.claimed({ room })).claims)).toEqual([`${small}/0`]);
      expect((await bench.store.getExecution(large))?.reason).toBe('NEVER_FITS');
    });

    it('ends only so many of those in one call, and tells that there is more', async () => {
      // Found by its memory wherever it stands, or by its cores at the head of the line.
      for (let i = 0; i < 30; i++) await Promise.all([gib(9), gib(1, { cpu: 1 })]);
      const small = await gib(1, { cpu: 0.25 });
      const room = { ...ROOM, host: { cpus: 0.5, memoryBytes: 8 * GIB } };
      const first = await bench.claimed({ room });
      expect([names(first.claims), first.more]).toEqual([[], true]);
      const { items } = await bench.store.listExecutions({ state: 'FAILED' }, { size: 100 });
      expect(items).toHaveLength(50);
      const then = await bench.claimed({ room });
      expect([names(then.claims), then.more]).toEqual([[`${small}/0`], false]);
    });

    it('does not start one past its deadline that got its turn in the same call', async () => {
      const limit = { kind: 'job', name: 'work', etag: '1', maxConcurrentExecutions: 1 } as const;
      await bench.store.syncDefinitions([limit]);
      await gib(9);
      const late = await gib(1, { deadlineMs: HOUR });
      await bench.clock.advance(HOUR);
      expect((await bench.claimed({ room: ROOM })).claims).toEqual([]);
      expect((await bench.store.getExecution(late))?.startTime).toBeNull();
    });

    it('leaves one alone whose tasks run, though the host has become too small for the others', async () => {
      const wide = await gib(4, { taskCount: 3, parallelism: 2 });
      await bench.claimed({ limit: 1 });
      const small = await gib(1);
      const room = { ...ROOM, host: { cpus: 2, memoryBytes: 2 * GIB } };
      expect(names((await bench.claimed({ room })).claims)).toEqual([`${small}/0`]);
      expect((await bench.store.getExecution(wide))?.state).toBe('RUNNING');
      const key = { execution: wide, index: 0, attempt: 0 };
      await bench.start(key);
      await bench.finish(key, bench.exit(0));
      await bench.claimed({ room });
      const ended = await bench.store.getExecution(wide);
      expect(ended).toMatchObject({ state: 'FAILED', reason: 'NEVER_FITS' });
      expect(ended?.counters).toMatchObject({ succeeded: 1, cancelled: 2 });
    });
  });
}
