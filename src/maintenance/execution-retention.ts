import type { LogSink } from '../core/log-sink.ts';
import type { MaintenanceStore } from '../core/store.ts';

/** Pruned by one transaction: small enough that other writers do not notice. */
const BATCH = 500;
/** Folders removed at the same time. */
const PARALLEL_REMOVALS = 8;

export interface ExecutionRetentionOptions {
  readonly store: Pick<MaintenanceStore, 'expiredExecutions' | 'pruneExecutions'>;
  readonly logs: Pick<LogSink, 'remove'>;
}

/**
 * Removes executions that were deleted or are past their retention. Logs go first: a crash in between leaves a row
 * that is found again, never files that nobody knows of.
 */
export class ExecutionRetention {
  readonly #options: ExecutionRetentionOptions;

  constructor(options: ExecutionRetentionOptions) {
    this.#options = options;
  }

  /** Until nothing is left or `signal` aborts; gives the number of executions removed. Errors: STORE_UNAVAILABLE, the file system's. */
  async runOnce(signal?: AbortSignal): Promise<number> {
    const { store } = this.#options;
    let removed = 0;
    while (signal?.aborted !== true) {
      const names = await store.expiredExecutions(BATCH);
      if (names.length === 0) break;
      await this.#removeLogs(names);
      const pruned = await store.pruneExecutions(names);
      removed += pruned;
      // Nothing gone although something was named: the same names would come for ever.
      if (pruned === 0) break;
    }
    return removed;
  }

  async #removeLogs(names: readonly string[]): Promise<void> {
    for (let i = 0; i < names.length; i += PARALLEL_REMOVALS) {
      await Promise.all(names.slice(i, i + PARALLEL_REMOVALS).map((name) => this.#options.logs.remove(name)));
    }
  }
}
