import type { LogEntry } from './log-entries.ts';
import { LineReader } from './log-lines.ts';
import type { LineReaderOptions, LogLine } from './log-lines.ts';

export const MAX_TAIL_LINES = 10_000;
/** Lines may be long: what is held for an answer stays below this. */
const MAX_TAIL_BYTES = 16 * 1024 * 1024;
const FIRST_WINDOW = 64 * 1024;
const GROWTH = 8;
/** An attempt's end is the engine's word, and its last output may be taken a while later. */
const SLACK_MS = 60_000;

export interface LastParams {
  readonly lines: number;
  readonly wanted: (line: LogLine) => boolean;
  /** Whether the log is still written: its last line may be on its way. */
  readonly open: boolean;
}

/** The last lines of one log, and the reader that goes on after them. */
export interface Last {
  readonly lines: readonly LogLine[];
  readonly reader: LineReader;
}

/**
 * The last lines that are wanted. Looks at the end of the log, then at eight times as much, until there are enough: what
 * is before them is not read.
 */
export async function lastLines(
  options: Omit<LineReaderOptions, 'after'>,
  { lines: count, wanted, open }: LastParams,
): Promise<Last> {
  const end = await options.logs.end(options.key);
  for (let window = FIRST_WINDOW; ; window *= GROWTH) {
    const after = end - window - 1;
    const whole = after < 0;
    const reader = new LineReader(whole ? options : { ...options, after });
    const kept = new LastOf(count);
    // What a stream begins with here may be the end of a line; after a gap it is all there is of it.
    const begun = new Set<string>();
    const keep = (line: LogLine): void => {
      const half = line.cut === true && !begun.has(line.stream);
      begun.add(line.stream);
      if (!half && wanted(line)) kept.push(line);
    };
    for await (const lines of reader.available()) lines.forEach(keep);
    if (!open) reader.rest().forEach(keep);
    if (whole || kept.full) return { lines: kept.lines(), reader };
  }
}

/** The last so many lines that are pushed, within a bound of bytes; each with memory of its own. */
class LastOf {
  readonly #count: number;
  #lines: LogLine[] = [];
  #bytes = 0;
  #dropped = false;

  constructor(count: number) {
    this.#count = count;
  }

  get full(): boolean {
    return this.#dropped || this.#lines.length >= this.#count;
  }

  push(line: LogLine): void {
    this.#lines.push({ ...line, bytes: Buffer.from(line.bytes) });
    this.#bytes += line.bytes.length;
    if (this.#bytes > MAX_TAIL_BYTES || this.#lines.length >= 2 * this.#count) this.#trim();
  }

  lines(): readonly LogLine[] {
    this.#trim();
    return this.#lines;
  }

  #trim(): void {
    let from = Math.max(0, this.#lines.length - this.#count);
    let bytes = this.#lines.slice(from).reduce((sum, line) => sum + line.bytes.length, 0);
    for (; bytes > MAX_TAIL_BYTES; from++) bytes -= this.#lines[from]?.bytes.length ?? 0;
    if (from > 0) this.#dropped = true;
    this.#lines = this.#lines.slice(from);
    this.#bytes = bytes;
  }
}

/** A log of which the end is wanted. */
export interface LastSource {
  readonly index: number;
  readonly attempt: number;
  /** Epoch ms; null while it is written. */
  readonly endTime: number | null;
  readonly last: (lines: number) => Promise<readonly LogLine[]>;
}

/**
 * The last lines of all logs together, by time. Those that ended last are read first; what had ended before the oldest
 * line that is wanted needs no look.
 */
export async function lastOfAll(sources: readonly LastSource[], count: number): Promise<readonly LogEntry[]> {
  const newestFirst = [...sources].sort((a, b) => (b.endTime ?? Infinity) - (a.endTime ?? Infinity) || 0);
  let best: LogEntry[] = [];
  for (const { index, attempt, endTime, last } of newestFirst) {
    const oldest = best.length < count ? -Infinity : (best[0]?.line.time ?? -Infinity);
    if (endTime !== null && endTime + SLACK_MS < oldest) break;
    const lines = (await last(count)).filter(({ time }) => time >= oldest);
    if (lines.length === 0) continue;
    const merged = [...best, ...lines.map((line) => ({ line, index, attempt }))].sort(byTime);
    best = withinBytes(merged.slice(-count));
  }
  return best;
}

/** Stable, so that the lines of one log keep their order. */
const byTime = (a: LogEntry, b: LogEntry): number =>
  a.line.time - b.line.time || a.index - b.index || a.attempt - b.attempt;

function withinBytes(entries: LogEntry[]): LogEntry[] {
  let bytes = entries.reduce((sum, { line }) => sum + line.bytes.length, 0);
  let from = 0;
  for (; bytes > MAX_TAIL_BYTES; from++) bytes -= entries[from]?.line.bytes.length ?? 0;
  return entries.slice(from);
}
