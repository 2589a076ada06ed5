import type { MaintenanceStore } from '../core/store.ts';
import { untilNone } from './until-none.ts';

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
  runOnce(signal?: AbortSignal): Promise<number> {
    const options = this.#options;
    return untilNone(() => options.store.pruneEvents(options.retentionMs(), BATCH), signal);
  }
}
