import { errorText } from '../core/errors.ts';
import type {
  ClaimedNotification,
  NotificationOutcome,
  NotificationStore,
  ReceiverSpec,
} from '../core/notify.ts';
import type { Log } from '../core/log.ts';
import type { Random } from '../core/random.ts';
import { onAbort, OVER, pause, Service } from '../lib/service.ts';
import { deliver, TRY_MS } from './delivery.ts';
import type { DeliveryDeps, TryResult } from './delivery.ts';
import { MAX_AGE_MS, pauseAfter } from './schedule.ts';

/** How late a notification may be noticed. */
const POLL_MS = 1_000;
/** At the same time, of one receiver; and of all, beside one of each. */
const MAX_TRIES_EACH = 4;
const MAX_SHARED = 12;
/** Of each receiver one: so many receivers are asked for at once. */
const MAX_CLAIMED = 1_000;
/** Longer than a try and the write of what it came to. */
export const LEASE_MS = 3 * TRY_MS;

export interface SenderOptions extends DeliveryDeps {
  readonly store: Pick<NotificationStore, 'claimNotifications' | 'settleNotification'>;
  /** By name, as the configuration has them now. */
  receivers(): ReadonlyMap<string, ReceiverSpec>;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Sends what the store says is due. Every gateway on the store may: who claims a notification has it to itself until
 * the lease ends, and what a try came to counts only while it is still the last try. The steps, and what a crash leaves:
 *
 * 1. the transaction that ends an execution writes the job's state and its notifications. A crash before it leaves
 *    neither the end nor a notification, and the end comes again; after it, both.
 * 2. claim: a try is counted and the lease set. A crash after it: when the lease ends, the next try.
 * 3. send. A crash after it, before 4: the receiver gets the same body with the same `webhook-id` again, when the lease
 *    ends. So delivery is at least once, and the id tells repeats.
 * 4. settle: DELIVERED, GIVEN_UP, or PENDING with the time of the next try; the next one of its job becomes due where it
 *    was the last in the way. A crash after it: nothing is left to do.
 *
 * One try at a time is each receiver's own, so that it is never kept waiting by others that hang. More at a time are shared,
 * by those whose last try did not fail.
 *
 * A receiver that answered 410 is off: what is due for it is given up unsent, until it has another URL in the
 * configuration or the gateway starts anew, which asks it once again.
 */
export class NotificationSender extends Service {
  readonly #options: SenderOptions;
  readonly #inFlight = new Map<string, number>();
  /** By name, the URL that answered 410. */
  readonly #off = new Map<string, string>();
  /** By name, what was last told of a receiver whose last try failed. */
  readonly #problems = new Map<string, string>();
  #storeProblem: string | null = null;
  #freed = new AbortController();

  constructor(options: SenderOptions) {
    super();
    this.#options = options;
  }

  /** Names of receivers that are off. */
  off(): string[] {
    return [...this.#options.receivers()].flatMap(([name, { url }]) =>
      this.#off.get(name) === url ? name : [],
    );
  }

  protected async run(signal: AbortSignal): Promise<void> {
    const tries = new Set<Promise<void>>();
    while (!signal.aborted) {
      this.#freed = new AbortController();
      const claimed = await this.#due();
      for (const message of claimed) {
        const one = this.#try(message, signal).finally(() => {
          tries.delete(one);
          this.#freed.abort(OVER);
        });
        tries.add(one);
      }
      if (claimed.length === 0) await this.#rest(signal);
    }
    await Promise.all(tries);
  }

  /** Until it is time to look again, or one of those that kept others waiting is done. */
  async #rest(signal: AbortSignal): Promise<void> {
    const freed = this.#freed;
    const undo = onAbort(signal, () => freed.abort(OVER));
    await pause(this.#options.clock, POLL_MS, freed.signal);
    undo();
  }

  async #due(): Promise<readonly ClaimedNotification[]> {
    const names = [...this.#options.receivers().keys()];
    const own = await this.#claim(
      names.filter((name) => !this.#inFlight.has(name)),
      MAX_CLAIMED,
    );
    if (own.length > 0) return own;
    const sharing = names.filter((name) => {
      const tries = this.#inFlight.get(name) ?? 0;
      return tries > 0 && tries < MAX_TRIES_EACH && !this.#problems.has(name);
    });
    const shared = [...this.#inFlight.values()].reduce((sum, tries) => sum + tries - 1, 0);
    return sharing.length === 0 || shared >= MAX_SHARED ? [] : this.#claim(sharing, MAX_SHARED - shared);
  }

  async #claim(receivers: readonly string[], limit: number): Promise<readonly ClaimedNotification[]> {
    const what = { leaseMs: LEASE_MS, limit, receivers, maxAgeMs: MAX_AGE_MS };
    try {
      const claimed = await this.#options.store.claimNotifications(what);
      this.#storeProblem = null;
      return claimed;
    } catch (error) {
      this.#storeFailed(`Could not look for notifications; trying again every second: ${errorText(error)}`);
      return [];
    }
  }

  /** Never rejects. */
  async #try(message: ClaimedNotification, signal: AbortSignal): Promise<void> {
    const { receiver: name } = message;
    this.#inFlight.set(name, (this.#inFlight.get(name) ?? 0) + 1);
    try {
      await this.#settle(message, await this.#outcome(message, signal));
    } finally {
      const left = (this.#inFlight.get(name) ?? 1) - 1;
      if (left === 0) this.#inFlight.delete(name);
      else this.#inFlight.set(name, left);
    }
  }

  async #outcome(message: ClaimedNotification, signal: AbortSignal): Promise<NotificationOutcome> {
    const { receiver: name } = message;
    const receiver = this.#options.receivers().get(name);
    const age = this.#options.clock.now() - message.createTime;
    if (receiver === undefined) {
      const unknown = 'there is no notification receiver of this name in the configuration';
      if (age >= MAX_AGE_MS) return givenUp(message.lastStatus, `it is five days old, and ${unknown}`);
      // Taken away in this very moment.
      return { state: 'PENDING', afterMs: 0, status: message.lastStatus, error: unknown };
    }
    // It waited behind others, or for a gateway, for longer than anybody would want to hear of it.
    if (age > MAX_AGE_MS)
      return givenUp(message.lastStatus, 'it is five days old and could not be delivered before');
    if (this.#off.get(name) === receiver.url)
      return givenUp(null, 'it answered 410 to an earlier message: it wants no more');
    const result = await deliver(message, receiver, this.#options, signal);
    if (result.result === 'gone') this.#off.set(name, receiver.url);
    return this.#judge(message, result);
  }

  #judge({ attempts, createTime }: ClaimedNotification, result: TryResult): NotificationOutcome {
    const { clock, random } = this.#options;
    switch (result.result) {
      case 'delivered':
        return { state: 'DELIVERED', status: result.status };
      case 'gone':
        return givenUp(result.status, result.error);
      case 'interrupted':
        return { state: 'PENDING', afterMs: 0, status: null, error: 'the gateway stopped during the try' };
      case 'failed': {
        const { status, error, retryAfterMs } = result;
        const at = { attempts, createTime, now: clock.now(), random: random.next(), retryAfterMs };
        const afterMs = pauseAfter(at);
        return afterMs === undefined ? givenUp(status, error) : { state: 'PENDING', afterMs, status, error };
      }
      default:
        return result satisfies never;
    }
  }

  async #settle(message: ClaimedNotification, outcome: NotificationOutcome): Promise<void> {
    const { id, attempts: attempt } = message;
    try {
      const counts = await this.#options.store.settleNotification({ id, attempt, outcome });
      if (counts) this.#tell(message, outcome);
    } catch (error) {
      const what = outcome.state === 'DELIVERED' ? 'was delivered' : 'could not be delivered';
      this.#storeFailed(
        `That a notification ${what} could not be stored; it is sent again in a minute: ${errorText(error)}`,
      );
    }
  }

  #tell({ id, receiver, job, kind, attempts }: ClaimedNotification, outcome: NotificationOutcome): void {
    const { log } = this.#options;
    if (outcome.state === 'DELIVERED') {
      this.#problems.delete(receiver);
      return;
    }
    if (outcome.state === 'GIVEN_UP') {
      const tries = attempts === 1 ? '1 try' : `${attempts} tries`;
      log.error(
        `The notification "${kind}" of job ${job} to ${receiver} is given up after ${tries}: ${outcome.error}`,
        { notification: id },
      );
      return;
    }
    // Once, not for each of a hundred messages.
    if (this.#problems.get(receiver) === outcome.error) return;
    this.#problems.set(receiver, outcome.error);
    log.warn(`Notifications to ${receiver} fail, and are tried again: ${outcome.error}`, {
      notification: id,
    });
  }

  #storeFailed(problem: string): void {
    if (problem !== this.#storeProblem) this.#options.log.error(problem);
    this.#storeProblem = problem;
  }
}

function givenUp(status: number | null, error: string): NotificationOutcome {
  return { state: 'GIVEN_UP', status, error };
}
