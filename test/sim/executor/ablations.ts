import type { AttemptKey, AttemptResult } from '../../../src/core/execution.ts';
import type { OpenLog } from '../../../src/core/log-sink.ts';
import type { ObjectStore } from '../../../src/core/objects.ts';
import type { ContainerSpec, ContainerStatus, Runner } from '../../../src/core/runner.ts';
import type { FindingKind } from './checkers.ts';
import type { ExecStore, Wraps } from './gateway.ts';
import { SECRETS } from './scenario.ts';

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
    make: () =>
      endsAs((result) => (result.state === 'FAILED' ? { ...result, reason: 'CONTAINER_LOST' } : result)),
    seen: 'lie',
  },
  'an input is left out': {
    make: () => ({ runner: (runner) => change(runner, { ensure: (spec, log) => runner.ensure(spec, log) }) }),
    seen: 'input',
  },
  'a file counts as stored before the store has it': {
    make: () => ({ objects: (objects) => ({ connection: (name) => hasty(objects.connection(name)) }) }),
    seen: 'output',
  },
  'the environment of a container stands in the row of its end': {
    make: () => endsAs((result) => ({ ...result, message: SECRETS.TOKEN })),
    seen: 'secret',
  },
  'whoever has the name of a container is removed': {
    make: () => ({
      runner: (runner) =>
        change(runner, {
          ensure: async (spec, ...rest) => {
            if ((await runner.inspect(spec.name)).state === 'missing') await runner.remove(spec.name);
            return runner.ensure(spec, ...rest);
          },
        }),
    }),
    seen: 'stranger',
  },
  'a call of the engine has no deadline': {
    make: () => ({
      runner: (runner) => change(runner, { inspect: (name) => endless(runner.inspect(name)) }),
    }),
    seen: 'stuck',
  },
  'the engine’s word about memory is not heard': { make: deafToMemory, seen: 'lie' },
  'a pull counts as time that the task ran': {
    make: () => ({
      store: (store) =>
        override(store, {
          attemptStarted: async (params) => {
            const open = await store.openAttempts('fake');
            const claimed = open.find(({ attempt }) => isOf(attempt, params.key))?.attempt.createTime;
            return store.attemptStarted({ ...params, startTime: claimed ?? params.startTime });
          },
        }),
    }),
    seen: 'lie',
  },
  'output that the log has no room for counts as written': {
    make: () => ({
      logs: (logs) => change(logs, { open: async (...args) => careless(await logs.open(...args)) }),
    }),
    seen: 'log',
  },
  'a failed pull uses a retry of the job': {
    make: () =>
      endsAs((result) => (result.reason.startsWith('IMAGE_') ? { ...result, reason: 'TIMED_OUT' } : result)),
    seen: 'lie',
  },
};

/** The end of an attempt is stored otherwise. */
function endsAs(other: (result: AttemptResult) => AttemptResult): Wraps {
  return {
    store: (store) =>
      override(store, {
        finishAttempt: ({ result, ...rest }) => store.finishAttempt({ ...rest, result: other(result) }),
      }),
  };
}

const isOf = (one: AttemptKey, other: AttemptKey): boolean =>
  one.execution === other.execution && one.index === other.index && one.attempt === other.attempt;

function hasty(store: ObjectStore | undefined): ObjectStore | undefined {
  if (store === undefined) return undefined;
  return change(store, {
    put: (address, body, params) => {
      store.put(address, body, params).catch(() => undefined);
      return Promise.resolve({ etag: '', size: 0, lastModified: 0, metadata: {} });
    },
  });
}

/** Instead of an error, no answer at all. */
async function endless<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch {
    return new Promise<never>(() => undefined);
  }
}

function deafToMemory(): Wraps {
  const deaf = (status: ContainerStatus): ContainerStatus =>
    status.state === 'exited' ? { ...status, exit: { ...status.exit, oomKilled: false } } : status;
  return {
    runner: (runner) => change(runner, { inspect: async (name) => deaf(await runner.inspect(name)) }),
  };
}

function careless(writer: OpenLog): OpenLog {
  return {
    cursor: () => writer.cursor(),
    write: (stream, data) => writer.write(stream, data).catch(() => undefined),
    close: () => writer.close(),
    leave: () => writer.leave(),
  };
}

const override = (store: ExecStore, methods: Partial<ExecStore>): ExecStore => change(store, methods);

/** The same port, some methods of which are others. */
function change<T extends object>(port: T, methods: Partial<T>): T {
  return new Proxy(port, {
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
      return change(runner, methods);
    },
  };
}
