/** Ten thousand keys are about a megabyte. */
const MAX_KEYS = 10_000;

export interface BucketLimit {
  readonly requests: number;
  readonly perMs: number;
}

/**
 * A token bucket per key, kept as one number: when it will be full again. It begins full with `requests` tokens, and
 * gets as many again in each `perMs`. Bounded: of too many keys, the one that was used longest ago is forgotten, which
 * fills its bucket.
 */
export class TokenBuckets {
  readonly #fullAt = new Map<string, number>();
  /** Times are kept from here on: epoch ms have no room for the digits of a fraction, and the errors would add up. */
  #base: number | undefined;
  readonly #maxKeys: number;

  constructor(maxKeys = MAX_KEYS) {
    this.#maxKeys = maxKeys;
  }

  /** Takes a token: 0, or where there is none, in how many ms there will be one. */
  take(key: string, epochMs: number, { requests, perMs }: BucketLimit): number {
    this.#base ??= epochMs;
    const now = epochMs - this.#base;
    // At most an empty bucket's: the clock may have been set back, and the limit changed.
    const fullAt = Math.min(Math.max(this.#fullAt.get(key) ?? now, now), now + perMs);
    const perToken = perMs / requests;
    const next = fullAt + perToken;
    const wait = next - perMs - now;
    if (wait > perToken / 2 ** 10) return wait;
    this.#fullAt.delete(key);
    if (this.#fullAt.size >= this.#maxKeys) this.#forgetOldest();
    this.#fullAt.set(key, next);
    return 0;
  }

  get size(): number {
    return this.#fullAt.size;
  }

  #forgetOldest(): void {
    const oldest = this.#fullAt.keys().next();
    if (oldest.done !== true) this.#fullAt.delete(oldest.value);
  }
}
