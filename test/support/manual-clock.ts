import type { Clock } from '../../src/core/clock.ts';

interface Timer {
  at: number;
  seq: number;
  fn: () => void;
}

/** A clock that stands still until a test moves it; timers fire in order of their time, then of their making. */
export class ManualClock implements Clock {
  #now: number;
  /** What timers run on: a jump of `set` changes the wall time only, as on a real machine. */
  #elapsed = 0;
  #seq = 0;
  readonly #timers = new Set<Timer>();

  constructor(now: number | string = '2026-01-01T00:00:00Z') {
    this.#now = typeof now === 'string' ? Date.parse(now) : now;
  }

  now(): number {
    return this.#now;
  }

  elapsed(): number {
    return this.#elapsed;
  }

  setTimer(ms: number, fn: () => void): () => void {
    const timer: Timer = { at: this.#elapsed + Math.max(0, ms), seq: this.#seq++, fn };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves the wall time alone, backwards too: what an operator or NTP does. Timers do not notice. */
  set(now: number | string): void {
    this.#now = typeof now === 'string' ? Date.parse(now) : now;
  }

  /** Lets `ms` pass: fires every timer that falls due, in order, with pending promises run after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    for (;;) {
      const next = this.#nextTimer(end);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#pass(next.at - this.#elapsed);
      next.fn();
      await settle();
    }
    this.#pass(end - this.#elapsed);
    await settle();
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** As if the process that set them had ended: no timer fires. */
  forget(): void {
    this.#timers.clear();
  }

  #pass(ms: number): void {
    this.#elapsed += ms;
    this.#now += ms;
  }

  #nextTimer(end: number): Timer | undefined {
    let best: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at > end) continue;
      if (best === undefined || timer.at < best.at || (timer.at === best.at && timer.seq < best.seq))
        best = timer;
    }
    return best;
  }
}

/** Runs what is ready: promise callbacks and immediates, several rounds, as awaits chain. */
export async function settle(rounds = 10): Promise<void> {
  for (let i = 0; i < rounds; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
