/** The machine's clock, in the shape of the clock port. */
export class SystemClock {
  now(): number {
    return Date.now();
  }
  elapsed(): number {
    return performance.now();
  }
  setTimer(ms: number, fn: () => void): () => void {
    // setTimeout counts in 31 bits; longer waits would fire at once.
    const timer = setTimeout(fn, Math.min(ms, 2_147_483_647));
    return () => clearTimeout(timer);
  }
}
