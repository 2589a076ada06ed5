/** With each piece that waits to be taken, an answer holds the block of the log that it came from. */
const BLOCK_BYTES = 256 * 1024;
const MAX_BYTES = 12 * 1024 * 1024;
/** What holds more (the last lines of a log, where they are long: 16 MiB at most) has a room of its own. */
const LARGE_BYTES = 3 * 1024 * 1024;
const MAX_LARGE_BYTES = 56 * 1024 * 1024;

export interface Waiting {
  /** What it holds until it is read. */
  readonly bytes: number;
  /** Whoever asked for it. */
  readonly caller: string;
  /** Ends it, and with it what it holds. */
  readonly cut: () => void;
}

/**
 * Bounds what long answers hold in memory while nobody reads them: 12 MiB, that is about forty at a time; and beside
 * that 56 MiB of those that hold much each, so that one of these ends no other. Beyond that the caller whose answers
 * hold most loses the one that has waited longest. Whoever reads has always just been waited for, however slow his line
 * is; and whoever has stopped reading for a while is left alone, as long as not many do.
 */
export class UnreadAnswers {
  readonly #usual: Room;
  readonly #large: Room;

  constructor(maxBytes = MAX_BYTES, maxLargeBytes = MAX_LARGE_BYTES) {
    this.#usual = new Room(maxBytes);
    this.#large = new Room(maxLargeBytes);
  }

  /** From now on `answer` waits for its reader. */
  wait(answer: object, { bytes, caller, cut }: Waiting): void {
    this.go(answer);
    const room = bytes > LARGE_BYTES ? this.#large : this.#usual;
    room.add(answer, { bytes: bytes + BLOCK_BYTES, caller, cut });
  }

  /** It was read, or is over. */
  go(answer: object): void {
    this.#usual.remove(answer);
    this.#large.remove(answer);
  }
}

class Room {
  readonly #maxBytes: number;
  /** Those that wait for their reader, the longest first. */
  readonly #waiting = new Map<object, Waiting>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(answer: object, waiting: Waiting): void {
    this.#waiting.set(answer, waiting);
    this.#bytes += waiting.bytes;
    // Nobody is cut off for one that would have no room by itself either.
    if (waiting.bytes > this.#maxBytes) return;
    while (this.#bytes > this.#maxBytes) {
      const next = this.#next(answer);
      if (next === undefined) return;
      const cut = this.#waiting.get(next)?.cut;
      this.remove(next);
      cut?.();
    }
  }

  remove(answer: object): void {
    this.#bytes -= this.#waiting.get(answer)?.bytes ?? 0;
    this.#waiting.delete(answer);
  }

  /** Which to cut off; never the newest, which waits for one turn of the event loop, if somebody reads it. */
  #next(newest: object): object | undefined {
    const held = new Map<string, number>();
    for (const { caller, bytes } of this.#waiting.values()) held.set(caller, (held.get(caller) ?? 0) + bytes);
    let most = 0;
    let next: object | undefined;
    for (const [answer, { caller }] of this.#waiting) {
      const bytes = held.get(caller) ?? 0;
      if (answer === newest || bytes <= most) continue;
      most = bytes;
      next = answer;
    }
    return next;
  }
}
