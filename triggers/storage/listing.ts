import { isTappetError } from '../../src/core/errors.ts';
import type { Json } from '../../src/core/json.ts';
import type { ListedObject } from '../../src/core/objects.ts';
import type { StateRow, StateWrite } from '../../src/core/store.ts';
import { Semaphore } from '../../src/lib/semaphore.ts';
import { matches } from './config.ts';
import type { Upload } from './event.ts';
import {
  compareUtf8,
  cursorRow,
  ledgerRow,
  objectRows,
  parseLedgerRow,
  versionRows,
  versionsOf,
} from './keys.ts';
import type { Ledger, LedgerDeps } from './ledger.ts';
import { isUntold, listedUpload, listedVersion } from './look-up.ts';
import type { Root, StorageTrigger } from './watchers.ts';

const SCAN = 1_000;
const DELETES = 200;
/** Rows without an object that are in memory at a time: a bucket of millions may have been emptied. */
const GONE_MAX = 1_000;
const PARALLEL_HEADS = 8;

/** How far a listing has come. */
interface Cursor {
  readonly token: string;
  /** The greatest key of the pages before. */
  readonly after: string;
  /** It lists versions; a bucket's versioning may have been switched since. */
  readonly versions: boolean;
}
/** Rows of one kind, behind `after` up to `until`; null = from the first, to the last. */
interface Range {
  readonly prefix: string;
  readonly after: string | null;
  readonly until: string | null;
}
interface Compared {
  readonly known: ReadonlyMap<string, StateRow>;
  readonly gone: readonly StateRow[];
  /** Not looked at yet. */
  readonly rest: readonly Range[];
}
/** `upload` is null for a delete marker. */
export interface Entry {
  readonly key: string;
  readonly ms: number;
  readonly upload: Upload | null;
}
export interface ListedPage {
  readonly entries: readonly Entry[];
  readonly next?: string;
  readonly serverTime: number;
}

/** One page of a place. Errors: the object store's. */
export async function readPage(
  { objects, signal }: Pick<LedgerDeps, 'objects' | 'signal'>,
  { bucket, prefix }: Root,
  { versions, token }: { readonly versions: boolean; readonly token: string | undefined },
): Promise<ListedPage> {
  const params = { prefix, signal, ...(token === undefined ? {} : { token }) };
  if (!versions) {
    const { objects: listed, ...page } = await objects.list(bucket, params);
    return { ...page, entries: listed.map((one) => entry(one, listedUpload(bucket, one))) };
  }
  const { versions: listed, ...page } = await objects.listVersions(bucket, params);
  return {
    ...page,
    entries: listed.map((one) => entry(one, one.deleteMarker ? null : listedVersion(bucket, one))),
  };
}
const entry = ({ key, lastModified }: ListedObject, upload: Upload | null): Entry => ({
  key,
  ms: lastModified,
  upload,
});

/**
 * Lists one place to its end, page by page. For each page: read it → triggers below it that have no row yet get one,
 * with the store's time → what the ledger does not know is settled → rows of this stretch of keys whose object is gone
 * are deleted → the cursor moves. A crash anywhere repeats the page, which changes nothing; the cursor only saves work
 * on what has been seen. `versions` of a key that go on, on the next page, are remembered until then.
 *
 * A row goes only when the store itself, asked for that object, says that it is not there: a listing that is out of
 * order or behind deletes nothing. A notification that wrote the row meanwhile wins by `expect`.
 */
export class Listing {
  readonly #deps: LedgerDeps;
  readonly #ledger: Ledger;
  readonly #root: Root;
  readonly #heads = new Semaphore(PARALLEL_HEADS);
  /** Rows of the last key of the page before. */
  #carried: ReadonlySet<string> = new Set();

  constructor(deps: LedgerDeps, ledger: Ledger, root: Root) {
    this.#deps = deps;
    this.#ledger = ledger;
    this.#root = root;
  }

  /** Resolves when the place is listed to its end. Errors: the store's and the object store's. */
  async run(): Promise<void> {
    const { objects, signal, context, watchers } = this.#deps;
    const versions = (await objects.versioning(this.#root.bucket, signal)) !== 'off';
    let cursor = await this.#savedCursor(versions);
    let page = await this.#firstPage(versions, cursor);
    for (;;) {
      await watchers.begin(context, this.#root, firstStart(page));
      await this.#settle(page, cursor, versions);
      const next = nextCursor(page, cursor, versions);
      await this.#advance(page, cursor, next);
      if (next === null) return;
      cursor = next;
      page = await readPage(this.#deps, this.#root, { versions, token: cursor.token });
    }
  }

  /** null = from the start: also where a trigger is new, so that what was there before is counted as a whole. */
  async #savedCursor(versions: boolean): Promise<Cursor | null> {
    const { context, watchers } = this.#deps;
    if (watchers.within(this.#root).some(({ name }) => watchers.stateOf(name) === undefined)) return null;
    const row = await context.readState(this.#row());
    const cursor = row === undefined ? null : parseCursor(row.value);
    return cursor?.versions === versions ? cursor : null;
  }

  /** A token that the store does not take (any more) must not stand in the way for ever: the next try begins anew. */
  async #firstPage(versions: boolean, cursor: Cursor | null): Promise<ListedPage> {
    const { context } = this.#deps;
    try {
      return await readPage(this.#deps, this.#root, { versions, token: cursor?.token });
    } catch (error) {
      if (cursor !== null && isTappetError(error, 'INVALID_ARGUMENT')) {
        await context.accept({ events: [], state: [{ key: this.#row(), value: null }] });
      }
      throw error;
    }
  }

  async #settle(page: ListedPage, cursor: Cursor | null, versions: boolean): Promise<void> {
    const last = page.next === undefined ? null : greatest(page.entries);
    const uploads = page.entries.flatMap(({ upload }) => upload ?? []);
    const listed = new Set(uploads.map(ledgerRow));
    const ranges = last === '' ? [] : this.#ranges(cursor?.after ?? null, last);
    let compared = await this.#compare(ranges, listed);
    await this.#ledger.settle(uploads, 'listing', compared.known);
    for (;;) {
      await this.#forget(await this.#reallyGone(compared.gone, versions));
      if (compared.rest.length === 0) break;
      compared = await this.#compare(compared.rest, listed);
    }
    this.#carry(page.entries);
  }

  /** Versions of the last key may go on, on the next page. */
  #carry(entries: readonly Entry[]): void {
    const last = entries.at(-1)?.key;
    const open = entries.flatMap(({ key, upload }) =>
      key === last && upload !== null ? ledgerRow(upload) : [],
    );
    const goesOn = entries[0]?.key === last ? this.#carried : [];
    this.#carried = new Set([...goesOn, ...open]);
  }

  /** Moves the cursor together with the counts of this page, so that each page is counted once. */
  async #advance(page: ListedPage, cursor: Cursor | null, next: Cursor | null): Promise<void> {
    const { context, watchers } = this.#deps;
    for (;;) {
      const firsts = watchers
        .within(this.#root)
        .filter(({ name }) => watchers.stateOf(name)?.listed === false);
      const counts = firsts.flatMap(({ name, spec }) => {
        const { since, skipped } = watchers.stateOf(name) ?? { since: 0, skipped: 0 };
        const before = page.entries.filter(({ ms, upload }) => {
          return upload !== null && ms <= since && matches(spec, upload.bucket, upload.key);
        });
        const count = spec.existing === 'skip' ? before.length : 0;
        const total = (cursor === null ? 0 : skipped) + count;
        return watchers.change(name, { skipped: total, listed: next === null }) ?? [];
      });
      const saved = next === null ? null : { ...next };
      const state = [{ key: this.#row(), value: saved }, ...counts];
      const nothing = cursor === null && next === null && counts.length === 0;
      const result = nothing ? undefined : await context.accept({ events: [], state });
      if (counts.length > 0) await watchers.read(context);
      if (result?.outcome === 'conflict') continue;
      if (next === null) this.#logCounts(firsts);
      return;
    }
  }

  #logCounts(triggers: readonly StorageTrigger[]): void {
    const { context, watchers, connection } = this.#deps;
    for (const { name, spec } of triggers) {
      const { skipped = 0, since = 0 } = watchers.stateOf(name) ?? {};
      if (spec.existing === 'run') continue;
      context.log.info('objects that were there before the trigger first started start nothing', {
        trigger: name,
        place: `s3://${connection}/${spec.bucket}/${spec.prefix}`,
        skipped,
        since: new Date(since).toISOString(),
      });
    }
  }

  /** Holds the ledger against what is listed, as far as GONE_MAX rows go without an object. */
  async #compare(ranges: readonly Range[], listed: ReadonlySet<string>): Promise<Compared> {
    const known = new Map<string, StateRow>();
    const gone: StateRow[] = [];
    for (const [at, range] of ranges.entries()) {
      for await (const row of this.#scan(range)) {
        if (listed.has(row.key)) known.set(row.key, row);
        else if (!this.#carried.has(row.key)) gone.push(row);
        if (gone.length < GONE_MAX) continue;
        return { known, gone, rest: [{ ...range, after: row.key }, ...ranges.slice(at + 1)] };
      }
    }
    return { known, gone, rest: [] };
  }

  /** The ledger's rows of the keys from `after` to `last`; null = from the start, to the end. */
  #ranges(after: string | null, last: string | null): Range[] {
    const { bucket, prefix } = this.#root;
    if (after !== null && last !== null && compareUtf8(last, after) < 0) return [];
    return [
      {
        prefix: objectRows(bucket, prefix),
        after: after === null ? null : objectRows(bucket, after),
        until: last === null ? null : objectRows(bucket, last),
      },
      // The versions of the last key may go on, on the next page, which begins with them.
      {
        prefix: versionRows(bucket, prefix),
        after: after === null ? null : versionsOf(bucket, after),
        until: last === null ? null : versionsOf(bucket, last),
      },
    ];
  }

  async *#scan({ prefix, after, until }: Range): AsyncGenerator<StateRow> {
    for (let from = after; ;) {
      const rows = await this.#deps.context.scanState(prefix, from, SCAN);
      for (const row of rows) {
        if (until !== null && compareUtf8(row.key, until) > 0) return;
        yield row;
      }
      if (rows.length < SCAN) return;
      from = rows.at(-1)?.key ?? from;
    }
  }

  async #reallyGone(rows: readonly StateRow[], versions: boolean): Promise<StateRow[]> {
    const { objects, signal } = this.#deps;
    const asked = await Promise.all(
      rows.map(async (row) => {
        const { bucket, key, versionId } = parseLedgerRow(row.key);
        // A bucket that has none has been made anew since.
        if (versionId !== null && !versions) return row;
        const version = versionId ?? (versions ? 'null' : undefined);
        const address = { bucket, key, ...(version === undefined ? {} : { versionId: version }) };
        return (await this.#heads.run(() => isThere(() => objects.head(address, signal)))) ? undefined : row;
      }),
    );
    return asked.filter((row) => row !== undefined);
  }

  /** Those that were written meanwhile stay. */
  async #forget(rows: readonly StateRow[]): Promise<void> {
    for (let at = 0; at < rows.length; at += DELETES) {
      const writes = rows.slice(at, at + DELETES).map(({ key, version }): StateWrite => {
        return { key, expect: version, value: null };
      });
      for (let left = writes; left.length > 0;) {
        const result = await this.#deps.context.accept({ events: [], state: left });
        if (result.outcome === 'stored') break;
        left = left.filter(({ key }) => key !== result.key);
      }
    }
  }

  #row(): string {
    return cursorRow(this.#root.bucket, this.#root.prefix);
  }
}

/** Where the store does not tell that something is gone, its row stays. */
async function isThere(head: () => Promise<unknown>): Promise<boolean> {
  try {
    return (await head()) !== null;
  } catch (error) {
    if (isUntold(error)) return true;
    throw error;
  }
}

/**
 * The store tells its time in whole seconds: what this page holds of the second that has begun was there before too.
 */
function firstStart({ entries, serverTime }: ListedPage): number {
  const within = entries.filter(({ ms }) => ms < serverTime + 1_000);
  return within.reduce((latest, { ms }) => Math.max(latest, ms), serverTime);
}

/** '' where there is no key. */
function greatest(entries: readonly { readonly key: string }[]): string {
  return entries.reduce((most, { key }) => (compareUtf8(key, most) > 0 ? key : most), '');
}

function nextCursor(page: ListedPage, cursor: Cursor | null, versions: boolean): Cursor | null {
  if (page.next === undefined) return null;
  return { token: page.next, after: greatest([...page.entries, { key: cursor?.after ?? '' }]), versions };
}

function parseCursor(value: Json): Cursor | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const { token, after, versions } = value;
  if (typeof token !== 'string' || typeof after !== 'string' || typeof versions !== 'boolean') return null;
  return { token, after, versions };
}
