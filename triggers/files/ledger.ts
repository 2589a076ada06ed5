import type { FilesSourceSpec } from '../../src/core/config.ts';
import type { Json, JsonObject } from '../../src/core/json.ts';
import type { SourceContext } from '../../src/core/source.ts';
import type { StateRow, StateWrite } from '../../src/core/store.ts';
import type { FileStat } from './event.ts';

/**
 * The state rows of the origin: `f/<path>` for each file that has been dealt with, `t` for the trigger's own start.
 * A file's row lives as long as the file.
 */
const FILE = 'f/';
const START = 't';
const PAGE = 500;

/** What was dealt with at a path. */
export interface LedgerRow {
  readonly path: string;
  readonly version: number;
  /** By which a file is known: `<inode> <size> <mtime in ns>`. */
  readonly print: string;
  /** Nanoseconds; '' = not told. */
  readonly born: string;
}

/**
 * A file is the same as long as these three are: what is written to it moves mtime, what is moved over it has another
 * inode. ctime is not among them: a changed mode or a second link is no new content.
 */
export function printOf({ ino, size, mtimeNs }: FileStat): string {
  return `${ino} ${size} ${mtimeNs}`;
}

/**
 * Whether it is what the row was written for. File systems give the inode of a deleted file to the next one: with an
 * mtime that was carried over (tar, rsync -t, cp -p) and the same size, only the birth tells the two apart. Unlike
 * ctime, it stays when a file is moved.
 */
export function isFileOf(row: LedgerRow, stat: FileStat): boolean {
  if (row.print !== printOf(stat)) return false;
  return row.born === '' || stat.bornNs === undefined || row.born === `${stat.bornNs}`;
}

export async function readRow(context: SourceContext, path: string): Promise<LedgerRow | undefined> {
  const row = await context.readState(FILE + path);
  return row && toRow(row);
}

/** All rows, in the order of their paths' UTF-8 bytes. */
export async function* ledgerRows(context: SourceContext): AsyncGenerator<LedgerRow> {
  let after: string | null = null;
  for (;;) {
    const page: readonly StateRow[] = await context.scanState(FILE, after, PAGE);
    yield* page.map(toRow);
    after = page.at(-1)?.key ?? null;
    if (page.length < PAGE) return;
  }
}

export function fileWrite(path: string, stat: FileStat, row: LedgerRow | undefined): StateWrite {
  const born = stat.bornNs === undefined ? {} : { born: `${stat.bornNs}` };
  const value = { ino: stat.ino, size: stat.size, mtime: `${stat.mtimeNs}`, ...born };
  return { key: FILE + path, expect: row?.version ?? null, value };
}

export function forgetWrite(row: LedgerRow): StateWrite {
  return { key: FILE + row.path, expect: row.version, value: null };
}

function toRow({ key, value, version }: StateRow): LedgerRow {
  const { ino, size, mtime, born } = fields(value);
  const print = `${text(ino)} ${text(size)} ${text(mtime)}`;
  return { path: key.slice(FILE.length), version, print, born: text(born) };
}

/** The row `t`. */
export interface Start {
  readonly version: number;
  /** What it was started with: with another folder everything begins anew. */
  readonly path: string;
  readonly glob: string;
  /** The glob before this one: what it matches was not new at `since`. null = there was none. */
  readonly before: string | null;
  /** Epoch ms. */
  readonly since: number;
  /** The first look through the whole folder is over: from now on whatever has no row is new. */
  readonly done: boolean;
  /** Files that were there before `since` and started nothing. */
  readonly skipped: number;
  /** Inode of the watched folder; rows are only taken away while it is this one. */
  readonly ino: string;
  /** Another folder that stands there since, epoch ms. */
  readonly other: { readonly ino: string; readonly since: number } | null;
}

export function startWrite({ version, ...value }: Start): StateWrite {
  // A new row has no version yet.
  return { key: START, expect: version === 0 ? null : version, value };
}

/** Stores a changed `t`; undefined = someone else has changed it. */
export async function writeStart(context: SourceContext, start: Start): Promise<Start | undefined> {
  const result = await context.accept({ events: [], state: [startWrite(start)] });
  return result.outcome === 'conflict' ? undefined : readStart(context);
}

export async function readStart(context: SourceContext): Promise<Start | undefined> {
  const row = await context.readState(START);
  if (row === undefined) return undefined;
  const { path, glob, before, since, done, skipped, ino, other } = fields(row.value);
  const { ino: otherIno, since: otherSince } = fields(other ?? null);
  return {
    version: row.version,
    path: text(path),
    glob: text(glob),
    before: typeof before === 'string' ? before : null,
    since: Number(since),
    done: done === true,
    skipped: Number(skipped),
    ino: text(ino),
    other: otherIno === undefined ? null : { ino: text(otherIno), since: Number(otherSince) },
  };
}

/**
 * The row `t` as the trigger is configured now, written where it is not: at the first start; with another folder,
 * after the rows of the one before are gone; with another glob, so that old files which only it matches start nothing
 * (what landed meanwhile and what the old glob matched does).
 */
export async function beginLedger(
  context: SourceContext,
  spec: FilesSourceSpec,
  ino: string,
): Promise<Start> {
  for (;;) {
    const found = await readStart(context);
    if (found?.path === spec.path && found.glob === spec.glob) return found;
    const now = context.clock.now();
    const fresh = { path: spec.path, glob: spec.glob, before: null, since: now, done: false, skipped: 0 };
    let next: Start = { ...fresh, version: found?.version ?? 0, ino, other: null };
    if (found?.path === spec.path) {
      next = found.done
        ? { ...found, glob: spec.glob, before: found.glob, since: now, done: false, skipped: 0 }
        : { ...found, glob: spec.glob };
    } else if (found !== undefined) await forgetAll(context);
    const written = await writeStart(context, next);
    if (written !== undefined) return written;
  }
}

async function forgetAll(context: SourceContext): Promise<void> {
  for (;;) {
    const rows = await context.scanState(FILE, null, PAGE);
    if (rows.length === 0) return;
    await context.accept({ events: [], state: rows.map(({ key }) => ({ key, value: null })) });
  }
}

function fields(value: Json): JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? `${value}` : '';
}
