import { TappetError } from '../../src/core/errors.ts';
import type { AttemptKey, LogBytes } from '../../src/core/execution.ts';
import type {
  LogChunk,
  LogCursor,
  LogReadParams,
  LogSink,
  LogStream,
  OpenLog,
} from '../../src/core/log-sink.ts';

interface Entry {
  readonly parts: { readonly stream: LogStream; readonly data: Buffer }[];
  writer: MemoryWriter | undefined;
  end: 'closed' | 'left' | undefined;
}

/** Logs in memory, for tests in which nothing but the clock may take time. Does not follow. */
export class MemoryLogSink implements LogSink {
  readonly #entries = new Map<string, Entry>();
  /** Writes fail while it is set. */
  full = false;

  open(key: AttemptKey): Promise<OpenLog> {
    const entry = this.#entry(key);
    if (entry.writer !== undefined) entry.writer.superseded = true;
    entry.end = undefined;
    entry.writer = new MemoryWriter(entry, () => this.full);
    return Promise.resolve(entry.writer);
  }

  async *read(key: AttemptKey, params: LogReadParams): AsyncGenerator<LogChunk> {
    if (params.follow === true) throw new Error('this sink does not follow');
    const offsets = { stdout: 0, stderr: 0 };
    for (const [position, { stream, data }] of this.#entry(key).parts.entries()) {
      await Promise.resolve();
      yield { stream, offset: offsets[stream], position, time: 0, data };
      offsets[stream] += data.length;
    }
  }

  end(key: AttemptKey): Promise<number> {
    return Promise.resolve(this.#entry(key).parts.length);
  }

  remove(execution: string): Promise<void> {
    for (const key of this.#entries.keys()) if (key.startsWith(`${execution}/`)) this.#entries.delete(key);
    return Promise.resolve();
  }

  text(key: AttemptKey, stream: LogStream = 'stdout'): string {
    return bytesOf(this.#entry(key), stream).toString();
  }
  /** How its last owner parted with it; undefined while one has it. */
  endOf(key: AttemptKey): 'closed' | 'left' | undefined {
    return this.#entry(key).end;
  }

  #entry(key: AttemptKey): Entry {
    const name = `${key.execution}/${key.index}-${key.attempt}`;
    const entry = this.#entries.get(name) ?? { parts: [], writer: undefined, end: undefined };
    this.#entries.set(name, entry);
    return entry;
  }
}

class MemoryWriter implements OpenLog {
  superseded = false;
  readonly #entry: Entry;
  readonly #full: () => boolean;
  constructor(entry: Entry, full: () => boolean) {
    this.#entry = entry;
    this.#full = full;
  }

  cursor(): LogCursor {
    const part = (stream: LogStream): LogCursor['stdout'] => {
      const all = bytesOf(this.#entry, stream);
      return { bytes: all.length, tail: all.subarray(-4096) };
    };
    return { stdout: part('stdout'), stderr: part('stderr') };
  }

  async write(stream: LogStream, data: Uint8Array): Promise<void> {
    await Promise.resolve();
    if (this.superseded || this.#entry.end !== undefined) throw new TypeError('this log writer has ended');
    if (this.#full()) throw new TappetError('STORE_UNAVAILABLE', 'no space left');
    this.#entry.parts.push({ stream, data: Buffer.from(data) });
  }

  close(): Promise<LogBytes> {
    if (!this.superseded) this.#entry.end ??= 'closed';
    const { stdout, stderr } = this.cursor();
    return Promise.resolve({ stdout: stdout.bytes, stderr: stderr.bytes });
  }

  leave(): Promise<void> {
    if (!this.superseded) this.#entry.end ??= 'left';
    return Promise.resolve();
  }
}

function bytesOf(entry: Entry, stream: LogStream): Buffer {
  return Buffer.concat(entry.parts.filter((part) => part.stream === stream).map((part) => part.data));
}
