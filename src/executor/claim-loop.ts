import type { Clock } from '../core/clock.ts';
import { errorText, isTappetError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { ExecutorStore } from '../core/store.ts';
import { pause } from '../lib/service.ts';
import type { LiveAttempts } from './live-attempts.ts';
import type { Session } from './session.ts';

/** What no wake-up told of is found after this time: a retry that falls due, another gateway's cancel. */
const POLL_MS = 1_000;
/** Claimed by one call: bounds the transaction. */
const MAX_BATCH = 50;

export interface ClaimLoopOptions {
  readonly store: ExecutorStore;
  readonly engine: string;
  readonly session: Session;
  readonly live: LiveAttempts;
  /** As they are now. */
  settings(): { readonly maxRunningTasks: number; readonly maxParallelism: number };
  readonly clock: Clock;
  readonly log: Log;
  /** Nothing is claimed while the engine is away: it would only wait with a slot taken. */
  readonly engineUp: () => boolean;
}

/** Brings attempts to life while there is room, and hands requests to stop to those that live. */
export class ClaimLoop {
  readonly #options: ClaimLoopOptions;
  #claiming = false;
  #claimAgain = false;
  /** The last claim took as many as there was room for: more may wait. */
  #short = true;
  /** A claim failed that may have been stored: what it took lives in the store alone. */
  #unsure = false;
  #looking = false;
  #lookAgain = false;
  #problem: string | null = null;

  constructor(options: ClaimLoopOptions) {
    this.#options = options;
  }

  /**
   * There may be something to start. The claim is called in this very turn, so that it shares the commit of what made
   * it possible.
   */
  wake(): void {
    this.#claimAgain = true;
    if (!this.#claiming) void this.#claim();
  }

  /** There may be something to stop. */
  wakeStops(): void {
    this.#lookAgain = true;
    if (!this.#looking) void this.#lookForStops();
  }

  /** A slot is free again. Where its execution has ended with it, only what waited for the slot can follow. */
  freed(executionEnded: boolean): void {
    if (this.#short || !executionEnded) this.wake();
  }

  /** Polls until the session is over. */
  async run(): Promise<void> {
    const { clock, session } = this.#options;
    while (!session.signal.aborted) {
      this.wake();
      this.wakeStops();
      await pause(clock, POLL_MS, session.signal);
    }
  }

  async #claim(): Promise<void> {
    const { store, engine, session, live, engineUp } = this.#options;
    this.#claiming = true;
    try {
      while (this.#claimAgain && !session.signal.aborted && engineUp()) {
        this.#claimAgain = false;
        if (this.#unsure) await this.#takeUp();
        const { maxRunningTasks, maxParallelism } = this.#options.settings();
        const limit = Math.min(MAX_BATCH, maxRunningTasks - live.size);
        this.#short = limit <= 0;
        if (limit <= 0) return;
        this.#unsure = true;
        const claims = await store.claimAttempts({ engine, epoch: session.epoch, limit, maxParallelism });
        this.#unsure = false;
        // What was claimed too late is found by the next owner.
        if (session.signal.aborted) return;
        for (const claim of claims) live.add(claim, false);
        // Whatever becomes free meanwhile is seen by the next round.
        this.#short = claims.length === limit;
        if (this.#short) this.#claimAgain = true;
      }
      this.#problem = null;
    } catch (error) {
      this.#report('claim tasks', error);
    } finally {
      this.#claiming = false;
    }
  }

  async #takeUp(): Promise<void> {
    const { store, engine, session, live } = this.#options;
    const open = await store.openAttempts(engine);
    if (session.signal.aborted) return;
    this.#unsure = false;
    for (const claim of open) if (!live.has(claim.attempt.containerName)) live.add(claim, true);
  }

  async #lookForStops(): Promise<void> {
    const { store, engine, session, live } = this.#options;
    this.#looking = true;
    try {
      while (this.#lookAgain && live.size > 0 && !session.signal.aborted) {
        this.#lookAgain = false;
        live.stopRequested(await store.stopRequests(engine));
      }
    } catch (error) {
      this.#report('look for cancelled tasks', error);
    } finally {
      this.#looking = false;
    }
  }

  /** The poll tries again; a problem that stays is said once. */
  #report(what: string, error: unknown): void {
    const { session, log } = this.#options;
    if (isTappetError(error, 'STALE_EPOCH')) return session.lose('another gateway has taken over');
    const problem = `Could not ${what}; trying again every second: ${errorText(error)}`;
    if (problem !== this.#problem) log.error(problem);
    this.#problem = problem;
  }
}
