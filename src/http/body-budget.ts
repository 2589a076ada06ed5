import { TappetError } from '../core/errors.ts';

/** Also with small bodies this many bytes may be on their way; with large ones at least four bodies. */
const MIN_BUDGET = 64 * 1024 * 1024;
const MIN_BODIES = 4;
/** Beside it, for small bodies alone: large ones leave room for them. */
const SMALL_BUDGET = 16 * 1024 * 1024;

/**
 * Bounds what all requests together hold in memory before anyone looked at their credentials: what has come in of them.
 * So whoever only announces takes nothing from anybody.
 */
export class BodyBudget {
  #taken = 0;
  #small = 0;

  /** A share of nothing yet. `maxBody` is the limit of one body, in bytes; `isSmall`: has the room for small ones, too. */
  share(maxBody: number, isSmall = false): BodyShare {
    return new BodyShare(this, Math.max(MIN_BUDGET, MIN_BODIES * maxBody), isSmall);
  }

  /** Whether there is room for `bytes` more (which may be negative) under `limit`; then they are taken. */
  take(bytes: number, limit: number): boolean {
    if (bytes > 0 && this.#taken + bytes > limit) return false;
    this.#taken += bytes;
    return true;
  }

  /** The same of the room for small bodies. */
  takeSmall(bytes: number): boolean {
    if (bytes > 0 && this.#small + bytes > SMALL_BUDGET) return false;
    this.#small += bytes;
    return true;
  }
}

export class BodyShare {
  readonly #budget: BodyBudget;
  readonly #limit: number;
  readonly #isSmall: boolean;
  #bytes = 0;
  #smallBytes = 0;
  /** What `grow` has thrown. */
  refusal: TappetError | undefined;

  constructor(budget: BodyBudget, limit: number, isSmall: boolean) {
    this.#budget = budget;
    this.#limit = limit;
    this.#isSmall = isSmall;
  }

  /** Errors: STORE_UNAVAILABLE where there is no room; `free` then still gives back what was taken before. */
  grow(bytes: number): void {
    if (this.#isSmall && this.#budget.takeSmall(bytes)) {
      this.#smallBytes += bytes;
      return;
    }
    if (!this.#budget.take(bytes, this.#limit)) {
      const message =
        'More bodies are on their way than the gateway holds at a time. Send the same again later.';
      this.refusal = new TappetError('STORE_UNAVAILABLE', message, { retryAfter: 1 });
      throw this.refusal;
    }
    this.#bytes += bytes;
  }

  free(): void {
    this.#budget.take(-this.#bytes, this.#limit);
    this.#budget.takeSmall(-this.#smallBytes);
    this.#bytes = 0;
    this.#smallBytes = 0;
  }
}
