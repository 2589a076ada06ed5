/** The only source of time. Tests and the simulator move it, backwards too. */
export interface Clock {
  /** Epoch milliseconds, whole. */
  now(): number;
  /** Ms since some moment, on a clock that nobody sets and that goes on while this process is suspended; absent = there is none. */
  elapsed?(): number;
  /** Calls `fn` once after `ms`; returns a function that cancels it. */
  setTimer(ms: number, fn: () => void): () => void;
}
