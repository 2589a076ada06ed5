import type { Hint } from '../../src/core/runner.ts';
import { deferred } from '../../src/lib/deferred.ts';

/** Hints to everybody who listens, in order; none to who comes later, who first hears that it is connected. */
export class FakeHints {
  readonly #listeners = new Set<(hint: Hint) => void>();

  tell(hint: Hint): void {
    for (const listener of this.#listeners) listener(hint);
  }

  /** `connected`: at once; else with the next hint of it. */
  async *listen(signal: AbortSignal, connected: boolean): AsyncGenerator<Hint> {
    const queue: Hint[] = connected ? [{ kind: 'reconnected' }] : [];
    let wake = deferred<void>();
    const listener = (hint: Hint): void => {
      queue.push(hint);
      wake.resolve();
    };
    const end = (): void => wake.resolve();
    this.#listeners.add(listener);
    signal.addEventListener('abort', end);
    try {
      while (!signal.aborted) {
        yield* queue.splice(0);
        await wake.promise;
        wake = deferred();
      }
    } finally {
      this.#listeners.delete(listener);
      signal.removeEventListener('abort', end);
    }
  }
}
