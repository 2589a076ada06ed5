import type { QueryStore } from '../core/store.ts';

export interface SweptBodies {
  /** Removes what no event has, and gives how many files that were. */
  sweep(params: { hasEvent(uid: string): Promise<boolean>; readonly signal?: AbortSignal }): Promise<number>;
}
export interface BodyRetentionOptions {
  readonly store: Pick<QueryStore, 'getEvent'>;
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
    const hasEvent = async (uid: string): Promise<boolean> => (await store.getEvent(uid)) !== undefined;
    return bodies.sweep({ hasEvent, ...(signal === undefined ? {} : { signal }) });
  }
}
