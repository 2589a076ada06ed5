import type { Clock } from '../core/clock.ts';
import type { Attempt } from '../core/execution.ts';

type Taken = Pick<Attempt, 'containerName' | 'deadline'>;

/** In ms of the clock that nobody sets; what is absent has not happened in this process. */
interface Times {
  startAsked?: number;
  /** Where another process started it: when that will have been. */
  started?: number;
  stopSent?: number;
}

/**
 * When containers were started and told to end, by container name. The time of day may be set meanwhile, forward or
 * back, and what is stored is in the time of day: this process goes by a clock that nobody sets, over all of its
 * sessions. A machine that sleeps has its containers sleep too (but for those of an engine elsewhere, which have that
 * much longer). Who takes a container over from another process has nothing but the time of day to go by, and never gives
 * more than the whole timeout.
 */
export class RunTimes {
  readonly #clock: Clock;
  readonly #of = new Map<string, Times>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Its start is about to be asked for: it does not run yet. */
  startAsked(name: string): void {
    this.#timesOf(name).startAsked ??= this.#clock.elapsed();
  }

  /** This process has just started it. */
  started(name: string): void {
    this.#timesOf(name).started = this.#clock.elapsed();
  }

  /** It was started before, by this process or another; without a deadline (epoch ms, stored with its start) it was not. */
  takenOver({ containerName, deadline }: Taken, timeoutMs: number): void {
    if (deadline === null || this.ranMs(containerName) !== null) return;
    const times = this.#timesOf(containerName);
    const now = this.#clock.elapsed();
    const ran = Math.max(0, timeoutMs - (deadline - this.#clock.now()));
    times.started = now - Math.min(ran, now - (times.startAsked ?? -Infinity));
  }

  /** For how long it has run; null where it was not started yet as far as is known. */
  ranMs(name: string): number | null {
    const started = this.#of.get(name)?.started;
    return started === undefined ? null : this.#clock.elapsed() - started;
  }

  /** It was told to end, which was begun at `elapsed`, and the engine did not say no. */
  stopSent(name: string, elapsed: number): void {
    this.#timesOf(name).stopSent ??= elapsed;
  }

  /**
   * What is left of its grace: all of it where this process has not told it to end. Another may have; then the engine
   * kills it when that one's grace is over.
   */
  graceLeftMs(name: string, graceMs: number): number {
    const sent = this.#of.get(name)?.stopSent;
    return sent === undefined ? graceMs : Math.max(0, graceMs - (this.#clock.elapsed() - sent));
  }

  /** All others have ended, here or elsewhere. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.#of.keys()) if (!names.has(name)) this.#of.delete(name);
  }

  end(name: string): void {
    this.#of.delete(name);
  }

  #timesOf(name: string): Times {
    const times = this.#of.get(name) ?? {};
    this.#of.set(name, times);
    return times;
  }
}
