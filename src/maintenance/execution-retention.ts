import { errorText } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { LogSink } from '../core/log-sink.ts';
import type { MaintenanceStore } from '../core/store.ts';

/** Pruned by one transaction: small enough that other writers do not notice. */
const BATCH = 500;
/** Folders removed at the same time. */
const PARALLEL_REMOVALS = 8;

export interface ExecutionRetentionOptions {
  readonly store: Pick<MaintenanceStore, 'expiredExecutions' | 'pruneExecutions'>;
  readonly logs: Pick<LogSink, 'remove'>;
  readonly log: Log;
}

/**
 * Removes executions that were deleted or are past their retention. Logs go first: a crash in between leaves a row
 * that is found again, never files that nobody knows of. A log that cannot be removed holds up its own row only.
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
    let removed = 0;
    while (signal?.aborted !== true) {
      const expired = await store.expiredExecutions(BATCH + stuck.size);
      const names = expired.filter((name) => !stuck.has(name));
      if (names.length === 0) break;
      const gone = await this.#removeLogs(names, stuck);
      if (gone.length === 0) continue;
      const pruned = await store.pruneExecutions(gone);
      removed += pruned;
      // Nothing gone although something was named: the same names would come for ever.
      if (pruned === 0) break;
    }
    this.#report(stuck);
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
