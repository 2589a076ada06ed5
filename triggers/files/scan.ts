import type { FilesSourceSpec } from '../../src/core/config.ts';
import type { SourceContext } from '../../src/core/source.ts';
import type { Folder, FoundFile } from './folder.ts';
import { createFilter } from './glob.ts';
import {
  fileWrite,
  isFileOf,
  ledgerRows,
  readStart,
  startWrite,
  type LedgerRow,
  type Start,
} from './ledger.ts';

/**
 * The kernel stamps files by a clock that it moves each tick, up to 10 ms behind: a file made right after the start
 * may look as if it had been there before.
 */
const TICK_NS = 10_000_000n;

export interface ScanDeps {
  readonly context: SourceContext;
  readonly spec: FilesSourceSpec;
  readonly folder: Folder;
  isStopped(): boolean;
  /** A file that the ledger does not have as it is. */
  differs(file: FoundFile): void;
}
export interface Scanned {
  /** Rows without a file, as far as the listing tells. */
  readonly gone: readonly LedgerRow[];
  /** `t`, with what was skipped. */
  readonly start: Start;
}

/**
 * Holds the whole folder against the whole ledger. Both come in the order of their paths, page by page, so that
 * neither is ever in memory as a whole. Before the first look is over (`start.done`), what is older than the
 * trigger's start goes into the ledger and starts nothing. undefined = stopped, or someone else writes `t`.
 */
export async function scanFolder(deps: ScanDeps, begun: Start): Promise<Scanned | undefined> {
  const isOld = olderThan(begun, deps.spec);
  const rows = ledgerRows(deps.context);
  const gone: LedgerRow[] = [];
  let start = begun;
  let row = await rows.next();
  for await (const files of deps.folder.walk()) {
    if (deps.isStopped()) return undefined;
    const skipped: FoundFile[] = [];
    for (const file of files) {
      for (; row.done !== true && comparePaths(row.value.path, file.path) < 0; row = await rows.next())
        gone.push(row.value);
      const known = row.done !== true && row.value.path === file.path ? row.value : undefined;
      if (known !== undefined) row = await rows.next();
      if (known === undefined && isOld(file)) skipped.push(file);
      else if (known === undefined || !isFileOf(known, file.stat)) deps.differs(file);
    }
    const after = await skip(deps.context, start, skipped);
    if (after === undefined) return undefined;
    start = after;
  }
  for (; row.done !== true; row = await rows.next()) gone.push(row.value);
  return deps.isStopped() ? undefined : { gone, start };
}

/** A file that was there before the trigger's first start, or before its glob began to match it. */
function olderThan({ done, since, before }: Start, spec: FilesSourceSpec): (file: FoundFile) => boolean {
  if (done || spec.existing === 'run') return () => false;
  const bound = BigInt(since) * 1_000_000n - TICK_NS;
  const earlier = before === null ? undefined : createFilter(before);
  return ({ path, stat }) => stat.ctimeNs < bound && earlier?.matches(path) !== true;
}

/** Rows without events, counted in the same transaction. */
async function skip(
  context: SourceContext,
  start: Start,
  files: readonly FoundFile[],
): Promise<Start | undefined> {
  if (files.length === 0) return start;
  const counted = startWrite({ ...start, skipped: start.skipped + files.length });
  const rows = files.map(({ path, stat }) => fileWrite(path, stat, undefined));
  const result = await context.accept({ events: [], state: [counted, ...rows] });
  return result.outcome === 'conflict' ? undefined : readStart(context);
}

/** By UTF-8 bytes, as stores and the walk order them; JavaScript's own order differs beyond U+D7FF. */
function comparePaths(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
