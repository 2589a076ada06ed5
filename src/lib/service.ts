/** The one call of a clock that waiting needs. */
interface Timers {
  setTimer(ms: number, fn: () => void): () => void;
}

/** For `abort`, where nobody asks why: without a reason each abort makes an exception with its stack, 20 µs. */
export const OVER = 'over';

/** Resolves after `ms` by the clock, or at once when `signal` aborts; never rejects. */
export function pause(timers: Timers, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      undo();
      resolve();
    };
    const cancel = timers.setTimer(ms, end);
    const undo = onAbort(signal, end);
  });
}

/**
 * Calls `fn` when `signal` aborts, also where it has aborted already; returns a function that takes it back.
 *
 * Taken back, it lets go of `fn`: Node's listeners of one signal are linked, also after they were removed, so that one of
 * them in the old half of the heap would hold all later ones of a long-lived signal, each with what its `fn` holds, until
 * the whole heap is collected.
 */
export function onAbort(signal: AbortSignal, fn: () => void): () => void {
  if (signal.aborted) {
    fn();
    return () => undefined;
  }
  let held: (() => void) | undefined = fn;
  const listener = (): void => held?.();
  signal.addEventListener('abort', listener, { once: true });
  return () => {
    held = undefined;
    signal.removeEventListener('abort', listener);
  };
}

/**
 * The lifecycle of everything that runs in the background.
 * new → started → stopped; new → stopped (then `start` does nothing); `stop` again waits for the same end.
 */
export abstract class Service {
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;

  /** Begins; resolves at once. The end of `signal` stops it too. */
  start(signal?: AbortSignal): Promise<void> {
    if (this.#running !== undefined || this.#abort.signal.aborted) return Promise.resolve();
    if (signal !== undefined) onAbort(signal, () => this.#abort.abort());
    this.#running = this.run(this.#abort.signal);
    // Whoever stops it hears of a failure; until then it must not end the process as unhandled.
    this.#running.catch(() => undefined);
    return Promise.resolve();
  }

  /** Resolves when the work has ended. Idempotent; legal before `start`. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  /** Works until `signal` aborts. Handles its own errors. */
  protected abstract run(signal: AbortSignal): Promise<void>;
}
