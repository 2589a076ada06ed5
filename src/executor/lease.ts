import type { Clock } from '../core/clock.ts';
import { isSameLease } from '../core/engine-store.ts';
import { errorText, isTappetError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { EngineStore, HeldLease } from '../core/store.ts';
import { onAbort, pause } from '../lib/service.ts';
import { LEASE_MS, momentOf } from './session.ts';
import type { Session, SessionOptions } from './session.ts';

/** Two renewals may fail before the lease is over. */
export const RENEW_MS = 5_000;
const RETRY_MS = 1_000;

export interface LeaseOptions {
  readonly store: EngineStore;
  readonly engine: string;
  /** This process. */
  readonly owner: string;
  readonly clock: Clock;
  readonly log: Log;
}

class StoreSilent extends Error {
  constructor() {
    super('the store does not answer');
  }
}

/** What a session begins with; `since`: when it was asked for. */
export type Acquired = Pick<SessionOptions, 'epoch' | 'since'>;

/** The right to touch the containers of one engine: free → held (by `acquire`) → kept (`keep`) → lost or released. */
export class Lease {
  readonly #options: LeaseOptions;
  #problem: string | null = null;
  #elsewhere = false;
  /** How another had it when it was last heard of, and since when, by the clock that only goes on. */
  #seen: { readonly lease: HeldLease; readonly since: number } | undefined;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Why it is not held, in one line; null where it is. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Another gateway has it, as last heard. */
  get elsewhere(): boolean {
    return this.#elsewhere;
  }

  /** Tries once a second until it is held; undefined when `signal` aborted first. */
  async acquire(signal: AbortSignal): Promise<Acquired | undefined> {
    const { store, engine, owner, clock, log } = this.#options;
    while (!signal.aborted) {
      const since = momentOf(clock);
      try {
        const lease = await store.acquireEngine(engine, owner, LEASE_MS, this.#silent());
        this.#elsewhere = !lease.held;
        if (lease.held) {
          this.#problem = null;
          this.#seen = undefined;
          return { epoch: lease.epoch, since };
        }
        this.#see(lease);
        this.#say(
          log,
          `Another gateway is in charge of the container engine; this one takes over when that one ends, or has been silent for ${LEASE_MS / 1000} s.`,
        );
      } catch (error) {
        this.#say(log, `The container engine could not be reserved in the store: ${errorText(error)}`);
      }
      await pause(clock, RETRY_MS, signal);
    }
    return undefined;
  }

  #see(lease: HeldLease): void {
    if (isSameLease(this.#seen?.lease, lease)) return;
    this.#seen = { lease, since: this.#options.clock.elapsed() };
  }

  /** The lease that has not been renewed for as long as it lasts. */
  #silent(): HeldLease | undefined {
    if (this.#seen === undefined) return undefined;
    return this.#options.clock.elapsed() - this.#seen.since >= LEASE_MS ? this.#seen.lease : undefined;
  }

  /**
   * Renews until the session is over, and loses the session when that fails for a whole lease. How long that is the
   * session tells, by whichever of its clocks says more.
   */
  async keep(session: Session): Promise<void> {
    const { clock } = this.#options;
    // It may have been asked for long before it was given.
    let wait = Math.max(0, RENEW_MS - session.silentMs);
    for (;;) {
      await pause(clock, wait, session.signal);
      if (session.signal.aborted) return;
      const asked = session.moment();
      try {
        await this.#renew(session, LEASE_MS - RETRY_MS - session.silentMs);
        session.renewed(asked);
        wait = RENEW_MS;
      } catch (error) {
        if (session.signal.aborted) return;
        if (isTappetError(error, 'STALE_EPOCH')) return session.lose('another gateway has taken over');
        wait = RETRY_MS;
        if (error instanceof StoreSilent || session.silentMs >= LEASE_MS - RETRY_MS)
          return session.lose(`the lease could not be renewed: ${errorText(error)}`);
      }
    }
  }

  /**
   * A store that never answers must not keep the lease alive, nor a session that is over. Errors: the store's;
   * StoreSilent after `leftMs`, or when the session is over.
   */
  async #renew(session: Session, leftMs: number): Promise<void> {
    const { store, engine, clock } = this.#options;
    const renewing = store.renewEngine(engine, session.epoch, LEASE_MS);
    const undo: (() => void)[] = [];
    const silence = new Promise<never>((_resolve, reject) => {
      const giveUp = (): void => reject(new StoreSilent());
      undo.push(clock.setTimer(Math.max(0, leftMs), giveUp), onAbort(session.signal, giveUp));
    });
    try {
      await Promise.race([renewing, silence]);
    } finally {
      for (const fn of undo) fn();
      // Where it failed after all, that has been dealt with.
      renewing.catch(() => undefined);
    }
  }

  /** Lets another gateway have it at once. */
  async release(epoch: number): Promise<void> {
    const { store, engine, log } = this.#options;
    try {
      await store.releaseEngine(engine, epoch);
    } catch (error) {
      log.warn(`The container engine stays reserved for up to ${LEASE_MS / 1000}s: ${errorText(error)}`);
    }
  }

  /** Once per state: it is asked every second. */
  #say(log: Log, problem: string): void {
    if (this.#problem !== problem) log.warn(problem);
    this.#problem = problem;
  }
}
