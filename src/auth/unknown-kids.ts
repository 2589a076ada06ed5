import type { Clock } from '../core/clock.ts';

/** Tokens with an unknown `kid` cost their sender nothing, so that they may cause so many reads in this time in all. */
const READS = { max: 2, withinMs: 60_000 };
/** A `kid` that was not there causes no other read for so long: one sender with an old key must not use up the reads. */
const REMEMBERED_MS = 30_000;

/** Which unknown `kid` may have the keys of an issuer read again. Bounded in reads, and so in memory. */
export class UnknownKids {
  readonly #clock: Clock;
  /** Those that still count, the oldest first. */
  #reads: { readonly kid: string | undefined; readonly time: number }[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** true = the keys are to be read now, for this one. */
  mayRead(kid: string | undefined): boolean {
    const now = this.#clock.now();
    // A time that lies ahead: the clock was set back.
    this.#reads = this.#reads.filter(({ time }) => time <= now && now - time < READS.withinMs);
    if (this.#reads.some((read) => read.kid === kid && now - read.time < REMEMBERED_MS)) return false;
    if (this.#reads.length >= READS.max) return false;
    this.#reads.push({ kid, time: now });
    return true;
  }
}
