import type { ContainerSpec, Runner } from '../../../src/core/runner.ts';
import type { FindingKind } from './checkers.ts';
import type { ExecStore, Wraps } from './gateway.ts';

/**
 * Each takes away one thing that the executor rests on, outside of the product; `make` for each run anew. A checker that
 * does not notice is blind.
 */
export const EXECUTOR_ABLATIONS: Readonly<Record<string, { make: () => Wraps; seen: FindingKind }>> = {
  'no fencing: whoever comes gets the engine, and nobody is refused': { make: noFencing, seen: 'limit' },
  'no intent row: a container’s name does not follow from what is stored': {
    make: noIntent,
    seen: 'overlap',
  },
  'no adopt: what an earlier process started is not taken over': {
    make: () => ({ store: (store) => override(store, { openAttempts: () => Promise.resolve([]) }) }),
    seen: 'stuck',
  },
  'no lease renew: it ends while its owner lives': {
    make: () => ({ store: (store) => override(store, { renewEngine: () => Promise.resolve() }) }),
    seen: 'overlap',
  },
  'no drain: SIGTERM ends the process at once': {
    make: () => ({ stop: (gateway) => Promise.resolve(gateway.kill()) }),
    seen: 'lost',
  },
  'every failure is stored as if it had been the infrastructure’s': {
    make: () => ({
      store: (store) =>
        override(store, {
          finishAttempt: ({ result, ...rest }) =>
            store.finishAttempt({
              ...rest,
              result: result.state === 'FAILED' ? { ...result, reason: 'CONTAINER_LOST' } : result,
            }),
        }),
    }),
    seen: 'lie',
  },
};

/** The same store, some methods of which are others. */
function override(store: ExecStore, methods: Partial<ExecStore>): ExecStore {
  return new Proxy(store, {
    get: (inner, key): unknown => {
      const value: unknown = Reflect.get(methods, key) ?? Reflect.get(inner, key);
      return typeof value === 'function' ? value.bind(inner) : value;
    },
  });
}

/** Every write says that it is the newest owner's. */
function noFencing(): Wraps {
  let epoch = 0;
  const now = <T extends { readonly epoch: number }>(params: T): T => ({ ...params, epoch });
  return {
    store: (store) =>
      override(store, {
        acquireEngine: async (engine, _, leaseMs) => {
          const lease = await store.acquireEngine(engine, 'anyone', leaseMs);
          if (lease.held) epoch = lease.epoch;
          return lease;
        },
        renewEngine: (engine, _, leaseMs) => store.renewEngine(engine, epoch, leaseMs),
        claimAttempts: (params) => store.claimAttempts(now(params)),
        attemptStarted: (params) => store.attemptStarted(now(params)),
        attemptRendered: (key, _, rendered) => store.attemptRendered(key, epoch, rendered),
        requestStop: (key, _, reason) => store.requestStop(key, epoch, reason),
        finishAttempt: (params) => store.finishAttempt(now(params)),
      }),
  };
}

/** Each process names its containers in its own way, so that the next one does not find them. */
function noIntent(): Wraps {
  return {
    runner: (runner, life) => {
      const named = (name: string): string => `${name}-l${life}`;
      const methods: Partial<Runner> = {
        ensure: (spec: ContainerSpec, ...rest) => runner.ensure({ ...spec, name: named(spec.name) }, ...rest),
        logs: (name, ...rest) => runner.logs(named(name), ...rest),
        inspect: (name) => runner.inspect(named(name)),
        usage: (name) => runner.usage(named(name)),
        stop: (name, graceMs) => runner.stop(named(name), graceMs),
        kill: (name) => runner.kill(named(name)),
        remove: (name) => runner.remove(named(name)),
      };
      return new Proxy(runner, {
        get: (inner, key): unknown => {
          const value: unknown = Reflect.get(methods, key) ?? Reflect.get(inner, key);
          return typeof value === 'function' ? value.bind(inner) : value;
        },
      });
    },
  };
}
