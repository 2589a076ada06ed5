import type { LogCursor, LogStream } from '../../core/log-sink.ts';
import { GAP_END, GAP_LINE, UNSEEN_END_LINE } from './gap-line.ts';

const NEWLINE = 0x0a;

/** As much as a cursor keeps; enough that an accidental match is out of the question. */
const TAIL_BYTES = 4096;
/** A shorter tail is too likely to occur by accident to go on behind it in a log whose beginning is gone. */
const MIN_SEARCH_BYTES = 16;
/** Where only a part of what was taken last is looked for, it must be longer: its first occurrence counts. */
const PART_SEARCH_BYTES = [1024, 256];
/**
 * Docker keeps what it has of a line that is not finished to itself, up to so many bytes, while an attached stream gives
 * it at once: its log may end before what was taken. What it has not written is lost where it is killed.
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

  /**
   * What to find the place by, the best first; none where too little is known. The engine may not have the line that is
   * not finished, or never will; and of what was taken before it was killed it may have lost some, so that only what
   * was taken since stands in its log in one piece.
   */
  searches(): Search[] {
    const tail = this.#tail;
    if (tail.length < MIN_SEARCH_BYTES) return [];
    const lines = linesOf(tail);
    const behind = this.#behind ?? Buffer.alloc(0);
    const parts = PART_SEARCH_BYTES.filter((bytes) => bytes < tail.length).map((bytes) =>
      tail.subarray(-bytes),
    );
    return [
      new TailSearch(tail),
      ...(lines.length < tail.length ? [new TailSearch(tail, lines)] : []),
      ...(behind.length < MIN_SEARCH_BYTES ? [] : [new TailSearch(behind)]),
      ...parts.map((part) => new TailSearch(part)),
      new HeadSearch(tail),
    ];
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
 *   same → beyond, at the position; or before it, where what was taken behind some line is not in the log: the engine was
 *          killed before it had written that, and has lost it
 *   same → differs, where what is the same is not enough to go by
 */
class TailCheck implements Skip {
  readonly #until: number;
  readonly #tail: Buffer;
  /** Where the tail begins. */
  readonly #from: number;
  readonly #onLost: (bytes: number) => void;
  #seen = 0;
  #state: 'same' | 'differs' | 'beyond' = 'same';

  constructor(until: number, tail: Buffer, onLost: (bytes: number) => void) {
    this.#until = until;
    this.#tail = tail;
    this.#from = until - tail.length;
    this.#onLost = onLost;
    // Without a tail nothing can be compared: bytes that nobody has seen would be passed over.
    if (until > 0 && tail.length === 0) this.#state = 'differs';
  }

  get aligned(): boolean {
    if (this.#state !== 'same') return this.#state === 'beyond';
    return this.#seen >= this.#until - this.#keptBack() || this.#isEnough(this.#seen);
  }

  push(data: Buffer): Buffer | null {
    const from = this.#seen;
    this.#seen += data.length;
    if (this.#state === 'beyond') return data;
    if (this.#state === 'differs') return null;
    const differs = this.#firstDifference(data, from);
    if (differs === null) return data.subarray(Math.min(data.length, Math.max(0, this.#until - from)));
    const lines = this.#linesBefore(differs);
    this.#state = this.#isEnough(lines) ? 'beyond' : 'differs';
    if (this.#state === 'differs') return null;
    this.#onLost(this.#until - lines);
    // What came before `data` behind these lines was as what is lost began.
    const before = this.#tail.subarray(lines - this.#from, Math.max(lines, from) - this.#from);
    return Buffer.concat([before, data.subarray(Math.max(0, lines - from))]);
  }

  /** How much of what was taken last the engine may not have written yet. */
  #keptBack(): number {
    const bytes = unfinished(this.#tail);
    // Where the line is longer than the tail, its beginning is not known.
    return bytes === this.#tail.length && this.#from > 0 ? KEPT_BACK_BYTES : bytes;
  }

  /** Whether what is the same up to `end` tells that this is the place, though the log has not what was taken behind it. */
  #isEnough(end: number): boolean {
    const same = end - this.#from;
    // From its very beginning on: a log that has lost that begins otherwise.
    const isBegin = this.#from === 0 && same > 0;
    if (this.#until - end <= unfinished(this.#tail) && (isBegin || same >= MIN_SEARCH_BYTES)) return true;
    return isBegin ? same >= MIN_SEARCH_BYTES : same > 0 && same >= this.#tail.length / 2;
  }

  /** The end of the last line of the tail before `offset`. */
  #linesBefore(offset: number): number {
    const line = this.#tail.subarray(0, Math.max(0, offset - this.#from)).lastIndexOf(NEWLINE);
    return this.#from + line + 1;
  }

  /** The offset where `data`, at offset `from`, is not as the tail; null where it is, as far as the tail goes. */
  #firstDifference(data: Buffer, from: number): number | null {
    const end = Math.min(from + data.length, this.#until);
    for (let at = Math.max(from, this.#from); at < end; at++)
      if (data[at - from] !== this.#tail[at - this.#from]) return at;
    return null;
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

/** Without the line that is not finished; all of it where the rest is too little to be looked for. */
function linesOf(tail: Buffer): Buffer {
  const lines = tail.subarray(0, tail.length - unfinished(tail));
  return lines.length < Math.min(...PART_SEARCH_BYTES) ? tail : lines;
}

/** Finds the first occurrence of the tail's beginning `of` in a stream, with no more than its length kept. */
class TailSearch implements Search {
  readonly tail: Buffer;
  readonly #of: Buffer;
  #kept = Buffer.alloc(0);
  #before = 0;

  constructor(tail: Buffer, of = tail) {
    this.tail = tail;
    this.#of = of;
  }

  push(data: Buffer): number | null {
    const window = Buffer.concat([this.#kept, data]);
    const found = window.indexOf(this.#of);
    if (found >= 0) return this.#before + found + this.tail.length;
    const drop = Math.max(0, window.length - this.#of.length + 1);
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
  const last = Buffer.from(UNSEEN_END_LINE);
  if (tail.subarray(-last.length).equals(last)) {
    const before = withoutGaps(tail.subarray(0, -last.length));
    return { tail: before.tail, behind: Buffer.alloc(0), gapBytes: before.gapBytes + last.length };
  }
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
