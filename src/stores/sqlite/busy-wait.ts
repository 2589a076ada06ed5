import type { Clock } from '../../core/clock.ts';

/** SQLite's writer lock is held for milliseconds: short enough to be quick, long enough not to burn a core. */
export const BUSY_PAUSE_MS = 5;
/** Longer than any commit or checkpoint of a healthy neighbour; then callers are told to come again. */
const BUSY_LIMIT_MS = 10_000;

/** How long another process has kept the database from us, by the clock that nobody sets. */
export class BusyWait {
  readonly #clock: Clock;
  #since: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** It is to be called each time that the database was found held. */
  tooLong(): boolean {
    this.#since ??= this.#clock.elapsed();
    return this.#clock.elapsed() - this.#since >= BUSY_LIMIT_MS;
  }

  /** Until the next try. */
  pause(fn: () => void): void {
    this.#clock.setTimer(BUSY_PAUSE_MS, fn);
  }

  /** It was not held, or was given up: the next time begins anew. */
  end(): void {
    this.#since = undefined;
  }
}
