import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

/** Crockford's base32 in lower case: no i, l, o, u, so that a name read aloud is typed right. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const UUID_BYTES = 16;
/** Random bytes come from the system some hundred ids at a time: asked for each one alone they are most of its cost. */
const POOL_BYTES = 4096;

/** Ids of production, in the shape of the ids port. */
export class SystemIds {
  readonly #pool = new Uint8Array(POOL_BYTES);
  #used = POOL_BYTES;

  uid(): string {
    return v7({ rng: () => this.#random(UUID_BYTES) });
  }
  suffix(length: number): string {
    let text = '';
    for (const byte of this.#random(length)) text += DIGITS[byte & 31] ?? '';
    return text;
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
