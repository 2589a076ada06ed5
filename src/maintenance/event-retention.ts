import type { MaintenanceStore } from '../core/store.ts';

/** In one transaction, for which others wait: each event is parsed, as its identity may outlive it. */
const BATCH = 50;

export interface EventRetentionOptions {
  readonly store: Pick<MaintenanceStore, 'pruneEvents'>;
  /** How long decided events are kept, in ms. */
  retentionMs(): number;
}

/** Removes old decided events that no kept execution names, and identities and state rows that have expired. */
export class EventRetention {
  readonly #options: EventRetentionOptions;

  constructor(options: EventRetentionOptions) {
    this.#options = options;
  }

  /** Until nothing is left or `signal` aborts; gives the number of rows removed. Errors: STORE_UNAVAILABLE. */
  async runOnce(signal?: AbortSignal): Promise<number> {
    let removed = 0;
    while (signal?.aborted !== true) {
      const pruned = await this.#options.store.pruneEvents(this.#options.retentionMs(), BATCH);
      removed += pruned;
      if (pruned === 0) break;
    }
    return removed;
  }
}
