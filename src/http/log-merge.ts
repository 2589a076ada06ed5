import type { LogEntry } from './log-entries.ts';
import type { LogLine } from './log-lines.ts';

/** One log on its way into a merge. */
export interface LineSource {
  readonly index: number;
  readonly attempt: number;
  /** Epoch ms: none of its lines is older. */
  readonly from: number;
  /** Its lines, with times that never fall. */
  lines(): AsyncIterable<readonly LogLine[]>;
}

/** Handed on together: few enough to be nothing in memory, many enough that a line costs little. */
const BATCH_LINES = 500;
const BATCH_BYTES = 1024 * 1024;

/**
 * The lines of many logs in the order of their times; where these are equal by task, then attempt. A log is opened when
 * the merge has come to where it begins, so that no more are open than were written at the same time.
 */
export async function* mergeByTime(all: readonly LineSource[]): AsyncGenerator<readonly LogEntry[]> {
  const sources = [...all].sort((a, b) => a.from - b.from || a.index - b.index || a.attempt - b.attempt);
  const open: Cursor[] = [];
  let next = 0;
  const batch = new Batch();
  try {
    for (;;) {
      let first = earliest(open);
      for (let source = sources[next]; source !== undefined; source = sources[next]) {
        if (first !== undefined && source.from > first.time) break;
        next += 1;
        const cursor = new Cursor(source);
        open.push(cursor);
        if (!(await cursor.fill())) open.pop();
        first = earliest(open);
      }
      if (first === undefined) break;
      const others = open.filter((cursor) => cursor !== first);
      const until = Math.min(earliest(others)?.time ?? Infinity, sources[next]?.from ?? Infinity);
      do batch.add(first.take());
      while (first.filled && first.time <= until && !batch.full);
      if (batch.full) yield batch.flush();
      if (!first.filled && !(await first.fill())) open.splice(open.indexOf(first), 1);
    }
    if (batch.size > 0) yield batch.flush();
  } finally {
    await Promise.all(open.map((cursor) => cursor.close()));
  }
}

class Batch {
  #entries: LogEntry[] = [];
  #bytes = 0;

  get size(): number {
    return this.#entries.length;
  }
  get full(): boolean {
    return this.#entries.length >= BATCH_LINES || this.#bytes >= BATCH_BYTES;
  }
  add(entry: LogEntry): void {
    this.#entries.push(entry);
    this.#bytes += entry.line.bytes.length;
  }
  flush(): readonly LogEntry[] {
    const entries = this.#entries;
    this.#entries = [];
    this.#bytes = 0;
    return entries;
  }
}

/** A place in one log: the next line is there as long as it is filled. */
class Cursor {
  readonly #source: LineSource;
  readonly #lines: AsyncIterator<readonly LogLine[]>;
  #batch: readonly LogLine[] = [];
  #at = 0;

  constructor(source: LineSource) {
    this.#source = source;
    this.#lines = source.lines()[Symbol.asyncIterator]();
  }

  get filled(): boolean {
    return this.#at < this.#batch.length;
  }
  /** Of the next line. */
  get time(): number {
    return this.#batch[this.#at]?.time ?? Infinity;
  }
  get place(): LineSource {
    return this.#source;
  }

  take(): LogEntry {
    const line = this.#batch[this.#at];
    if (line === undefined) throw new TypeError('take before fill');
    this.#at += 1;
    return { line, index: this.#source.index, attempt: this.#source.attempt };
  }

  /** false at the end. */
  async fill(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#lines.next();
      if (done === true) return false;
      if (value.length === 0) continue;
      this.#batch = value;
      this.#at = 0;
      return true;
    }
  }

  async close(): Promise<void> {
    await this.#lines.return?.();
  }
}

function earliest(cursors: readonly Cursor[]): Cursor | undefined {
  let best: Cursor | undefined;
  for (const cursor of cursors) if (best === undefined || before(cursor, best)) best = cursor;
  return best;
}

function before(a: Cursor, b: Cursor): boolean {
  if (a.time !== b.time) return a.time < b.time;
  return a.place.index !== b.place.index ? a.place.index < b.place.index : a.place.attempt < b.place.attempt;
}
