import { setMaxListeners } from 'node:events';
import type { Clock } from '../core/clock.ts';
import { errorText, isTappetError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { onAbort, pause } from '../lib/service.ts';
import { HoldUp } from './hold-up.ts';

/** How long another gateway waits for a sign of life before it takes the engine. */
export const LEASE_MS = 15_000;
/** How soon a write is tried again that the store could not take (disk full, locked). */
const RETRY_MS = 1_000;

/** Thrown through everything that waits, when this gateway may no longer touch the engine. Never an error to report. */
export class SessionOver extends Error {
  constructor() {
    super('the session with the engine is over');
    this.name = 'SessionOver';
  }
}

/** A moment by both clocks: epoch ms, which somebody may set, and ms that only go on. */
export interface Moment {
  readonly time: number;
  readonly elapsed: number;
}

export function momentOf(clock: Clock): Moment {
  return { time: clock.now(), elapsed: clock.elapsed() };
}

export interface SessionOptions {
  readonly epoch: number;
  /** When the lease was asked for: it may have been given long before that is heard. */
  readonly since: Moment;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The time between taking an engine and losing or leaving it. One epoch, one signal; everything about containers
 * happens inside of one, and ends with it.
 */
export class Session {
  readonly epoch: number;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #abort = new AbortController();
  #storeFailing = false;
  #renewed: Moment;

  constructor(options: SessionOptions) {
    this.epoch = options.epoch;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#renewed = options.since;
    // Every attempt listens, several times; a hundred of them are no leak.
    setMaxListeners(0, this.#abort.signal);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Ends it because the gateway stops. */
  end(): void {
    this.#abort.abort();
  }

  /** Ends it because another gateway has the engine, or may have it. */
  lose(why: string): void {
    if (this.signal.aborted) return;
    this.#log.warn(
      `No longer in charge of the container engine: ${why.replace(/\.$/, '')}. Running containers are left alone.`,
      {
        epoch: this.epoch,
      },
    );
    this.#abort.abort();
  }

  /** Now, by both clocks: to be taken before a renewal is asked for. */
  moment(): Moment {
    return momentOf(this.#clock);
  }

  /** The lease was good at that moment. */
  renewed(moment: Moment): void {
    this.#renewed = moment;
  }

  /** Ms since the lease was last known to be good, by whichever clock says more: the time of day may have been set back. */
  get silentMs(): number {
    const { time, elapsed } = this.moment();
    return Math.max(time - this.#renewed.time, elapsed - this.#renewed.elapsed);
  }

  /**
   * By the clock, not only by timers: a process that was suspended goes on in the middle of what it did, before any
   * timer fires, while another gateway has judged it by the clock.
   */
  isOver(): boolean {
    if (this.silentMs >= LEASE_MS) this.lose('the lease was not renewed in time');
    return this.signal.aborted;
  }

  throwIfOver(): void {
    if (this.isOver()) throw new SessionOver();
  }

  /** What nobody need wait for once the session is over: the engine may take a minute to answer. Errors: SessionOver, and its own. */
  async orOver<T>(work: Promise<T>): Promise<T> {
    let undo = (): void => undefined;
    const over = new Promise<never>((_resolve, reject) => {
      undo = onAbort(this.signal, () => reject(new SessionOver()));
    });
    try {
      return await Promise.race([work, over]);
    } finally {
      undo();
      // What it still comes to concerns nobody.
      work.catch(() => undefined);
    }
  }

  /**
   * A write about attempts, repeated until the store takes it: what happened to a container must get in.
   * `holdUp`: of who waits for it. Errors: SessionOver, and what is not the store's or the epoch's.
   */
  async write<T>(fn: () => Promise<T>, holdUp = new HoldUp()): Promise<T> {
    for (;;) {
      this.throwIfOver();
      try {
        const result = await fn();
        this.throwIfOver();
        this.#storeFailing = false;
        return result;
      } catch (error) {
        if (isTappetError(error, 'STALE_EPOCH')) this.lose('another gateway has taken over');
        this.throwIfOver();
        if (!isTappetError(error, 'STORE_UNAVAILABLE')) throw error;
        if (!this.#storeFailing)
          this.#log.error(`What tasks do cannot be stored; trying again: ${errorText(error)}`);
        this.#storeFailing = true;
        const words = `waits for the gateway's own disk: ${errorText(error)}`;
        await holdUp.during(words, () => pause(this.#clock, RETRY_MS, this.signal));
      }
    }
  }
}
