/** So many compiled definitions take some 20 ms. */
const EVERY = 50;

/**
 * For a long loop in a process that has other work: a function to await in each round, which lets the event loop turn
 * after each `every` calls.
 */
export function breather(every = EVERY): () => Promise<void> | undefined {
  let calls = 0;
  return () => {
    calls++;
    return calls % every === 0 ? new Promise((resolve) => setImmediate(resolve)) : undefined;
  };
}
