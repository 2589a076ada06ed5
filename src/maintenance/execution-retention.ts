import { errorText } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { LogSink } from '../core/log-sink.ts';
import type { MaintenanceStore } from '../core/store.ts';

/** Looked for at a time. */
const BATCH = 500;
/** Folders removed at the same time; the disk has the syncs of those who call to do, too. */
const PARALLEL_REMOVALS = 4;

export interface ExecutionRetentionOptions {
  readonly store: Pick<MaintenanceStore, 'expiredExecutions' | 'surplusExecutions' | 'pruneExecutions'>;
  readonly logs: Pick<LogSink, 'remove'>;
  readonly log: Log;
  /** By job, how many ended executions are kept beside the ages; absent = any number. */
  retentionCounts?(): ReadonlyMap<string, number>;
}

/** Names of what may go, at most `limit`; called again after those have gone. */
type Find = (limit: number) => Promise<readonly string[]>;

/**
 * Removes executions that were deleted, are past their retention, or are more than their job keeps. Logs go first: a
 * crash in between leaves a row that is found again, never files that nobody knows of. A log that cannot be removed
 * holds up its own row only.
 */
export class ExecutionRetention {
  readonly #options: ExecutionRetentionOptions;

  constructor(options: ExecutionRetentionOptions) {
    this.#options = options;
  }

  /** Until nothing is left or `signal` aborts; gives the number of executions removed. Errors: STORE_UNAVAILABLE. */
  async runOnce(signal?: AbortSignal): Promise<number> {
    const { store } = this.#options;
    /** By name, why its log is still there: left alone until the next run. */
    const stuck = new Map<string, unknown>();
    let removed = await this.#removeAll((limit) => store.expiredExecutions(limit), stuck, signal);
    for (const [job, keep] of this.#options.retentionCounts?.() ?? []) {
      const find: Find = (limit) => store.surplusExecutions(job, keep, limit);
      removed += await this.#removeAll(find, stuck, signal);
    }
    this.#report(stuck);
    return removed;
  }

  async #removeAll(find: Find, stuck: Map<string, unknown>, signal?: AbortSignal): Promise<number> {
    let removed = 0;
    while (signal?.aborted !== true) {
      const found = await find(BATCH + stuck.size);
      const names = found.filter((name) => !stuck.has(name));
      if (names.length === 0) break;
      const gone = await this.#removeLogs(names, stuck);
      if (gone.length === 0) continue;
      const pruned = await this.#prune(gone, signal);
      removed += pruned;
      // Nothing gone although something was named: the same names would come for ever.
      if (pruned === 0) break;
    }
    return removed;
  }

  /** Piece by piece: whoever else writes has its turn in between. */
  async #prune(names: readonly string[], signal?: AbortSignal): Promise<number> {
    let removed = 0;
    for (let more = true; more && signal?.aborted !== true;) {
      // Those that are gone stand at the beginning.
      const result = await this.#options.store.pruneExecutions(names.slice(removed));
      removed += result.removed;
      more = result.more;
    }
    return removed;
  }

  /** Returns those whose log is gone; adds the others to `stuck`. */
  async #removeLogs(names: readonly string[], stuck: Map<string, unknown>): Promise<string[]> {
    for (let i = 0; i < names.length; i += PARALLEL_REMOVALS) {
      await Promise.all(
        names.slice(i, i + PARALLEL_REMOVALS).map(async (name) => {
          try {
            await this.#options.logs.remove(name);
          } catch (error) {
            stuck.set(name, error);
          }
        }),
      );
    }
    return names.filter((name) => !stuck.has(name));
  }

  #report(stuck: ReadonlyMap<string, unknown>): void {
    const [first] = stuck;
    if (first === undefined) return;
    const [name, error] = first;
    const others = stuck.size === 1 ? '' : `, and those of ${stuck.size - 1} more`;
    this.#options.log.warn(
      `The logs of the old execution ${name}${others} cannot be removed; it is kept and tried again later: ${errorText(error)}`,
    );
  }
}
