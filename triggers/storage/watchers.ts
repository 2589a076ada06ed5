import type { StorageSourceSpec } from '../../src/core/config.ts';
import type { Json } from '../../src/core/json.ts';
import type { SourceContext, TriggerStatus } from '../../src/core/source.ts';
import type { StateWrite } from '../../src/core/store.ts';
import { matches } from './config.ts';
import type { ObjectKey } from './keys.ts';
import { cursorRow, triggerRow } from './keys.ts';

/** A trigger that wants uploads of this connection. */
export interface StorageTrigger {
  readonly name: string;
  readonly spec: StorageSourceSpec;
}

/**
 * `t/<trigger>`: made with the first page of the trigger's place that the store answers, and kept as long as the
 * trigger asks for this place.
 */
export interface TriggerState {
  readonly bucket: string;
  readonly prefix: string;
  /** The store's clock at the trigger's first start, epoch ms: what the first listing finds of this time or older was there before. */
  readonly since: number;
  /** Objects that were there before and started nothing. */
  readonly skipped: number;
  /** The place was listed to its end once. */
  readonly listed: boolean;
  /** `existing: run` only: how far the events of what was there before have come. */
  readonly backfill: Backfill;
}
/** `key` is the last one settled: its versions may go on, on the next page. null = not begun. */
export type Backfill = { readonly token: string; readonly key: string } | 'done' | null;

interface Watcher extends StorageTrigger {
  state: TriggerState | undefined;
  /** Of the row; null = there is none. */
  version: number | null;
}

export type Way = 'listing' | 'notification';
/** Names of triggers. */
interface Audience {
  /** New to them. */
  readonly live: readonly string[];
  /** `existing: run` has to tell them anyhow, under the id that the backfill gives it. */
  readonly alone: readonly string[];
  /** There before their first start. */
  readonly before: readonly string[];
}

/** One folder of a bucket to list. */
export interface Root {
  readonly bucket: string;
  readonly prefix: string;
}

/** The triggers of a connection, with what their rows say. Rows are cached: an `expect` tells when they are stale. */
export class Watchers {
  readonly #watchers: readonly Watcher[];
  readonly #byName: ReadonlyMap<string, Watcher>;

  constructor(triggers: readonly StorageTrigger[]) {
    this.#watchers = triggers.map((trigger) => ({ ...trigger, state: undefined, version: null }));
    this.#byName = new Map(this.#watchers.map((watcher) => [watcher.name, watcher]));
  }

  /** The places to list: each that no other one contains, once. */
  roots(): Root[] {
    const places = this.#watchers.map(({ spec: { bucket, prefix } }) => ({ bucket, prefix }));
    return places.filter(
      (root, index) =>
        !places.some(
          (other, at) =>
            at !== index &&
            contains(other, root.bucket, root.prefix) &&
            (other.prefix !== root.prefix || at < index),
        ),
    );
  }

  /** Whether an object belongs to a listed place, and so to the ledger. */
  covers({ bucket, key }: Pick<ObjectKey, 'bucket' | 'key'>): boolean {
    return this.#watchers.some(({ spec }) => contains(spec, bucket, key));
  }

  within(root: Root): readonly StorageTrigger[] {
    return this.#watchers.filter(({ spec }) => contains(root, spec.bucket, spec.prefix));
  }

  stateOf(name: string): TriggerState | undefined {
    return this.#byName.get(name)?.state;
  }

  statusOf(name: string): TriggerStatus | undefined {
    const watcher = this.#byName.get(name);
    if (watcher?.state === undefined) return undefined;
    const { since, skipped, listed, backfill } = watcher.state;
    // What was skipped until `run` stood there becomes an event each.
    const told = watcher.spec.existing === 'run' || backfill === 'done';
    return { firstStart: since, existing: { skipped: told ? 0 : skipped, complete: listed } };
  }

  /**
   * The triggers that ask for an object which the ledger does not know, by what it is to them. Once the first listing
   * is done, what it did not find is new, however old it says it is: an upload is dated by its beginning.
   */
  audience({ bucket, key, ms }: { bucket: string; key: string; ms: number }, way: Way): Audience {
    const audience = { live: new Array<string>(), alone: new Array<string>(), before: new Array<string>() };
    for (const { name, spec, state } of this.#watchers) {
      if (!matches(spec, bucket, key)) continue;
      // Without a row the store has not answered yet, so that nothing can be said to have been there before; when it
      // answers, this will have been, and the backfill will tell it.
      if (state === undefined) audience[spec.existing === 'run' ? 'alone' : 'live'].push(name);
      else if (ms > state.since) audience.live.push(name);
      else if (state.listed && spec.existing === 'skip') audience.live.push(name);
      else if (spec.existing === 'run' && (state.listed || way === 'notification')) audience.alone.push(name);
      else audience.before.push(name);
    }
    return audience;
  }

  /** Errors: the store's. */
  async read(context: SourceContext): Promise<void> {
    for (const watcher of this.#watchers) {
      const row = await context.readState(triggerRow(watcher.name));
      const state = row === undefined ? undefined : parseTriggerState(row.value);
      watcher.state = state !== undefined && samePlace(state, watcher.spec) ? state : undefined;
      watcher.version = row?.version ?? null;
    }
  }

  /**
   * Rows for the triggers below `root` that start now, at `since`. With them goes the cursor of a listing that broke
   * off before: theirs begins at the first page, also when it breaks off in turn.
   */
  async begin(context: SourceContext, root: Root, since: number): Promise<void> {
    for (;;) {
      const state = this.#watchers
        .filter(
          (watcher) =>
            watcher.state === undefined && contains(root, watcher.spec.bucket, watcher.spec.prefix),
        )
        .map(({ name, version, spec: { bucket, prefix } }): StateWrite => {
          const value = { bucket, prefix, since, skipped: 0, listed: false, backfill: null };
          return { key: triggerRow(name), expect: version, value };
        });
      if (state.length === 0) return;
      state.push({ key: cursorRow(root.bucket, root.prefix), value: null });
      await context.accept({ events: [], state });
      await this.read(context);
    }
  }

  /** The write that changes a trigger's row, if it stands as it was read; undefined where there is none. */
  change(name: string, over: Partial<TriggerState>): StateWrite | undefined {
    const watcher = this.#byName.get(name);
    if (watcher?.state === undefined) return undefined;
    return { key: triggerRow(name), expect: watcher.version, value: { ...watcher.state, ...over } };
  }
}

const contains = (root: Root, bucket: string, key: string): boolean =>
  bucket === root.bucket && key.startsWith(root.prefix);

export const samePlace = (state: Root, spec: Root): boolean =>
  state.bucket === spec.bucket && state.prefix === spec.prefix;

export function parseTriggerState(value: Json): TriggerState | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { bucket, prefix, since, skipped, listed, backfill = null } = value;
  if (typeof bucket !== 'string' || typeof prefix !== 'string' || typeof since !== 'number') return undefined;
  return {
    bucket,
    prefix,
    since,
    skipped: typeof skipped === 'number' ? skipped : 0,
    listed: listed === true,
    backfill: parseBackfill(backfill),
  };
}

function parseBackfill(value: Json): Backfill {
  if (value === 'done') return 'done';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const { token, key } = value;
  return typeof token === 'string' && typeof key === 'string' ? { token, key } : null;
}
