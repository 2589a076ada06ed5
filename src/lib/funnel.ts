import { deferred } from './deferred.ts';
import type { Deferred } from './deferred.ts';

/**
 * Many producers, one consumer: each producer waits until its value was taken, so that nothing piles up.
 * open → ended (all values taken, or failed) | left (the consumer has gone: what is put is dropped).
 */
export class Funnel<T> {
  readonly #waiting: { readonly value: T; readonly taken: Deferred<void> }[] = [];
  #news = deferred<void>();
  #ended = false;
  #left = false;
  #failure: { readonly error: unknown } | undefined;

  async put(value: T): Promise<void> {
    if (this.#left) return;
    const taken = deferred<void>();
    this.#waiting.push({ value, taken });
    this.#news.resolve();
    await taken.promise;
  }

  /** Nothing more comes. */
  end(): void {
    this.#ended = true;
    this.#news.resolve();
  }

  /** The consumer gets `error` next. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#news.resolve();
  }

  /** For one consumer. Errors: that of `fail`. */
  async *values(): AsyncGenerator<T> {
    try {
      for (;;) {
        const next = this.#waiting.shift();
        if (this.#failure !== undefined) throw this.#failure.error;
        if (next !== undefined) {
          try {
            yield next.value;
          } finally {
            next.taken.resolve();
          }
          continue;
        }
        if (this.#ended) return;
        await this.#news.promise;
        this.#news = deferred<void>();
      }
    } finally {
      this.#left = true;
      for (const { taken } of this.#waiting.splice(0)) taken.resolve();
    }
  }
}
