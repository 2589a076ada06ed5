import type { Clock } from '../core/clock.ts';
import { errorText } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { Runner } from '../core/runner.ts';
import { onAbort, OVER, pause } from '../lib/service.ts';
import type { EngineGate } from './engine-gate.ts';
import type { RunTimes } from './run-times.ts';
import { SessionOver } from './session.ts';

/**
 * The kernel keeps SIGTERM from a first process that has set up nothing for it yet, and a shell that has set no trap yet
 * ends at once: whoever has run for less is told to end when he has run so long. SIGKILL still comes within a second of
 * when it is due, where the grace is whole seconds.
 */
const FIRST_MOMENTS_MS = 500;
/** The engine kills at the end of the grace by itself; where it did not (it was restarted meanwhile), we do. */
const KILL_AFTER_GRACE_MS = 5_000;
/** What even SIGKILL does not end within this time is removed by force. */
const REMOVE_AFTER_KILL_MS = 5_000;
/** Where the engine refuses even that: again, ever more seldom, up to this. */
const AGAIN_MAX_MS = 5 * 60_000;

export interface StopperOptions {
  readonly runner: Runner;
  readonly gate: EngineGate;
  readonly clock: Clock;
  readonly times: RunTimes;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Something was done to the container: look at it. */
  readonly onAct: () => void;
}

/**
 * Ends one container: idle → asked (SIGTERM, the engine owns the grace) → killed → removed → killed …; `cancel` at
 * its end. After a restart of the gateway it begins anew.
 */
export class Stopper {
  readonly #options: StopperOptions;
  #end: (() => void) | undefined;
  #removed = false;
  #waits = false;
  #stage: string | null = null;
  #problem: string | null = null;

  constructor(options: StopperOptions) {
    this.#options = options;
  }

  get begun(): boolean {
    return this.#end !== undefined;
  }

  /** It is told to end in a moment. */
  get waits(): boolean {
    return this.#waits;
  }

  /** The engine has said that it removed it. */
  get removed(): boolean {
    return this.#removed;
  }

  /** How far it is, in words that follow "It"; null before, and once the container has ended. */
  get words(): string | null {
    if (this.#stage === null || this.#problem === null) return this.#stage;
    return `${this.#stage}; the engine last said: ${this.#problem}`;
  }

  /** Idempotent; goes on in the background. */
  begin(name: string, graceMs: number): void {
    if (this.begun) return;
    const abort = new AbortController();
    const undo = onAbort(this.#options.signal, () => abort.abort(OVER));
    this.#end = () => {
      undo();
      abort.abort(OVER);
    };
    const { clock, times } = this.#options;
    const left = times.graceLeftMs(name, graceMs);
    const wait = left === 0 ? 0 : Math.max(0, FIRST_MOMENTS_MS - (times.ranMs(name) ?? FIRST_MOMENTS_MS));
    const killed = new Date(clock.now() + wait + left).toISOString();
    this.#waits = wait > 0;
    const told = this.#waits ? 'is asked to end in a moment' : 'was asked to end';
    this.#stage = `${told}, and is killed if it still runs at ${killed}`;
    void this.#run(name, wait, left, abort.signal);
  }

  /** The container has ended. */
  cancel(): void {
    this.#stage = null;
    this.#end?.();
  }

  async #run(name: string, waitMs: number, graceMs: number, signal: AbortSignal): Promise<void> {
    const { runner, clock, times } = this.#options;
    if (waitMs > 0) await pause(clock, waitMs, signal);
    await this.#act(`stop ${name}`, async () => {
      if (signal.aborted) return;
      this.#waits = false;
      const begun = clock.elapsed();
      await runner.stop(name, graceMs);
      if (!signal.aborted) times.stopSent(name, begun);
    });
    await pause(clock, graceMs + KILL_AFTER_GRACE_MS, signal);
    for (let wait = REMOVE_AFTER_KILL_MS; ; wait = Math.min(2 * wait, AGAIN_MAX_MS)) {
      if (signal.aborted) return;
      this.#problem = null;
      this.#stage = 'did not end when it was asked, and is being killed';
      if (await this.#act(`kill ${name}`, () => runner.kill(name)))
        this.#stage = 'was killed, and has not ended yet';
      await pause(clock, wait, signal);
      if (signal.aborted) return;
      if (await this.#act(`remove ${name} by force`, () => runner.remove(name))) this.#removed = true;
      await pause(clock, wait, signal);
    }
  }

  /** Whether it worked: an order that fails is followed by the next, stronger one. */
  async #act(what: string, order: () => Promise<void>): Promise<boolean> {
    const { gate, log, onAct } = this.#options;
    try {
      await gate.through(order);
      this.#problem = null;
      return true;
    } catch (error) {
      if (error instanceof SessionOver) return false;
      this.#problem = errorText(error);
      log.warn(`Could not ${what}: ${this.#problem}`);
      return false;
    } finally {
      onAct();
    }
  }
}
