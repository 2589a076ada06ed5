import type { Ids } from '../../src/core/ids.ts';

const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';

/** Ids that repeat from run to run: a counter, and digits from a small linear generator. */
export class SeededIds implements Ids {
  #n = 0;
  #state: number;
  constructor(seed = 1) {
    this.#state = seed >>> 0 || 1;
  }
  uid(): string {
    const n = (++this.#n).toString(16).padStart(12, '0');
    return `00000000-0000-7000-8000-${n}`;
  }
  nameDigits(): string {
    return this.suffix(10);
  }
  suffix(length: number): string {
    let out = '';
    for (let i = 0; i < length; i++) {
      // Numerical Recipes' constants; only the high bits are used, the low ones repeat quickly.
      this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
      out += DIGITS[this.#state >>> 27] ?? '0';
    }
    return out;
  }
}
