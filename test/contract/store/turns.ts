import { describe, expect, it } from 'vitest';
import type { Bench } from './fixture.ts';

/** `maxConcurrentExecutions` of a job: the others wait their turn. */
export function turnsContract(bench: Bench): void {
  const limit = (max?: number) =>
    bench.store.syncDefinitions([
      {
        kind: 'job',
        name: 'work',
        etag: `${max}`,
        ...(max === undefined ? {} : { maxConcurrentExecutions: max }),
      },
    ]);
  const claimed = async () => (await bench.claim()).map(({ execution }) => execution.name);
  const ended = async (execution: string, result = bench.exit(0)) => {
    const key = { execution, index: 0, attempt: 0 };
    await bench.start(key);
    await bench.finish(key, result);
  };
  const waits = async (name: string) => (await bench.store.getExecution(name))?.waits;

  describe('maxConcurrentExecutions', () => {
    it('lets so many run, the others in the order of their creation', async () => {
      await limit(2);
      const [a, b, c, d] = [
        await bench.created(),
        await bench.created(),
        await bench.created(),
        await bench.created(),
      ];
      const other = await bench.created({}, { job: 'free' });
      expect(await waits(c)).toBe('turn');
      expect(await claimed()).toEqual([a, b, other]);
      await ended(b);
      expect([await waits(c), await waits(d)]).toEqual(['room', 'turn']);
      expect(await claimed()).toEqual([c]);
      await ended(a, bench.broken('OOM_KILLED', 'x'));
      // It has retries left: its turn is still its own.
      expect(await claimed()).toEqual([a]);
    });

    it('tells with the end of an attempt whether a turn has passed on with it', async () => {
      await limit(1);
      const [a, b] = [await bench.created(), await bench.created()];
      await claimed();
      const finish = (execution: string) => bench.finish({ execution, index: 0, attempt: 0 }, bench.exit(0));
      await bench.start({ execution: a, index: 0, attempt: 0 });
      expect((await finish(a)).turnPassedOn).toBe(true);
      // Who asks again may have missed the answer.
      expect((await finish(a)).turnPassedOn).toBe(true);
      expect((await bench.attempt(bench.exit(0))).turnPassedOn).toBe(false);
      expect((await bench.store.getExecution(b))?.state).toBe('SUCCEEDED');
    });

    it('passes the turn on where its execution is cancelled, before and after its start', async () => {
      await limit(1);
      const [a, b, c] = [await bench.created(), await bench.created(), await bench.created()];
      await bench.store.cancelExecution(a, 'ann');
      expect(await claimed()).toEqual([b]);
      await bench.store.cancelExecution(b, 'ann');
      expect(await claimed()).toEqual([]);
      await ended(b, { ...bench.exit(0), state: 'CANCELLED', reason: 'CANCELLED' });
      expect(await claimed()).toEqual([c]);
    });

    it('forgets one that is cancelled while it waits for its turn', async () => {
      await limit(1);
      const [a, b, c] = [await bench.created(), await bench.created(), await bench.created()];
      await bench.store.cancelExecution(b, 'ann');
      expect(await claimed()).toEqual([a]);
      await ended(a);
      expect(await claimed()).toEqual([c]);
    });

    it('counts what is decided as what is asked for, and a repeated call once', async () => {
      await limit(1);
      const event = await bench.accepted('1');
      const cause = { kind: 'event', event, trigger: 't' } as const;
      const first = bench.execution({}, { cause });
      await bench.store.decide({
        event,
        decisions: [{ trigger: 't', outcome: 'matched', reason: 'x', execution: first }],
      });
      const second = bench.execution();
      await bench.store.createExecution(second);
      await bench.store.createExecution(second);
      expect(await claimed()).toEqual([first.name]);
      expect(await waits(second.name)).toBe('turn');
    });

    it('counts also what was there before the limit, and takes a new limit at once', async () => {
      const [a, b, c, d] = [
        await bench.created(),
        await bench.created(),
        await bench.created(),
        await bench.created(),
      ];
      expect((await bench.claim(1)).map(({ execution }) => execution.name)).toEqual([a]);
      await limit(1);
      expect(await claimed()).toEqual([]);
      await limit(3);
      expect(await claimed()).toEqual([b, c]);
      await limit(1);
      await ended(a);
      expect(await waits(d)).toBe('turn');
      await limit();
      expect(await claimed()).toEqual([d]);
    });

    it('stands for what is left of a job that is no longer defined, which is all kept', async () => {
      await limit(1);
      const [a, b] = [await bench.created(), await bench.created()];
      await bench.store.syncDefinitions([]);
      expect(await claimed()).toEqual([a]);
      await ended(a);
      expect(await claimed()).toEqual([b]);
      const { items } = await bench.store.listExecutions({ job: 'work' }, { size: 10 });
      expect(items.map(({ name }) => name)).toEqual([b, a]);
      expect(await bench.store.listAttempts(a, 0)).toHaveLength(1);
      expect(await bench.store.expiredExecutions(10)).toEqual([]);
    });

    it('is the same after a restart', async () => {
      await limit(1);
      const [a, b] = [await bench.created(), await bench.created()];
      await bench.start((await bench.claim())[0]?.attempt ?? { execution: a, index: 9, attempt: 9 });
      const epoch = await bench.epoch();
      const store = await bench.fixture.reopen();
      const claim = async () =>
        (await store.claimAttempts({ engine: 'docker', epoch, limit: 9, maxParallelism: 9 })).claims.length;
      expect(await claim()).toBe(0);
      await store.finishAttempt({
        key: { execution: a, index: 0, attempt: 0 },
        epoch,
        result: bench.exit(0),
        logBytes: null,
      });
      expect((await store.getExecution(b))?.waits).toBe('room');
      expect(await claim()).toBe(1);
    });
  });
}
