import type { AdmissionSettings, Host, Reservation } from '../core/admission.ts';
import type { Clock } from '../core/clock.ts';
import { errorText, isTappetError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { ExecutorStore, Room } from '../core/store.ts';
import { pause } from '../lib/service.ts';
import type { LiveAttempts } from './live-attempts.ts';
import type { Session } from './session.ts';

/** What no wake-up told of is found after this time: a retry that falls due, another gateway's cancel. */
const POLL_MS = 1_000;
/** Claimed by one call: bounds the transaction. */
const MAX_BATCH = 50;

export interface ClaimSettings {
  /** Containers at the same time, on this engine; Infinity = as many as its host has room for. */
  readonly maxRunningTasks: number;
  /** Upper bound for one execution whose parallelism is 0. */
  readonly maxParallelism: number;
  readonly admission: AdmissionSettings;
}
export interface ClaimLoopOptions {
  readonly store: ExecutorStore;
  readonly engine: string;
  readonly session: Session;
  readonly live: LiveAttempts;
  /** As they are now. */
  settings(): ClaimSettings;
  /** The engine's, as last heard; null before it has told. */
  host(): Host | null;
  readonly clock: Clock;
  readonly log: Log;
  /** Nothing is claimed while the engine is away, where it would only wait with a slot taken, nor while the gateway drains. */
  readonly mayClaim: () => boolean;
}

/** Brings attempts to life while there is room, and hands requests to stop to those that live. */
export class ClaimLoop {
  readonly #options: ClaimLoopOptions;
  #claiming = false;
  #claimAgain = false;
  /** The last claim took as many as there was room for, or something waits for more: who ends makes room. */
  #short = true;
  #reserved: Reservation | null = null;
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

  /** A claim is under way: what it takes does not live yet. */
  get claiming(): boolean {
    return this.#claiming;
  }

  /** What waits for room on the engine's host, before all others. */
  get reserved(): Reservation | null {
    return this.#reserved;
  }

  /**
   * A slot is free again, and what it held of the host. Where nothing else can follow, only who waited for that is looked
   * for; a claim under way still counts it as taken, and what that leaves waiting is not known yet.
   */
  freed(nothingFollows: boolean): void {
    if (this.#claiming || this.#short || !nothingFollows) this.wake();
  }

  /** Polls until the session is over. */
  async run(): Promise<void> {
    const { clock, session } = this.#options;
    while (!session.signal.aborted) {
      this.#claimAgain = true;
      if (!this.#claiming) void this.#claim(true);
      this.wakeStops();
      await pause(clock, POLL_MS, session.signal);
    }
  }

  async #claim(polled = false): Promise<void> {
    const { store, engine, session, live, mayClaim } = this.#options;
    this.#claiming = true;
    try {
      while (this.#claimAgain && !session.signal.aborted && mayClaim()) {
        this.#claimAgain = false;
        if (this.#unsure) await this.#takeUp();
        const { maxRunningTasks, maxParallelism } = this.#options.settings();
        const limit = Math.max(0, Math.min(MAX_BATCH, maxRunningTasks - live.size));
        this.#short = limit === 0;
        // Without a slot only the poll looks, for what can never run here.
        if (limit === 0 && !polled) return;
        polled = false;
        this.#unsure = true;
        const room = this.#room();
        const params = { engine, epoch: session.epoch, limit, maxParallelism };
        const result = await store.claimAttempts(room === undefined ? params : { room, ...params });
        this.#unsure = false;
        // What was claimed too late is found by the next owner.
        if (session.signal.aborted) return;
        for (const claim of result.claims) live.add(claim, false);
        if (limit > 0) this.#reserved = result.reserved;
        // Whatever becomes free meanwhile is seen by the next round.
        this.#short = limit === 0 || result.more || result.reserved !== null;
        if (result.more && limit > 0) this.#claimAgain = true;
      }
      this.#problem = null;
    } catch (error) {
      this.#report('claim tasks', error);
    } finally {
      this.#claiming = false;
    }
  }

  /** Nothing is charged twice: what is claimed lives before the next claim is made. */
  #room(): Room | undefined {
    const host = this.#options.host();
    const { admission: settings } = this.#options.settings();
    if (host === null) return undefined;
    return { host, settings, charges: this.#options.live.charges(), reserved: this.#reserved };
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
