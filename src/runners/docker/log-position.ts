import type { LogCursor, LogStream } from '../../core/log-sink.ts';
import { GAP_END } from './gap-line.ts';

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

  constructor(cursor: LogCursor[LogStream]) {
    this.#at = cursor.bytes;
    this.#tail = withoutGap(Buffer.from(cursor.tail));
  }

  took(data: Buffer): void {
    this.#at += data.length;
    // A copy: a view would keep the whole chunk alive.
    const joined = data.length >= TAIL_BYTES ? data : Buffer.concat([this.#tail, data]);
    this.#tail = Buffer.from(joined.subarray(Math.max(0, joined.length - TAIL_BYTES)));
  }

  /** The tail's end was found at `end` in the log as it is now. */
  moveTo(end: number): void {
    this.#at = end;
  }

  /** From the log's present beginning. */
  restart(): void {
    this.#at = 0;
    this.#tail = Buffer.alloc(0);
  }

  skip(): Skip {
    return new TailCheck(this.#at, this.#tail);
  }

  /** null = too little is known to find the place by. */
  search(): TailSearch | null {
    return this.#tail.length < MIN_SEARCH_BYTES ? null : new TailSearch(this.#tail);
  }
}

class TailCheck implements Skip {
  readonly #until: number;
  readonly #tail: Buffer;
  #seen = 0;
  #differs = false;

  constructor(until: number, tail: Buffer) {
    this.#until = until;
    this.#tail = tail;
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

/** Finds the first occurrence of the tail in a stream, with no more than the tail's length kept. */
export class TailSearch {
  readonly #tail: Buffer;
  #kept = Buffer.alloc(0);
  #before = 0;

  constructor(tail: Buffer) {
    this.#tail = tail;
  }

  /** The offset behind the match, once there is one. */
  push(data: Buffer): number | null {
    const window = Buffer.concat([this.#kept, data]);
    const found = window.indexOf(this.#tail);
    if (found >= 0) return this.#before + found + this.#tail.length;
    const drop = Math.max(0, window.length - this.#tail.length + 1);
    this.#before += drop;
    this.#kept = Buffer.from(window.subarray(drop));
    return null;
  }
}

/** The gap line is ours, not the container's: only what stands behind it can be found in the engine's log. */
function withoutGap(tail: Buffer): Buffer {
  const gap = tail.lastIndexOf(GAP_END);
  return gap < 0 ? tail : tail.subarray(gap + GAP_END.length);
}
