import { TappetError } from '../core/errors.ts';

/** Also with small bodies this many bytes may be on their way; with large ones at least four bodies. */
const MIN_BUDGET = 64 * 1024 * 1024;
const MIN_BODIES = 4;
/** Four thousand bodies of 4 KiB at a time, or 256 of the largest that may be announced. */
const ANNOUNCED_BUDGET = 16 * 1024 * 1024;

/**
 * Bounds what all requests together hold in memory before anyone looked at their credentials: what has come in of
 * them. Beside that a little for bodies which are counted as they are announced, at once and without looking at their
 * pieces; where that is used up, by many calls or by some that announce and never send, the others are counted too.
 */
export class BodyBudget {
  #taken = 0;
  #announced = 0;

  /** A share of nothing yet. `maxBody` is the limit of one body, in bytes. */
  share(maxBody: number): BodyShare {
    return new BodyShare(this, Math.max(MIN_BUDGET, MIN_BODIES * maxBody));
  }

  /** Whether there is room for `bytes` more (which may be negative) under `limit`; then they are taken. */
  take(bytes: number, limit: number): boolean {
    if (bytes > 0 && this.#taken + bytes > limit) return false;
    this.#taken += bytes;
    return true;
  }

  /** The same of what is only announced. */
  takeAnnounced(bytes: number): boolean {
    if (bytes > 0 && this.#announced + bytes > ANNOUNCED_BUDGET) return false;
    this.#announced += bytes;
    return true;
  }
}

export class BodyShare {
  readonly #budget: BodyBudget;
  readonly #limit: number;
  #bytes = 0;
  #announced = 0;
  /** A `grow` has failed. */
  refused = false;

  constructor(budget: BodyBudget, limit: number) {
    this.#budget = budget;
    this.#limit = limit;
  }

  /** Whether so much may come in without being counted; called once. */
  announce(bytes: number): boolean {
    if (!this.#budget.takeAnnounced(bytes)) return false;
    this.#announced = bytes;
    return true;
  }

  /** Errors: STORE_UNAVAILABLE where there is no room; `free` then still gives back what was taken before. */
  grow(bytes: number): void {
    if (!this.#budget.take(bytes, this.#limit)) {
      this.refused = true;
      const message =
        'More bodies are on their way than the gateway holds at a time. Send the same again later.';
      throw new TappetError('STORE_UNAVAILABLE', message, { retryAfter: 1 });
    }
    this.#bytes += bytes;
  }

  free(): void {
    this.#budget.take(-this.#bytes, this.#limit);
    this.#budget.takeAnnounced(-this.#announced);
    this.#bytes = 0;
    this.#announced = 0;
  }
}
