/** At most `permits` calls at a time; those that wait go in the order of their coming. */
export class Semaphore {
  #permits: number;
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(permits: number) {
    if (!Number.isInteger(permits) || permits < 1)
      throw new TypeError('a semaphore needs at least one permit');
    this.#permits = permits;
    this.#free = permits;
  }

  /** Gives `permits` in all from now on; never fewer than before. */
  widen(permits: number): void {
    for (; this.#permits < permits; this.#permits += 1) this.#leave();
  }

  /** Runs `fn` as soon as there is room, in this very turn where there is some already. */
  async run<T>(fn: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    // The one who leaves hands its permit over, so that a newcomer cannot slip in between.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await fn();
    } finally {
      this.#leave();
    }
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
