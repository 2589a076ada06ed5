import type { Clock } from '../core/clock.ts';
import { TappetError, errorText, isTappetError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Capabilities, Runner } from '../core/runner.ts';
import { deferred } from '../lib/deferred.ts';
import type { Deferred } from '../lib/deferred.ts';
import { pause } from '../lib/service.ts';
import type { Outages } from './outages.ts';
import type { Session } from './session.ts';

/** How often an engine that does not answer is asked again. */
const PROBE_MS = 1_000;

/** An order that fails so often while the engine answers all else in between is not the engine's absence. */
const MAX_TRIES = 5;

export interface EngineGateOptions {
  readonly runner: Runner;
  readonly session: Session;
  readonly clock: Clock;
  readonly log: Log;
  /** Of this process, over all of its sessions. */
  readonly outages: Outages;
  /** The engine answers (again): whatever was missed meanwhile should be looked at. */
  readonly onUp: () => void;
}

/**
 * All orders to the engine go through here. While it does not answer they wait, and then are given again, which is
 * safe because each is idempotent by the container's name: no attempt fails because the engine is away.
 * up → down at the first ENGINE_UNAVAILABLE; down → up when a probe is answered. An order that the engine refuses
 * (ENGINE_REFUSED) is the affair of who gave it: nobody else waits for it.
 */
export class EngineGate {
  readonly #options: EngineGateOptions;
  #down: Deferred<void> | undefined;
  #problem: string | null = null;
  #capabilities: Capabilities | null = null;

  constructor(options: EngineGateOptions) {
    this.#options = options;
  }

  get up(): boolean {
    return this.#down === undefined;
  }
  /** Why it is down; null where it is up. */
  get problem(): string | null {
    return this.#problem;
  }
  /** As last heard; null before the first answer. */
  get capabilities(): Capabilities | null {
    return this.#capabilities;
  }

  /** Whether the engine was away, or ended and came back, around `time` (epoch ms, the engine's clock). */
  wasAwayAround(time: number): boolean {
    return this.#options.outages.around(time);
  }

  /** The engine's events broke off and came back, which may be all that is seen of a restart. */
  reconnected(): void {
    this.#options.outages.blink(this.#options.session.moment());
  }

  /** Asks what the engine can do, waiting until it answers. Errors: SessionOver. */
  async connect(): Promise<Capabilities> {
    const { runner, session } = this.#options;
    while (this.#capabilities === null) {
      session.throwIfOver();
      try {
        this.#capabilities = await runner.capabilities();
      } catch (error) {
        // Who is not in charge any more says nothing of the engine.
        session.throwIfOver();
        // One that does not even tell what it is cannot be used, however it says so.
        this.#goDown(error);
        await this.#down?.promise;
      }
    }
    session.throwIfOver();
    // An earlier session may have ended while it was away.
    this.#options.outages.back(session.moment());
    return this.#capabilities;
  }

  /**
   * Gives an order, again while the engine is away. Errors: SessionOver, the order's own, and ENGINE_REFUSED after
   * `tries` that the engine did not answer though it answered others in between.
   */
  async through<T>(order: () => Promise<T>, tries = MAX_TRIES): Promise<T> {
    const { session } = this.#options;
    for (let failures = 0; ;) {
      await this.#down?.promise;
      session.throwIfOver();
      try {
        const result = await order();
        session.throwIfOver();
        return result;
      } catch (error) {
        session.throwIfOver();
        if (!isTappetError(error, 'ENGINE_UNAVAILABLE')) throw error;
        this.#goDown(error);
        failures += 1;
        if (failures < tries) continue;
        await this.#down?.promise;
        session.throwIfOver();
        const words = `The container engine answers again, but not to this: ${errorText(error)}`;
        throw new TappetError('ENGINE_REFUSED', words, {}, error);
      }
    }
  }

  #goDown(error: unknown): void {
    this.#problem = errorText(error);
    if (this.#down !== undefined) return;
    const { log, outages, session } = this.#options;
    outages.away(session.moment());
    log.warn(`The container engine does not answer; tasks wait until it does: ${this.#problem}`);
    this.#down = deferred();
    void this.#probe(this.#down);
  }

  async #probe(down: Deferred<void>): Promise<void> {
    const { clock, log, runner, session, onUp } = this.#options;
    while (!session.signal.aborted) {
      await pause(clock, PROBE_MS, session.signal);
      try {
        this.#capabilities = await runner.capabilities();
        break;
      } catch (error) {
        this.#problem = errorText(error);
      }
    }
    this.#down = undefined;
    this.#problem = null;
    down.resolve();
    // Then it is not known whether it answers.
    if (session.signal.aborted) return;
    this.#options.outages.back(session.moment());
    log.info('The container engine answers.');
    onUp();
  }
}
