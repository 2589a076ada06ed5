import type { Clock } from '../../src/core/clock.ts';

interface Timer {
  readonly at: number;
  readonly fn: () => void;
}

/** Elapsed time, on which timers run, and the time of day beside it, which jumps. Moves only when told. */
export class VirtualTime {
  #wall: number;
  #elapsed = 0;
  /** The next one last; of those at the same moment the first made. */
  readonly #timers: Timer[] = [];

  constructor(start: number) {
    this.#wall = start;
  }

  now(): number {
    return this.#wall;
  }

  elapsed(): number {
    return this.#elapsed;
  }

  jump(ms: number): void {
    this.#wall += ms;
  }

  setTimer(ms: number, fn: () => void): () => void {
    const timer = { at: this.#elapsed + Math.max(0, ms), fn };
    const before = this.#timers.findLastIndex(({ at }) => at > timer.at);
    this.#timers.splice(before + 1, 0, timer);
    return () => {
      const i = this.#timers.lastIndexOf(timer);
      if (i !== -1) this.#timers.splice(i, 1);
    };
  }

  /** The clock of one process: its timers die with it. */
  clockOf(process: { readonly alive: boolean }): Clock {
    return {
      now: () => this.now(),
      elapsed: () => this.elapsed(),
      setTimer: (ms, fn) =>
        this.setTimer(ms, () => {
          if (process.alive) fn();
        }),
    };
  }

  /** Lets `ms` pass; after each timer that fires, whatever `after` does comes first. */
  async advance(ms: number, after: () => Promise<void>): Promise<void> {
    const end = this.#elapsed + ms;
    for (let timer = this.#take(end); timer !== undefined; timer = this.#take(end)) {
      this.#pass(timer.at - this.#elapsed);
      timer.fn();
      await after();
    }
    this.#pass(end - this.#elapsed);
  }

  #take(end: number): Timer | undefined {
    const next = this.#timers.at(-1);
    return next !== undefined && next.at <= end ? this.#timers.pop() : undefined;
  }

  #pass(ms: number): void {
    this.#elapsed += ms;
    this.#wall += ms;
  }
}

/**
 * Resolves when every promise callback that could run has run: Node calls the next tick only then. Nothing under
 * simulation does real I/O, or asks for a tick or a turn of the event loop itself (a turn would cost three times as much).
 */
export function quiesce(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
