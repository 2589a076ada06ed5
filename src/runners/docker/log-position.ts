import type { LogCursor, LogStream } from '../../core/log-sink.ts';
import { GAP_END, GAP_LINE } from './gap-line.ts';

const NEWLINE = 0x0a;

/** As much as a cursor keeps; enough that an accidental match is out of the question. */
const TAIL_BYTES = 4096;
/** A shorter tail is too likely to occur by accident to go on behind it in a log whose beginning is gone. */
const MIN_SEARCH_BYTES = 16;
/**
 * Docker keeps what it has of a line that is not finished to itself, up to so many bytes, while an attached stream gives
 * it at once: its log may end before what was taken. What it kept is lost where it is killed.
 */
const KEPT_BACK_BYTES = 16 * 1024;

/** Passes over what was taken already, checking that it is what was taken. */
export interface Skip {
  /** The bytes beyond the position; null from where the log turned out to be another. */
  push(data: Buffer): Buffer | null;
  /** The log was the same before the position, and reached it, but for a line that was not finished there. */
  readonly aligned: boolean;
}

/** Where in the engine's log of one stream the next byte to take is, and the bytes before it. */
export class LogPosition {
  #at: number;
  #tail: Buffer;
  /** Of the tail, what stands behind the last gap line; null where there is none. */
  #behind: Buffer | null;

  constructor(cursor: LogCursor[LogStream]) {
    const { tail, behind, gapBytes } = withoutGaps(Buffer.from(cursor.tail));
    this.#at = cursor.bytes - gapBytes;
    this.#tail = tail;
    this.#behind = behind;
  }

  took(data: Buffer): void {
    this.#at += data.length;
    this.#tail = lastOf(this.#tail, data);
    if (this.#behind !== null) this.#behind = lastOf(this.#behind, data);
  }

  /** Nothing was taken since the gap line: it stands where a gap would be told of. */
  get endsInGap(): boolean {
    return this.#behind?.length === 0;
  }

  /** `search` has found its place at `end` in the log as it is now. */
  moveTo(search: Search, end: number): void {
    this.#at = end;
    this.#tail = lastOf(Buffer.alloc(0), search.tail.subarray(Math.max(0, search.tail.length - end)));
    this.#behind = null;
  }

  /** From the log's present beginning. */
  restart(): void {
    this.#at = 0;
    this.#tail = Buffer.alloc(0);
    this.#behind = null;
  }

  skip(): Skip {
    return new TailCheck(this.#at, this.#tail, (bytes) => this.#lost(bytes));
  }

  /** What to find the place by, the best first; none where too little is known. */
  searches(): Search[] {
    const long = [this.#tail, this.#behind ?? Buffer.alloc(0)].filter(
      ({ length }) => length >= MIN_SEARCH_BYTES,
    );
    const searches = long.map((tail) => new TailSearch(tail));
    return this.#tail.length < MIN_SEARCH_BYTES ? searches : [...searches, new HeadSearch(this.#tail)];
  }

  /** The last `bytes` taken will never stand in the log. */
  #lost(bytes: number): void {
    this.#at -= bytes;
    this.#tail = this.#tail.subarray(0, this.#tail.length - bytes);
    if (this.#behind !== null)
      this.#behind = this.#behind.subarray(0, Math.max(0, this.#behind.length - bytes));
  }
}

/** How many bytes at the end of `tail` are of a line that is not finished; all of them where no line ends in it. */
function unfinished(tail: Buffer): number {
  return tail.length - 1 - tail.lastIndexOf(NEWLINE);
}

function lastOf(before: Buffer, data: Buffer): Buffer {
  // A copy: a view would keep the whole chunk alive.
  const joined = data.length >= TAIL_BYTES ? data : Buffer.concat([before, data]);
  return Buffer.from(joined.subarray(Math.max(0, joined.length - TAIL_BYTES)));
}

/**
 *   same → (the end of the lines that were taken) → same → (the position) → beyond
 *   same → differs, before the end of the lines; or behind it, where what is compared is not enough to go by
 *   same → beyond, where what was taken of the line behind them is not in the log: the engine has lost it
 */
class TailCheck implements Skip {
  readonly #until: number;
  readonly #tail: Buffer;
  readonly #onLost: (bytes: number) => void;
  /** Where the lines end that were taken whole. */
  readonly #lines: number;
  #seen = 0;
  #state: 'same' | 'differs' | 'beyond' = 'same';

  constructor(until: number, tail: Buffer, onLost: (bytes: number) => void) {
    this.#until = until;
    this.#tail = tail;
    this.#onLost = onLost;
    this.#lines = until - unfinished(tail);
    // Without a tail nothing can be compared: bytes that nobody has seen would be passed over.
    if (until > 0 && tail.length === 0) this.#state = 'differs';
  }

  get aligned(): boolean {
    if (this.#state !== 'same') return this.#state === 'beyond';
    // Where the line is longer than the tail, its beginning is not known.
    const isLong = this.#lines > 0 && this.#lines === this.#until - this.#tail.length;
    return this.#seen >= (isLong ? this.#until - KEPT_BACK_BYTES : this.#lines);
  }

  push(data: Buffer): Buffer | null {
    const from = this.#seen;
    this.#seen += data.length;
    if (this.#state === 'beyond') return data;
    if (this.#state === 'same' && !this.#matches(data, from, this.#until)) {
      if (this.#matches(data, from, this.#lines) && this.#isCertain()) return this.#withoutLost(data, from);
      this.#state = 'differs';
    }
    return this.#state === 'differs'
      ? null
      : data.subarray(Math.min(data.length, Math.max(0, this.#until - from)));
  }

  /** The lines are all that was ever taken, or enough of them was compared. */
  #isCertain(): boolean {
    const compared = this.#lines - (this.#until - this.#tail.length);
    return compared === this.#lines || compared >= MIN_SEARCH_BYTES;
  }

  /** What of the log stands behind the lines; what came of it before `data` was as the line that is lost began. */
  #withoutLost(data: Buffer, from: number): Buffer {
    const line = this.#tail.subarray(this.#tail.length - (this.#until - this.#lines));
    this.#state = 'beyond';
    this.#onLost(line.length);
    return Buffer.concat([
      line.subarray(0, Math.max(0, from - this.#lines)),
      data.subarray(Math.max(0, this.#lines - from)),
    ]);
  }

  /** Compares what `data`, at offset `from`, shares with the tail up to the offset `until`. */
  #matches(data: Buffer, from: number, until: number): boolean {
    const tailFrom = this.#until - this.#tail.length;
    const start = Math.max(from, tailFrom);
    const end = Math.min(from + data.length, until);
    if (start >= end) return true;
    return data
      .subarray(start - from, end - from)
      .equals(this.#tail.subarray(start - tailFrom, end - tailFrom));
  }
}

/** Looks for the place behind what was taken in a log that is not what it was. */
export interface Search {
  readonly tail: Buffer;
  /** The offset of the place, once it is found. */
  push(data: Buffer): number | null;
  /** The same at the log's end. */
  end(): number | null;
}

/** What to look for: the log may not have the line that is not finished, or never will. */
function linesOf(tail: Buffer): Buffer {
  const lines = tail.subarray(0, tail.length - unfinished(tail));
  return lines.length < MIN_SEARCH_BYTES ? tail : lines;
}

/** Finds the first occurrence of the tail in a stream, with no more than the tail's length kept. */
class TailSearch implements Search {
  readonly tail: Buffer;
  readonly #lines: Buffer;
  #kept = Buffer.alloc(0);
  #before = 0;

  constructor(tail: Buffer) {
    this.tail = tail;
    this.#lines = linesOf(tail);
  }

  push(data: Buffer): number | null {
    const window = Buffer.concat([this.#kept, data]);
    const found = window.indexOf(this.#lines);
    if (found >= 0) return this.#before + found + this.tail.length;
    const drop = Math.max(0, window.length - this.#lines.length + 1);
    this.#before += drop;
    this.#kept = Buffer.from(window.subarray(drop));
    return null;
  }

  end(): null {
    return null;
  }
}

/**
 * Finds how much of the log's beginning is the end of what was taken: where the engine has dropped all but the last of
 * it, and where what was taken since a gap is less than the tail.
 */
class HeadSearch implements Search {
  readonly tail: Buffer;
  readonly #lines: Buffer;
  #head = Buffer.alloc(0);

  constructor(tail: Buffer) {
    this.tail = tail;
    this.#lines = linesOf(tail);
  }

  push(data: Buffer): number | null {
    if (this.#head.length === TAIL_BYTES) return null;
    this.#head = Buffer.concat([this.#head, data.subarray(0, TAIL_BYTES - this.#head.length)]);
    return this.#head.length < TAIL_BYTES ? null : this.end();
  }

  end(): number | null {
    const lines = this.#lines;
    for (let n = Math.min(this.#head.length, lines.length); n >= MIN_SEARCH_BYTES; n--) {
      if (this.#head.subarray(0, n).equals(lines.subarray(lines.length - n)))
        return n + this.tail.length - lines.length;
    }
    return null;
  }
}

interface Cut {
  /** What the container wrote, with the gap lines cut out. */
  readonly tail: Buffer;
  /** What stands behind the last gap line; null where there is none. */
  readonly behind: Buffer | null;
  /** What the gap lines add to the bytes taken. */
  readonly gapBytes: number;
}

/**
 * The gap lines are ours, not the container's: the engine's log does not hold them. Where one told of a gap in stdout,
 * what stands around it in stderr is one piece there; where the gap was in stderr, only what is behind it is left.
 */
function withoutGaps(tail: Buffer): Cut {
  const line = Buffer.from(GAP_LINE);
  const kept: Buffer[] = [];
  let gapBytes = 0;
  let from = 0;
  for (let found = tail.indexOf(GAP_END); found >= 0; found = tail.indexOf(GAP_END, from)) {
    const end = found + GAP_END.length;
    // Of a line at the tail's very beginning only the end may be left.
    kept.push(tail.subarray(from, Math.max(from, end - line.length)));
    gapBytes += line.length;
    from = end;
  }
  const behind = tail.subarray(from);
  return { tail: Buffer.concat([...kept, behind]), behind: gapBytes === 0 ? null : behind, gapBytes };
}
