import type { NewEvent } from '../../src/core/event.ts';
import type { Json } from '../../src/core/json.ts';
import type { ObjectStore } from '../../src/core/objects.ts';
import type { SourceAccept, SourceContext } from '../../src/core/source.ts';
import type { AcceptResult, StateRow, StateWrite } from '../../src/core/store.ts';
import { Semaphore } from '../../src/lib/semaphore.ts';
import { acceptAll } from './accept-all.ts';
import { uploadEvent, type Upload } from './event.ts';
import { ledgerRow } from './keys.ts';
import { isUntold, lookUp } from './look-up.ts';
import type { Watchers, Way } from './watchers.ts';

/** Objects per accept: more would hold the store's one writer too long, with their decisions and executions. */
const CHUNK = 100;
const PARALLEL_HEADS = 8;

export interface LedgerDeps {
  readonly connection: string;
  readonly context: SourceContext;
  readonly objects: ObjectStore;
  readonly watchers: Watchers;
  readonly signal: AbortSignal;
}
interface Found {
  readonly upload: Upload;
  readonly row: StateRow | undefined;
}
/** What one accept, and those before it, are to store. */
interface Plan {
  /** For one trigger only, by its name. */
  readonly alone: Map<string, NewEvent[]>;
  readonly events: NewEvent[];
  readonly state: StateWrite[];
}

/**
 * Where listing and notification meet: an object's row, which is written in the accept of its event and lives as long
 * as the object. An object (version) is, seen from here,
 *
 *     unknown     no row, or (without a version) one of another etag or time
 *     known       its row says so; nothing more happens
 *
 * and goes from the first to the second in one accept with its event. `expect` on the row makes the later of two ways
 * read again. What a crash leaves:
 *
 *     before the accept     unknown; the next listing, or the repeated notification, does it all again
 *     after the accept      known; the same again changes nothing
 *     between two accepts   (only where an object is new to some triggers and was there before others, which get an
 *                           event each) the row comes with the last one; the events before it have the same ids the
 *                           second time
 *
 * Two writers of one key: the row of an unversioned object is what was told last. A notification older than its row is
 * an event (its content was there for a moment) and leaves the row; a listing older than its row looks again, as its
 * page may be stale. Ids that follow from the content are the second guard: they are remembered for 30 days.
 */
export class Ledger {
  readonly #deps: LedgerDeps;
  readonly #heads = new Semaphore(PARALLEL_HEADS);

  constructor(deps: LedgerDeps) {
    this.#deps = deps;
  }

  /**
   * Makes these known, with the events that follow. `rows` may be stale. Resolves with how many were unknown.
   * Errors: the store's; those of the object store, for a listing.
   */
  async settle(
    uploads: readonly Upload[],
    way: Way,
    rows: ReadonlyMap<string, StateRow> = new Map(),
  ): Promise<number> {
    let unknown = 0;
    for (let at = 0; at < uploads.length; at += CHUNK) {
      unknown += await this.#settleChunk(uploads.slice(at, at + CHUNK), way, rows);
    }
    return unknown;
  }

  async #settleChunk(
    uploads: readonly Upload[],
    way: Way,
    rows: ReadonlyMap<string, StateRow>,
  ): Promise<number> {
    let known = rows;
    for (;;) {
      const found = (await this.#find(uploads, known)).filter(({ upload, row }) => !isKnown(upload, row));
      if (found.length === 0) return this.#allKnown(way);
      const fresh = way === 'listing' ? await this.#described(await this.#notStale(found)) : found;
      if (await this.#accept(this.#plan(fresh, way), way)) return fresh.length;
      known = new Map();
      await this.#deps.watchers.read(this.#deps.context);
    }
  }

  /** Who told hears of it as done: what makes it known must be on the disk by then, not only on its way there. */
  async #allKnown(way: Way): Promise<number> {
    if (way === 'notification') await this.#deps.context.accept({ events: [] });
    return 0;
  }

  #find(uploads: readonly Upload[], rows: ReadonlyMap<string, StateRow>): Promise<Found[]> {
    return Promise.all(
      uploads.map(async (upload) => {
        const key = ledgerRow(upload);
        return { upload, row: rows.get(key) ?? (await this.#deps.context.readState(key)) };
      }),
    );
  }

  /** A page that is older than the row is asked for again, key by key. */
  async #notStale(found: readonly Found[]): Promise<Found[]> {
    const { objects, signal } = this.#deps;
    const looked = await Promise.all(
      found.map(async (one) => {
        if (one.row === undefined || timeOf(one.row.value) <= one.upload.ms) return one;
        const upload = await this.#heads.run(() => lookUp(objects, one.upload, signal));
        return upload === null || isKnown(upload, one.row) ? undefined : { upload, row: one.row };
      }),
    );
    return looked.filter((one) => one !== undefined);
  }

  /** A listing tells neither content type nor metadata: with them an event is the same whichever way it came. */
  #described(found: readonly Found[]): Promise<Found[]> {
    return Promise.all(
      found.map(async (one) => {
        const { live, alone } = this.#deps.watchers.audience(one.upload, 'listing');
        if (live.length + alone.length === 0) return one;
        return { ...one, upload: await this.describe(one.upload) };
      }),
    );
  }

  /** With content type and metadata where this content is still there and may be read. */
  async describe(upload: Upload): Promise<Upload> {
    const { bucket, key, versionId, etag } = upload;
    const { objects, signal } = this.#deps;
    const address = { bucket, key, ...(versionId === null ? {} : { versionId }) };
    try {
      const info = await this.#heads.run(() => objects.head(address, signal));
      if (info === null || info.etag !== etag) return upload;
      const { contentType, metadata } = info;
      return { ...upload, ...(contentType === undefined ? {} : { contentType }), metadata };
    } catch (error) {
      // A job that only needs the name can do without.
      if (isUntold(error)) return upload;
      throw error;
    }
  }

  #plan(found: readonly Found[], way: Way): Plan {
    const plan: Plan = { alone: new Map(), events: [], state: [] };
    for (const one of found) {
      this.#planEvents(plan, one.upload, way);
      if (this.#deps.watchers.covers(one.upload) && !(way === 'notification' && isOlder(one))) {
        plan.state.push(rowWrite(one));
      }
    }
    return plan;
  }

  #planEvents(plan: Plan, upload: Upload, way: Way): void {
    const { connection, watchers } = this.#deps;
    const { live, alone, before } = watchers.audience(upload, way);
    const told = [...live, ...alone];
    // What a listing finds and nobody asks for only goes into the ledger.
    if (way === 'listing' && told.length === 0) return;
    if (alone.length === 0 && (before.length === 0 || live.length === 0)) {
      const event = uploadEvent(connection, upload, null);
      plan.events.push(before.length === 0 ? { event } : { event, verdict: THERE_BEFORE });
      return;
    }
    for (const name of told) {
      const event = { event: uploadEvent(connection, upload, name) };
      plan.alone.set(name, [...(plan.alone.get(name) ?? []), event]);
    }
  }

  /** false = a row had changed; nothing that matters was stored. */
  async #accept({ alone, events, state }: Plan, way: Way): Promise<boolean> {
    const { context } = this.#deps;
    // A notification that makes no event is kept as it came; its taker does that.
    const accept = (params: SourceAccept): Promise<AcceptResult> =>
      way === 'listing' ? acceptAll(context, params) : context.accept(params);
    for (const [trigger, own] of alone) await accept({ events: own, trigger });
    if (events.length + state.length === 0) return true;
    const result = await accept({ events, state });
    return result.outcome === 'stored';
  }
}

/** The answer to a notification of something that was there before its triggers. */
const THERE_BEFORE = {
  outcome: 'skipped',
  reason: 'the object was there before the trigger first started',
} as const;

function isKnown({ versionId, etag, ms }: Upload, row: StateRow | undefined): boolean {
  if (row === undefined) return false;
  return versionId !== null || (etagOf(row.value) === etag && timeOf(row.value) === ms);
}

const isOlder = ({ upload, row }: Found): boolean => row !== undefined && timeOf(row.value) > upload.ms;

function rowWrite({ upload, row }: Found): StateWrite {
  const { etag, size, ms } = upload;
  return { key: ledgerRow(upload), expect: row?.version ?? null, value: { etag, size, ms } };
}

const fieldOf = (value: Json, name: string): Json | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value[name] : undefined;
const etagOf = (value: Json): Json | undefined => fieldOf(value, 'etag');
function timeOf(value: Json): number {
  const ms = fieldOf(value, 'ms');
  return typeof ms === 'number' ? ms : Number.NEGATIVE_INFINITY;
}
