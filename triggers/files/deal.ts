import { isTappetError } from '../../src/core/errors.ts';
import type { FilesSourceSpec } from '../../src/core/config.ts';
import type { SourceContext } from '../../src/core/source.ts';
import type { StateWrite } from '../../src/core/store.ts';
import { settledEvent, type FileStat } from './event.ts';
import type { Folder, Refuse } from './folder.ts';
import { fileWrite, forgetWrite, isFileOf, printOf, readRow, type LedgerRow } from './ledger.ts';
import type { Settling } from './settling.ts';

/** Rows in one transaction without events. */
const ROWS = 500;

interface Ready {
  readonly path: string;
  readonly stat: FileStat;
  /** What the ledger has at the path; undefined = nothing. */
  readonly row: LedgerRow | undefined;
  /** The row of the place where the same file was before. */
  readonly from: LedgerRow | undefined;
}

export interface DealerDeps {
  readonly context: SourceContext;
  readonly spec: FilesSourceSpec;
  readonly folder: Folder;
  readonly settling: Settling;
  readonly refuse: Refuse;
  /** Wants a file to be dealt with again, at once. */
  again(path: string): void;
  /** A place where the ledger's file is no more. */
  moved(row: LedgerRow, path: string): void;
}

/** Turns files that have settled into events and ledger rows, in one transaction each time. */
export class Dealer {
  readonly #deps: DealerDeps;
  /** Rows whose file is gone, by its print: it may turn up elsewhere in the folder. */
  readonly gone = new Map<string, LedgerRow>();

  constructor(deps: DealerDeps) {
    this.#deps = deps;
  }

  /** The first look, at a file that something may have happened to. Errors: the store's. */
  async look(path: string): Promise<void> {
    const { context, folder, settling } = this.#deps;
    const look = await folder.look(path);
    const row = look.kind === 'refused' ? undefined : await readRow(context, path);
    const known = look.kind === 'file' && row !== undefined && isFileOf(row, look.stat);
    if (look.kind === 'file' && !known) return settling.see(path, look.stat);
    settling.drop(path);
    if (look.kind === 'gone' && row !== undefined) this.gone.set(row.print, row);
  }

  /** The last look; what is as it was at the first is accepted. Errors: the store's. */
  async settle(paths: readonly string[]): Promise<void> {
    const found = await Promise.all(paths.map((path) => this.#ready(path)));
    await this.#accept(found.filter((one) => one !== undefined));
  }

  async #ready(path: string): Promise<Ready | undefined> {
    const { context, folder, settling } = this.#deps;
    const look = await folder.look(path);
    const stat = look.kind === 'file' ? look.stat : undefined;
    const row = stat && (await readRow(context, path));
    if (stat === undefined || (row !== undefined && isFileOf(row, stat))) settling.drop(path);
    else if (!settling.isUnchanged(path, stat)) settling.see(path, stat);
    else return { path, stat, row, from: await this.#movedFrom(path, stat) };
    return undefined;
  }

  /** Taken at once, so that of two links to one file only one is the move. */
  async #movedFrom(path: string, stat: FileStat): Promise<LedgerRow | undefined> {
    const print = printOf(stat);
    const row = this.gone.get(print);
    if (row === undefined || row.path === path || !isFileOf(row, stat)) return undefined;
    this.gone.delete(print);
    return (await this.#deps.folder.look(row.path)).kind === 'gone' ? row : undefined;
  }

  async #accept(ready: readonly Ready[]): Promise<void> {
    if (ready.length === 0) return;
    const { context, spec, settling } = this.#deps;
    const now = context.clock.now();
    const fresh = ready.filter(({ from }) => from === undefined);
    const events = fresh.map(({ path, stat }) => settledEvent(spec.path, path, stat, now));
    try {
      const result = await context.accept({ events, state: ready.flatMap(writes) });
      if (result.outcome === 'conflict') {
        this.#putBack(ready);
        for (const { path } of ready) this.#deps.again(path);
        return;
      }
    } catch (error) {
      this.#putBack(ready);
      if (!isTappetError(error, 'INVALID_ARGUMENT')) throw error;
      return this.#separate(ready, error.message);
    }
    for (const { path, from } of ready) {
      settling.drop(path);
      if (from !== undefined) this.#deps.moved(from, path);
    }
  }

  /** One file that cannot be an event must not keep the others back. */
  async #separate(ready: readonly Ready[], why: string): Promise<void> {
    const [only] = ready;
    if (only === undefined) return;
    if (ready.length > 1) {
      for (const one of ready) await this.#accept([one]);
      return;
    }
    this.#deps.refuse(JSON.stringify(only.path), `cannot become an event: ${why}`);
    await this.#deps.context.accept({ events: [], state: writes({ ...only, from: undefined }) });
    this.#deps.settling.drop(only.path);
  }

  #putBack(ready: readonly Ready[]): void {
    for (const { from } of ready) if (from !== undefined) this.gone.set(from.print, from);
  }

  /** Takes the rows of files away that are gone. Those of files that may just have moved stay for now. */
  async forget(rows: readonly LedgerRow[]): Promise<void> {
    const { context, folder, settling } = this.#deps;
    const waiting = settling.prints();
    for (let at = 0; at < rows.length; at += ROWS) {
      const some = rows.slice(at, at + ROWS).filter(({ print }) => !waiting.has(print));
      const looks = await Promise.all(some.map(({ path }) => folder.look(path)));
      const state = some.filter((_, i) => looks[i]?.kind === 'gone').map(forgetWrite);
      // A conflict: someone else has dealt with one of them; the next scan finds the others.
      if (state.length > 0) await context.accept({ events: [], state });
    }
    this.gone.clear();
    for (const row of rows) if (waiting.has(row.print)) this.gone.set(row.print, row);
  }
}

function writes({ path, stat, row, from }: Ready): StateWrite[] {
  const write = fileWrite(path, stat, row);
  return from === undefined ? [write] : [forgetWrite(from), write];
}
