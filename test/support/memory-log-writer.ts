import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import type { LogCursor, LogStream, LogWriter } from '../../src/core/log-sink.ts';

interface Taken {
  bytes: number;
  tail: Buffer;
  hash: Hash;
  parts: Buffer[];
}

const newTaken = (): Taken => ({ bytes: 0, tail: Buffer.alloc(0), hash: createHash('sha256'), parts: [] });

/**
 * A log writer that keeps a hash, the cursor and the text (up to `keepBytes` a stream) in memory. `before` is awaited
 * in each write: it may fail it or hold it up. Two writes at once are a mistake of the caller.
 */
export class MemoryLogWriter implements LogWriter {
  readonly #streams: Record<LogStream, Taken> = { stdout: newTaken(), stderr: newTaken() };
  readonly #keepBytes: number;
  #writing = false;
  #onWrite: () => void = () => {};
  before: (stream: LogStream, data: Uint8Array) => Promise<void> | void = () => {};

  constructor(keepBytes = 1024 * 1024) {
    this.#keepBytes = keepBytes;
  }

  cursor(): LogCursor {
    const of = ({ bytes, tail }: Taken) => ({ bytes, tail });
    return { stdout: of(this.#streams.stdout), stderr: of(this.#streams.stderr) };
  }

  async write(stream: LogStream, data: Uint8Array): Promise<void> {
    if (this.#writing) throw new Error('two writes at once');
    this.#writing = true;
    try {
      await this.before(stream, data);
      this.#take(this.#streams[stream], Buffer.from(data));
      this.#onWrite();
    } finally {
      this.#writing = false;
    }
  }

  /** Calls `fn` once something is there, after each write. */
  written(fn: () => void): void {
    this.#onWrite = fn;
    if (this.#streams.stdout.bytes + this.#streams.stderr.bytes > 0) fn();
  }

  text(stream: LogStream): string {
    return Buffer.concat(this.#streams[stream].parts).toString('utf8');
  }

  bytes(stream: LogStream): number {
    return this.#streams[stream].bytes;
  }

  sha256(stream: LogStream): string {
    return this.#streams[stream].hash.copy().digest('hex');
  }

  #take(taken: Taken, data: Buffer): void {
    if (taken.bytes < this.#keepBytes) taken.parts.push(data);
    taken.bytes += data.length;
    taken.hash.update(data);
    taken.tail = Buffer.from(Buffer.concat([taken.tail, data]).subarray(-4096));
  }
}
