import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { TappetError } from '../../../src/core/errors.ts';
import type { Store } from '../../../src/core/store.ts';
import { minioBody } from '../../support/fake-objects.ts';
import { settle } from '../../support/manual-clock.ts';
import { StorageRig, type TriggerOptions } from '../../support/storage-rig.ts';

/**
 * Ends the gateway between two accepts: from the n-th on nothing is stored any more, before it or right after it
 * (stored, but whoever called never hears). Then another gateway goes on with what stands.
 */
class Killer {
  left = Number.POSITIVE_INFINITY;
  after = false;
  dead = false;

  wrap(store: Store): Store {
    const accept: Store['acceptEvents'] = async (params) => {
      if (this.dead) throw new TappetError('STORE_UNAVAILABLE', 'the process has ended');
      this.left--;
      if (this.left > 0) return store.acceptEvents(params);
      this.dead = true;
      if (this.after) await store.acceptEvents(params);
      throw new TappetError('STORE_UNAVAILABLE', 'the process has ended');
    };
    return new Proxy(store, {
      get: (target, name) => {
        if (name === 'acceptEvents') return accept;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }
}

type Step =
  | { readonly kind: 'put'; readonly key: string; readonly told: boolean }
  | { readonly kind: 'remove'; readonly key: string }
  | { readonly kind: 'poll' };
const key = fc.constantFrom('in/a', 'in/b', 'in/c', 'in/d b+%', 'out/x');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('put' as const), key, told: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), key }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'poll' as const }) },
);
const history = fc.record({
  versioned: fc.boolean(),
  pageSize: fc.integer({ min: 1, max: 4 }),
  existing: fc.uniqueArray(key, { maxLength: 4 }),
  steps: fc.array(step, { minLength: 1, maxLength: 10 }),
  /** The n-th accept of each life is its last. */
  lives: fc.array(fc.record({ accepts: fc.integer({ min: 1, max: 8 }), after: fc.boolean() }), {
    maxLength: 4,
  }),
});
const TRIGGERS: readonly TriggerOptions[] = [
  { name: 'skips', prefix: 'in/' },
  { name: 'runs', prefix: 'in/', existing: 'run' },
  { name: 'all' },
];

/** The trigger has seen all that was there before it. */
function isReady(row: string, value: unknown): boolean {
  const { listed, backfill } = value as { listed: boolean; backfill: unknown };
  return listed && (row !== 't/runs' || backfill === 'done');
}

let rig: StorageRig | undefined;
afterEach(() => rig?.close());

test('however often the gateway ends between two accepts, each version that a listing can see runs once', async () => {
  await fc.assert(
    fc.asyncProperty(history, async ({ versioned, pageSize, existing, steps, lives }) => {
      const one = await new StorageRig().open();
      rig = one;
      one.objects.bucket('b', versioned ? 'enabled' : 'off').pageSize = pageSize;
      for (const name of existing) one.objects.upload('b', name, 'old');
      await one.clock.advance(2000);

      const left = [...lives];
      const killer = new Killer();
      const start = async () => {
        const life = left.shift();
        Object.assign(killer, { left: life?.accepts ?? Infinity, after: life?.after ?? false, dead: false });
        one.wrap = (store) => killer.wrap(store);
        await one.start(...TRIGGERS);
      };
      const revive = async () => {
        while (killer.dead) await start();
      };
      // Uploads begin once every trigger has been there: until then they may count as from before.
      do await start();
      while (killer.dead || !(await one.rows('t/')).every(({ key: row, value }) => isReady(row, value)));

      /** Versions that stood long enough to be seen: those with a version for ever, others until they are replaced. */
      const must = new Map<string, string>();
      const may = new Set<string>();
      for (const { kind, ...rest } of steps) {
        await one.clock.advance(10);
        if (kind === 'put') {
          const { key: name, told } = rest as { key: string; told: boolean };
          const kept = one.objects.upload('b', name, 'new');
          const id = versioned ? kept.versionId : String(kept.lastModified);
          must.set(versioned ? id : name, `${id} ${name}`);
          may.add(`${id} ${name}`);
          const body = minioBody('b', kept);
          // As MinIO does with a queue: the same again until somebody takes it.
          while (told && (await one.notify(body)) !== 204) await start();
        } else if (kind === 'remove') {
          const { key: name } = rest as { key: string };
          one.objects.remove('b', name);
          if (!versioned) must.delete(name);
        } else {
          await one.poll();
        }
        await settle(5);
        await revive();
      }
      do {
        await revive();
        await one.poll();
      } while (killer.dead);

      const told = await Promise.all(
        (await one.store.listExecutions({}, { size: 1000 })).items.map(async ({ cause }) => {
          const { data } = (await one.store.getEvent(cause.kind === 'event' ? cause.event : ''))?.event ?? {};
          const { generation, name } = data as { generation: string; name: string };
          return `${cause.kind === 'event' ? cause.trigger : ''} ${generation} ${name}`;
        }),
      );
      expect(told.length).toBe(new Set(told).size);
      const runs = new Set(told);
      for (const id of must.values()) {
        expect(runs).toContain(`all ${id}`);
        if (id.includes(' in/'))
          expect([...runs]).toEqual(expect.arrayContaining([`skips ${id}`, `runs ${id}`]));
      }
      // Beyond these: versions that were told before they were replaced, and the old ones for `runs` alone.
      const others = told.filter((run) => !may.has(run.slice(run.indexOf(' ') + 1)));
      const wanted = existing.filter((name) => name.startsWith('in/')).length;
      expect(others.every((run) => run.startsWith('runs '))).toBe(true);
      expect(others.length).toBe(wanted);
      // The ledger holds what the store holds, and nothing else.
      one.objects.pageSize = 1000;
      const { versions } = await one.objects.listVersions('b', { prefix: '' });
      const rows = [...(await one.rows('o/')), ...(await one.rows('v/'))];
      expect(rows.length).toBe(versions.filter(({ deleteMarker }) => !deleteMarker).length);
      await one.close();
      rig = undefined;
    }),
    { numRuns: 40 },
  );
}, 30_000);
