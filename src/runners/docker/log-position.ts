import type { LogCursor, LogStream } from '../../core/log-sink.ts';
import { GAP_END, GAP_LINE } from './gap-line.ts';

/** As much as a cursor keeps; enough that an accidental match is out of the question. */
const TAIL_BYTES = 4096;
/** A shorter tail is too likely to occur by accident to go on behind it in a log whose beginning is gone. */
const MIN_SEARCH_BYTES = 16;

/** Passes over what was taken already, checking that it is what was taken. */
export interface Skip {
  /** The bytes beyond the position; null from where the log turned out to be another. */
  push(data: Buffer): Buffer | null;
  /** The log was at least as long as the position, and the same before it. */
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
    return new TailCheck(this.#at, this.#tail);
  }

  /** What to find the place by, the best first; none where too little is known. */
  searches(): Search[] {
    const behind = this.#behind === null ? [] : [new TailSearch(this.#behind)];
    const searches = [new TailSearch(this.#tail), ...behind, new HeadSearch(this.#tail)];
    return searches.filter(({ tail }) => tail.length >= MIN_SEARCH_BYTES);
  }
}

function lastOf(before: Buffer, data: Buffer): Buffer {
  // A copy: a view would keep the whole chunk alive.
  const joined = data.length >= TAIL_BYTES ? data : Buffer.concat([before, data]);
  return Buffer.from(joined.subarray(Math.max(0, joined.length - TAIL_BYTES)));
}

class TailCheck implements Skip {
  readonly #until: number;
  readonly #tail: Buffer;
  #seen = 0;
  #differs: boolean;

  constructor(until: number, tail: Buffer) {
    this.#until = until;
    this.#tail = tail;
    // Without a tail nothing can be compared: bytes that nobody has seen would be passed over.
    this.#differs = until > 0 && tail.length === 0;
  }

  get aligned(): boolean {
    return !this.#differs && this.#seen >= this.#until;
  }

  push(data: Buffer): Buffer | null {
    const from = this.#seen;
    this.#seen += data.length;
    if (from < this.#until && !this.#matches(data, from)) this.#differs = true;
    return this.#differs ? null : data.subarray(Math.min(data.length, Math.max(0, this.#until - from)));
  }

  /** Compares what `data`, at offset `from`, shares with the tail. */
  #matches(data: Buffer, from: number): boolean {
    const tailFrom = this.#until - this.#tail.length;
    const start = Math.max(from, tailFrom);
    const end = Math.min(from + data.length, this.#until);
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

/** Finds the first occurrence of the tail in a stream, with no more than the tail's length kept. */
class TailSearch implements Search {
  readonly tail: Buffer;
  #kept = Buffer.alloc(0);
  #before = 0;

  constructor(tail: Buffer) {
    this.tail = tail;
  }

  push(data: Buffer): number | null {
    const window = Buffer.concat([this.#kept, data]);
    const found = window.indexOf(this.tail);
    if (found >= 0) return this.#before + found + this.tail.length;
    const drop = Math.max(0, window.length - this.tail.length + 1);
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
  #head = Buffer.alloc(0);

  constructor(tail: Buffer) {
    this.tail = tail;
  }

  push(data: Buffer): number | null {
    if (this.#head.length === TAIL_BYTES) return null;
    this.#head = Buffer.concat([this.#head, data.subarray(0, TAIL_BYTES - this.#head.length)]);
    return this.#head.length < TAIL_BYTES ? null : this.end();
  }

  end(): number | null {
    for (let n = Math.min(this.#head.length, this.tail.length); n >= MIN_SEARCH_BYTES; n--) {
      if (this.#head.subarray(0, n).equals(this.tail.subarray(this.tail.length - n))) return n;
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
