import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { ConnectionSpec, Objects } from '../core/objects.ts';
import type { Secrets } from '../core/secrets.ts';
import { S3ObjectStore } from './s3-store.ts';

export interface ObjectsOptions {
  readonly connections: ReadonlyMap<string, ConnectionSpec>;
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly log: Log;
}

export interface ConfiguredObjects extends Objects {
  /** The stores of another configuration. Nothing of this one changes before `apply`. Opens no connection. */
  prepare(connections: ReadonlyMap<string, ConnectionSpec>): PreparedObjects;
  /** Ends all connections, the busy ones too. */
  close(): void;
}
export interface PreparedObjects extends Objects {
  apply(): void;
}

interface Made {
  readonly spec: ConnectionSpec;
  readonly store: S3ObjectStore;
}

/**
 * The object stores that the configuration names. Nothing is connected, and no secret read, before the first call to
 * one of them. Where a connection is changed, calls under way end with the store as it was and the next ones go to the
 * new one, so that a mended address counts for what waits. One that is removed stays known here to the end of the
 * process: the frozen specs of executions may name it, and nothing else can.
 */
export function createObjects(options: ObjectsOptions): ConfiguredObjects {
  const { connections, secrets, clock, log } = options;
  const make = (name: string, spec: ConnectionSpec): Made => ({
    spec,
    store: new S3ObjectStore({ name, spec, secrets, clock, log }),
  });
  const made = new Map<string, Made>();
  for (const [name, spec] of connections) made.set(name, make(name, spec));
  return {
    connection: (name) => made.get(name)?.store,
    prepare: (wanted) => {
      const next = new Map<string, Made>();
      for (const [name, spec] of wanted) {
        const old = made.get(name);
        next.set(name, old !== undefined && isDeepStrictEqual(old.spec, spec) ? old : make(name, spec));
      }
      return { connection: (name) => next.get(name)?.store, apply: () => exchange(made, next) };
    },
    close: () => made.forEach(({ store }) => store.close()),
  };
}

function exchange(made: Map<string, Made>, next: ReadonlyMap<string, Made>): void {
  for (const [name, one] of next) {
    const old = made.get(name);
    if (old === one) continue;
    old?.store.retire();
    made.set(name, one);
  }
}
