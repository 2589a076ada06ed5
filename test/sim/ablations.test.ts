import { describe, expect, it } from 'vitest';
import type { FindingKind } from './checkers.ts';
import type { SimStore, WrapStore } from './gateway.ts';
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

const SEEDS = 10;

describe('the checkers see it when', () => {
  it.each(Object.entries(ABLATIONS))('%s', async (_, { wrap, seen }) => {
    const kinds = new Set<FindingKind>();
    for (let seed = 1; seed <= SEEDS && !kinds.has(seen); seed++) {
      const { findings } = await simulate(seed, { wrap });
      for (const { kind } of findings) kinds.add(kind);
    }
    expect([...kinds]).toContain(seen);
  });
});
