import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

/** Crockford's base32 in lower case: no i, l, o, u, so that a name read aloud is typed right. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const UUID_BYTES = 16;
/** Random bytes come from the system some hundred ids at a time: asked for each one alone they are most of its cost. */
const POOL_BYTES = 4096;
/** Names of so many ms begin alike: a commit or two of a busy gateway. */
const MOMENT_MS = 32;
/** The moments begin anew after 32,768, every 17 minutes: more digits would leave fewer for chance. */
const MOMENT_DIGITS = 3;
/** 35 bits. A hundred names of one job in a moment, 3,000 a second, collide once in some days; whoever comes second gets another. */
const NAME_CHANCE_DIGITS = 7;

/** Ids of production, in the shape of the ids port. */
export class SystemIds {
  readonly #pool = new Uint8Array(POOL_BYTES);
  #used = POOL_BYTES;
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  uid(): string {
    return v7({ rng: () => this.#random(UUID_BYTES) });
  }
  suffix(length: number): string {
    let text = '';
    for (const byte of this.#random(length)) text += DIGITS[byte & 31] ?? '';
    return text;
  }

  nameDigits(): string {
    const moment = Math.floor(this.#now() / MOMENT_MS);
    let text = '';
    for (let digit = MOMENT_DIGITS - 1; digit >= 0; digit--)
      text += DIGITS[Math.floor(moment / 32 ** digit) % 32] ?? '';
    return text + this.suffix(NAME_CHANCE_DIGITS);
  }

  /** Each byte is given once. At most POOL_BYTES. */
  #random(length: number): Uint8Array {
    if (this.#used + length > POOL_BYTES) {
      randomFillSync(this.#pool);
      this.#used = 0;
    }
    this.#used += length;
    return this.#pool.slice(this.#used - length, this.#used);
  }
}
