/** With each piece that waits to be taken, an answer holds the block of the log that it came from. */
const BLOCK_BYTES = 256 * 1024;
const MAX_BYTES = 12 * 1024 * 1024;

interface Waiting {
  /** What it holds. */
  readonly bytes: number;
  /** Ends it, and with it what it holds. */
  readonly cut: () => void;
}

/**
 * Bounds what long answers hold in memory while nobody reads them: about forty at a time. Beyond that the one that
 * has waited longest is cut off. Whoever reads has always just been waited for, however slow his line is; and whoever
 * has stopped reading for a while is left alone, as long as not many do.
 */
export class UnreadAnswers {
  readonly #maxBytes: number;
  /** Those that wait for their reader, the longest first. */
  readonly #waiting = new Map<object, Waiting>();
  #bytes = 0;

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** From now on `answer` waits for its reader with a piece of so many bytes. */
  wait(answer: object, pieceBytes: number, cut: () => void): void {
    this.go(answer);
    const bytes = pieceBytes + BLOCK_BYTES;
    this.#waiting.set(answer, { bytes, cut });
    this.#bytes += bytes;
    if (this.#bytes <= this.#maxBytes) return;
    for (const [longest, { cut: end }] of this.#waiting) {
      // The newest waits for one turn of the event loop, if somebody reads it.
      if (longest === answer) return;
      this.go(longest);
      end();
      if (this.#bytes <= this.#maxBytes) return;
    }
  }

  /** It was read, or is over. */
  go(answer: object): void {
    this.#bytes -= this.#waiting.get(answer)?.bytes ?? 0;
    this.#waiting.delete(answer);
  }
}
