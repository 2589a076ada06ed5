/** The only source of time. Tests and the simulator move it, backwards too. */
export interface Clock {
  /** Epoch milliseconds, whole. */
  now(): number;
  /** Calls `fn` once after `ms`; returns a function that cancels it. */
  setTimer(ms: number, fn: () => void): () => void;
}
