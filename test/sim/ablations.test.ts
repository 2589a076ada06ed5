import { describe, expect, it } from 'vitest';
import type { FindingKind } from './checkers.ts';
import type { SimStore, WrapStore } from './gateway.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { EXECUTOR_ABLATIONS } from './executor/ablations.ts';
import { simulateExecutor } from './executor/world.ts';
import { delegate, simulate } from './world.ts';

/** Each takes away one thing that the design rests on; a checker that does not notice is blind. */
const ABLATIONS: Readonly<Record<string, { wrap: WrapStore; seen: FindingKind }>> = {
  'identities are forgotten at once': {
    seen: 'duplicated',
    wrap: (store) => ({
      ...delegate(store),
      acceptEvents: ({ events, ...rest }) =>
        store.acceptEvents({ ...rest, events: events.map((event) => ({ ...event, rememberMs: 0 })) }),
    }),
  },
  'events are acknowledged before their commit': {
    seen: 'lost',
    wrap: (store) => ({
      ...delegate(store),
      acceptEvents: (params) => {
        store.acceptEvents(params).catch(() => undefined);
        return Promise.resolve({ outcome: 'stored', events: params.events.map(({ uid }) => ({ uid })) });
      },
    }),
  },
  'a commit that the disk refused is acknowledged all the same': {
    seen: 'lost',
    wrap: (store) => ({
      ...delegate(store),
      acceptEvents: (params) =>
        store
          .acceptEvents(params)
          .catch(() => ({ outcome: 'stored', events: params.events.map(({ uid }) => ({ uid })) })),
    }),
  },
  'the cursor moves in a commit of its own': { seen: 'lost', wrap: cursorFirst },
  'nobody looks for undecided events': {
    seen: 'stuck',
    wrap: (store) => ({ ...delegate(store), undecidedEvents: () => Promise.resolve([]) }),
  },
};

function cursorFirst(store: SimStore): SimStore {
  return {
    ...delegate(store),
    acceptEvents: async (params) => {
      if (params.state.length === 0 || params.events.length === 0) return store.acceptEvents(params);
      const moved = await store.acceptEvents({ ...params, events: [] });
      return moved.outcome === 'conflict' ? moved : store.acceptEvents({ ...params, state: [] });
    },
  };
}

const ALL: Readonly<
  Record<string, { run: (seed: number) => Promise<readonly { kind: string }[]>; seen: string }>
> = {
  ...Object.fromEntries(
    Object.entries(ABLATIONS).map(([name, { wrap, seen }]) => {
      return [name, { seen, run: async (seed: number) => (await simulate(seed, { wrap })).findings }];
    }),
  ),
  ...Object.fromEntries(
    Object.entries(EXECUTOR_ABLATIONS).map(([name, { make, seen }]) => {
      return [name, { seen, run: async (seed: number) => (await simulateExecutor(seed, make())).findings }];
    }),
  ),
};

/** Of each; `npm test` stops at the first one that tells. */
const SEEDS = 20;
const NAMES = Object.keys(ALL);
const CHAOS = process.env['TAPPET_ROUNDS'] !== undefined;

describe('the checkers see it when', () => {
  const row = chaosRow('ablations', SEEDS * NAMES.length);
  // One seed after the other, each for all of them.
  const rounds = Array.from({ length: row.rounds }, (_, i) => row.first + i).map((n) => ({
    name: NAMES[n % NAMES.length],
    seed: row.seed + 1 + Math.floor(n / NAMES.length),
  }));

  it.each(NAMES)(
    '%s',
    async (name) => {
      const seeds = rounds.filter((round) => round.name === name).map(({ seed }) => seed);
      const { run, seen } = ALL[name] ?? { run: () => Promise.resolve([]), seen: '' };
      let told = 0;
      for (const seed of seeds) {
        if (told > 0 && !CHAOS) break;
        row.begin();
        if ((await run(seed)).some(({ kind }) => kind === seen)) told++;
      }
      if (CHAOS) console.log(`${name}: seen in ${told} of ${seeds.length} seeds`);
      // A few seeds may not come to it.
      const least = seeds.length < SEEDS ? 0 : 1;
      expect(told, `${seeds.length} seeds and nothing ${seen}`).toBeGreaterThanOrEqual(least);
    },
    60_000 + 2_000 * rounds.length,
  );

  it('are the eight of R2, but for the power cut, and some more', () => {
    const eight = ['identities are forgotten', 'no fencing', 'no intent row', 'no adopt', 'no lease renew'];
    const all = [...eight, 'a commit that the disk refused', 'no drain'];
    expect(all.filter((one) => !NAMES.some((name) => name.startsWith(one)))).toEqual([]);
  });
});
