import type { Page, PageParams } from './page.ts';
import type { SecretRef } from './secrets.ts';

/** What a notification tells: a job began to fail, it succeeds again, an execution has ended. */
export type NotificationKind = 'failed' | 'recovered' | 'completed';

export const NOTIFICATION_STATES = ['PENDING', 'DELIVERED', 'GIVEN_UP'] as const;
export type NotificationState = (typeof NOTIFICATION_STATES)[number];

/** Who is told of a job, by names of receivers. Frozen into each of its executions. */
export interface NotifySpec {
  /** Of its first execution that failed after one that succeeded, or ever. */
  readonly onFailure: readonly string[];
  /** Of its first that succeeded after one that failed. */
  readonly onRecovery: readonly string[];
  /** Of the end of each execution. */
  readonly onCompletion: readonly string[];
}

/** Whether how its job ended last has to be known. */
export const tellsOfFailures = ({ onFailure, onRecovery }: NotifySpec): boolean =>
  onFailure.length + onRecovery.length > 0;

/** Where notifications go. */
export interface ReceiverSpec {
  readonly url: string;
  /** `whsec_` and base64, as Standard Webhooks writes it. */
  readonly secret: SecretRef;
  /** Plain http too. */
  readonly allowHttp: boolean;
  /** Addresses that are not on the public Internet too. */
  readonly allowPrivateAddresses: boolean;
}

/**
 * One message to one receiver. Times are epoch milliseconds.
 *
 * | state       | means                                                     | goes on                                         |
 * |-------------|-----------------------------------------------------------|-------------------------------------------------|
 * | `PENDING`   | to be sent at `nextTime`; null = behind an earlier one    | a try begins: the same, with a lease as nextTime |
 * |             | of its job, so that a recovery never overtakes a failure  | 2xx → DELIVERED; failed → PENDING or GIVEN_UP   |
 * | `DELIVERED` | the receiver answered 2xx                                 | removed after a week                            |
 * | `GIVEN_UP`  | the tries are used up, the receiver answered 410, or the  | removed after thirty days                       |
 * |             | message is five days old                                  |                                                 |
 *
 * Of a receiver that is not in the configuration of this gateway nothing is tried: another gateway on the store may have
 * a newer one, or this one may get it. What nobody knew goes when it is five days old.
 */
export interface Notification {
  /** `webhook-id`: the same at each try. */
  readonly id: string;
  readonly receiver: string;
  readonly kind: NotificationKind;
  readonly execution: string;
  readonly job: string;
  readonly state: NotificationState;
  /** Tries that have begun. */
  readonly attempts: number;
  readonly createTime: number;
  readonly nextTime: number | null;
  readonly endTime: number | null;
  /** Of the last answer; null = there was none. */
  readonly lastStatus: number | null;
  /** Why the last try failed; null where it did not. */
  readonly lastError: string | null;
}

/** One that is to be tried now, and by nobody else until the lease ends. */
export interface ClaimedNotification extends Notification {
  /** The JSON that is sent and signed, the same at each try. */
  readonly body: string;
}

/** What a try came to. `status` as in `lastStatus`. */
export type NotificationOutcome =
  | { readonly state: 'DELIVERED'; readonly status: number }
  | { readonly state: 'GIVEN_UP'; readonly status: number | null; readonly error: string }
  | {
      readonly state: 'PENDING';
      readonly afterMs: number;
      readonly status: number | null;
      readonly error: string;
    };

/** What receivers are to be told. The transaction that ends an execution writes it, as its spec's `notify` says. */
export interface NotificationStore {
  /**
   * Takes what is due for a try: one of each of `receivers`, at most `limit`. A try is counted, and nobody else gets it
   * for `leaseMs`.
   */
  claimNotifications(params: ClaimNotifications): Promise<ClaimedNotification[]>;
  /**
   * What a try came to, where it is still the last one; false = it is not, or it had ended: nothing was changed. With the
   * end of a notification the next of its job becomes due.
   */
  settleNotification(params: SettleNotification): Promise<boolean>;
  listNotifications(filter: NotificationFilter, page: PageParams): Promise<Page<Notification>>;
  /** Looks at no more than `MOST_COUNTED` of each kind, however many there are. */
  notificationCounts(): Promise<NotificationCounts>;
  /** Removes what was delivered or given up so long ago, at most `limit` of each. Gives how many. */
  pruneNotifications(params: PruneNotifications): Promise<number>;
}
export interface ClaimNotifications {
  readonly leaseMs: number;
  readonly limit: number;
  /** Who can be told now. */
  readonly receivers: readonly string[];
  /** What is as old as that comes too, whoever it is for: to be given up. */
  readonly maxAgeMs: number;
}
export interface SettleNotification {
  readonly id: string;
  /** `attempts` of the claim. */
  readonly attempt: number;
  readonly outcome: NotificationOutcome;
}
export interface NotificationFilter {
  readonly execution?: string;
  readonly receiver?: string;
  readonly state?: NotificationState;
}
/** A status is asked for all the time, and must not cost more the more is kept. */
export const MOST_COUNTED = 10_000;

/** Of `MOST_COUNTED` there are so many, or more. */
export interface NotificationCounts {
  readonly pending: number;
  readonly givenUp: number;
  /** Creation of the oldest that is pending; null = there is none. */
  readonly oldestPendingTime: number | null;
}
export interface PruneNotifications {
  readonly deliveredForMs: number;
  readonly givenUpForMs: number;
  readonly limit: number;
}
