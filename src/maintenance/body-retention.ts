import type { MaintenanceStore } from '../core/store.ts';

export interface SweptBodies {
  /** Removes what no event has, and gives how many files that were. */
  sweep(params: {
    whichEventsExist(uids: readonly string[]): Promise<ReadonlySet<string>>;
    readonly signal?: AbortSignal;
  }): Promise<number>;
}
export interface BodyRetentionOptions {
  readonly store: Pick<MaintenanceStore, 'whichEventsExist'>;
  readonly bodies: SweptBodies;
}

/** Removes bodies that are files whose event was removed, and what a crash has left of others. */
export class BodyRetention {
  readonly #options: BodyRetentionOptions;

  constructor(options: BodyRetentionOptions) {
    this.#options = options;
  }

  /** Gives the number of files removed. Errors: STORE_UNAVAILABLE, and those of the disk. */
  runOnce(signal?: AbortSignal): Promise<number> {
    const { store, bodies } = this.#options;
    const whichEventsExist = (uids: readonly string[]) => store.whichEventsExist(uids);
    return bodies.sweep({ whichEventsExist, ...(signal === undefined ? {} : { signal }) });
  }
}
