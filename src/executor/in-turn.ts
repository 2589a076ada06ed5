import type { Semaphore } from '../lib/semaphore.ts';
import { onAbort } from '../lib/service.ts';

/**
 * Runs `fn` as soon as there is room, unless `signal` aborts before its turn has come; then it throws the signal's
 * reason at once. Once begun it goes to its own end, which is `fn`'s affair.
 */
export async function inTurn<T>(turns: Semaphore, signal: AbortSignal, fn: () => Promise<T>): Promise<T> {
  let begun = false;
  const turn = turns.run(() => {
    signal.throwIfAborted();
    begun = true;
    return fn();
  });
  let undo = (): void => undefined;
  const aborted = new Promise<void>((resolve) => (undo = onAbort(signal, resolve)));
  try {
    await Promise.race([turn, aborted]);
    if (begun) return await turn;
    // Its turn comes later, and nobody waits for it any more.
    turn.catch(() => undefined);
    signal.throwIfAborted();
    return await turn;
  } finally {
    undo();
  }
}
