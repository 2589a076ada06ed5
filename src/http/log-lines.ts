import type { AttemptKey } from '../core/execution.ts';
import type { LogChunk, LogSink, LogStream } from '../core/log-sink.ts';

/** A line that goes on beyond it is handed on in pieces: what is held of each stream is bounded. */
export const MAX_LINE_BYTES = 256 * 1024;
const LINE_FEED = 0x0a;

/** A line of one stream, or a gap in it (`missing`). */
export interface LogLine {
  readonly stream: LogStream;
  /** Epoch ms at which its end was taken; never less than that of a line before it in the same log. */
  readonly time: number;
  /** Of its first byte within its stream. */
  readonly offset: number;
  /** Without the line feed. */
  readonly bytes: Buffer;
  /** false = no line feed follows: the last of a log, one before a gap, or a piece of a very long one. */
  readonly whole: boolean;
  /** Its beginning is missing: it stands before the place from which the log was read, or in a gap. */
  readonly cut?: true;
  /** Bytes of the stream that were here and are kept no longer; then it has none of its own. */
  readonly missing?: number;
}

interface Open {
  parts: Buffer[];
  bytes: number;
  readonly offset: number;
  readonly cut: boolean;
}
/** Many small parts cost more than their bytes. */
const MAX_PARTS = 64;

/** Makes lines of the chunks of one log, in their order. */
export class LineSplitter {
  readonly #open: Record<LogStream, Open | undefined> = { stdout: undefined, stderr: undefined };
  /** Streams whose bytes are known without a break. */
  readonly #joined = new Set<LogStream>();
  #time = 0;

  /** The lines that are complete with this chunk. */
  push(chunk: LogChunk): LogLine[] {
    // A clock that was set back must not put a later line before an earlier one.
    this.#time = Math.max(this.#time, chunk.time);
    if (chunk.missing !== undefined) return this.#gap(chunk, chunk.missing);
    const { stream } = chunk;
    const data = Buffer.from(chunk.data.buffer, chunk.data.byteOffset, chunk.data.byteLength);
    const lines: LogLine[] = [];
    let cut = !this.#joined.has(stream) && !(chunk.startsLine ?? chunk.offset === 0);
    this.#joined.add(stream);
    for (let at = 0; at < data.length;) {
      const open = (this.#open[stream] ??= { parts: [], bytes: 0, offset: chunk.offset + at, cut });
      cut = false;
      const feed = data.indexOf(LINE_FEED, at);
      const end = Math.min(feed === -1 ? data.length : feed, at + MAX_LINE_BYTES - open.bytes);
      const whole = end === feed;
      open.parts.push(data.subarray(at, end));
      open.bytes += end - at;
      if (whole || open.bytes === MAX_LINE_BYTES) lines.push(...this.#close(stream, whole));
      at = whole ? end + 1 : end;
    }
    this.#own(stream);
    return lines;
  }

  /** What is left of both streams: lines without an end. */
  end(): LogLine[] {
    return [...this.#close('stdout', false), ...this.#close('stderr', false)];
  }

  #gap({ stream, offset }: LogChunk, missing: number): LogLine[] {
    this.#joined.delete(stream);
    const gap = { stream, time: this.#time, offset, bytes: Buffer.alloc(0), whole: true, missing };
    return [...this.#close(stream, false), gap];
  }

  /** What waits for its end must not keep the memory of whole chunks alive. */
  #own(stream: LogStream): void {
    const open = this.#open[stream];
    const last = open?.parts.pop();
    if (open === undefined || last === undefined) return;
    const joined = open.parts.length >= MAX_PARTS;
    if (joined) open.parts = [Buffer.concat([...open.parts, last])];
    else open.parts.push(Buffer.from(last));
  }

  #close(stream: LogStream, whole: boolean): LogLine[] {
    const open = this.#open[stream];
    if (open === undefined) return [];
    this.#open[stream] = undefined;
    const [first, ...more] = open.parts;
    const bytes = more.length === 0 ? (first ?? Buffer.alloc(0)) : Buffer.concat(open.parts);
    const { offset, cut } = open;
    return [{ stream, time: this.#time, offset, bytes, whole, ...(cut ? { cut } : {}) }];
  }
}

export interface LineReaderOptions {
  readonly logs: LogSink;
  readonly key: AttemptKey;
  readonly stream?: LogStream | undefined;
  /** Position of the chunk to begin after. */
  readonly after?: number | undefined;
}

/** Reads one log line by line, and can go on where it stopped. */
export class LineReader {
  readonly #options: LineReaderOptions;
  readonly #splitter = new LineSplitter();
  #after: number | undefined;

  constructor(options: LineReaderOptions) {
    this.#options = options;
    this.#after = options.after;
  }

  /** Position of the last chunk that was read. */
  get position(): number | undefined {
    return this.#after;
  }

  /** The lines of what is there now. */
  async *available(signal?: AbortSignal): AsyncGenerator<readonly LogLine[]> {
    const { logs, key, stream } = this.#options;
    const params = {
      ...(signal === undefined ? {} : { signal }),
      ...(stream === undefined ? {} : { stream }),
      ...(this.#after === undefined ? {} : { after: this.#after }),
    };
    for await (const chunk of logs.read(key, params)) yield this.take(chunk);
  }

  /** For who reads the chunks in another way. */
  take(chunk: LogChunk): readonly LogLine[] {
    this.#after = chunk.position;
    return this.#splitter.push(chunk);
  }

  /** The log has ended: what stands there without a line feed. */
  rest(): readonly LogLine[] {
    return this.#splitter.end();
  }
}
