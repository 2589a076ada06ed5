import type { Clock } from '../core/clock.ts';
import { errorText, isTappetError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Capabilities, Runner } from '../core/runner.ts';
import { deferred } from '../lib/deferred.ts';
import type { Deferred } from '../lib/deferred.ts';
import { pause } from '../lib/service.ts';
import type { Session } from './session.ts';

/** How often an engine that does not answer is asked again. */
const PROBE_MS = 1_000;

export interface EngineGateOptions {
  readonly runner: Runner;
  readonly session: Session;
  readonly clock: Clock;
  readonly log: Log;
  /** The engine answers (again): whatever was missed meanwhile should be looked at. */
  readonly onUp: () => void;
}

/**
 * All orders to the engine go through here. While it does not answer they wait, and then are given again, which is
 * safe because each is idempotent by the container's name: no attempt fails because the engine is away.
 * up → down at the first ENGINE_UNAVAILABLE; down → up when a probe is answered.
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

  /** Asks what the engine can do, waiting until it answers. Errors: SessionOver. */
  async connect(): Promise<Capabilities> {
    this.#capabilities = await this.through(() => this.#options.runner.capabilities());
    return this.#capabilities;
  }

  /** Gives an order, again and again while the engine is away. Errors: SessionOver, and the order's own. */
  async through<T>(order: () => Promise<T>): Promise<T> {
    const { session } = this.#options;
    for (;;) {
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
      }
    }
  }

  #goDown(error: unknown): void {
    this.#problem = errorText(error);
    if (this.#down !== undefined) return;
    this.#options.log.warn(
      `The container engine does not answer; tasks wait until it does: ${this.#problem}`,
    );
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
    if (session.signal.aborted) return;
    log.info('The container engine answers.');
    onUp();
  }
}
