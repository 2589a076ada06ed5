/** The only source of time. Tests and the simulator move it, backwards too. */
export interface Clock {
  /** Epoch milliseconds, whole. */
  now(): number;
  /** Ms since some moment, on a clock that nobody sets. It goes on while this process is suspended, not while the machine is. */
  elapsed(): number;
  /** Calls `fn` once after `ms`; returns a function that cancels it. */
  setTimer(ms: number, fn: () => void): () => void;
}
