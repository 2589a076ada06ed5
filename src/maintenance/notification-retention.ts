import type { NotificationStore } from '../core/notify.ts';
import { untilNone } from './until-none.ts';

const BATCH = 500;
const DAY = 24 * 60 * 60_000;
/** What arrived is looked for once in a while; what did not, by whoever missed it. */
const DELIVERED_FOR_MS = 7 * DAY;
const GIVEN_UP_FOR_MS = 30 * DAY;

export interface NotificationRetentionOptions {
  readonly store: Pick<NotificationStore, 'pruneNotifications'>;
}

/** Removes notifications that were delivered a week ago, or given up a month ago. */
export class NotificationRetention {
  readonly #options: NotificationRetentionOptions;

  constructor(options: NotificationRetentionOptions) {
    this.#options = options;
  }

  /** Until nothing is left or `signal` aborts; gives the number removed. Errors: STORE_UNAVAILABLE. */
  runOnce(signal?: AbortSignal): Promise<number> {
    const kept = { deliveredForMs: DELIVERED_FOR_MS, givenUpForMs: GIVEN_UP_FOR_MS, limit: BATCH };
    return untilNone(() => this.#options.store.pruneNotifications(kept), signal);
  }
}
