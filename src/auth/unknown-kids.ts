import type { Clock } from '../core/clock.ts';

/** Tokens with an unknown `kid` cost their sender nothing, so that they may cause so many reads in this time in all. */
const READS = { max: 2, withinMs: 60_000 };
/** A `kid` that was not there causes no other read for so long: one sender with an old key must not use up the reads. */
const REMEMBERED_MS = 30_000;
const MAX_REMEMBERED = 100;
/** No issuer's are longer than a digest; what a sender made up is not worth keeping. */
const MAX_LENGTH = 256;

/** Which unknown `kid` may have the keys of an issuer read again. Bounded in reads and in memory. */
export class UnknownKids {
  readonly #clock: Clock;
  #readTimes: number[] = [];
  /** By `kid`, in the order of `time`. */
  readonly #remembered = new Map<string | undefined, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** true = the keys are to be read now, for this one. */
  mayRead(kid: string | undefined): boolean {
    const now = this.#clock.now();
    // A time that lies ahead: the clock was set back.
    const within = (time: number | undefined, ms: number): boolean =>
      time !== undefined && time <= now && now - time < ms;
    if (kid !== undefined && kid.length > MAX_LENGTH) return false;
    if (within(this.#remembered.get(kid), REMEMBERED_MS)) return false;
    this.#readTimes = this.#readTimes.filter((time) => within(time, READS.withinMs));
    if (this.#readTimes.length >= READS.max) return false;
    this.#readTimes.push(now);
    this.#remember(kid, now);
    return true;
  }

  #remember(kid: string | undefined, now: number): void {
    this.#remembered.delete(kid);
    this.#remembered.set(kid, now);
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size > MAX_REMEMBERED) this.#remembered.delete(oldest);
  }
}
