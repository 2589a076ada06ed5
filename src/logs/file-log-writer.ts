import { mkdir, open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { LogBytes } from '../core/execution.ts';
import type { LogCursor, LogStream, LogWriter } from '../core/log-sink.ts';
import type { WriteWatch } from '../core/write-watch.ts';
import { deferred } from '../lib/deferred.ts';
import type { Deferred } from '../lib/deferred.ts';
import { syncFolder } from '../lib/sync-folder.ts';
import {
  CHECKPOINT,
  encodeCheckpoint,
  encodeHeader,
  END,
  HEADER_BYTES,
  kindOf,
  MAX_PAYLOAD_BYTES,
} from './frame.ts';
import type { Kind } from './frame.ts';
import type { LogSpace } from './log-space.ts';
import { logUnavailable } from './log-unavailable.ts';
import { segmentPath } from './segments.ts';
import type { Recovered } from './segments.ts';

/** Written at once: more gains nothing, and a reader that follows waits for the whole of it. */
const BATCH_BYTES = 4 * 1024 * 1024;

interface Pending {
  readonly stream: LogStream;
  readonly data: Uint8Array;
  readonly done: Deferred<void>;
}

export interface FileLogWriterOptions {
  readonly dir: string;
  readonly clock: Clock;
  readonly recovered: Recovered;
  readonly space: LogSpace;
  readonly epoch: number;
  readonly watch: WriteWatch | undefined;
  /** It was closed or given up. */
  readonly onEnd: () => void;
}

/**
 * Appends frames to the segments of one attempt. Writes that come while one is on its way to the file go together
 * in the next. open → closed (by `close`) or given up (by `giveUp`, when another writer takes over).
 */
export class FileLogWriter implements LogWriter {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #streams: Pick<Recovered, 'stdout' | 'stderr'>;
  readonly #space: LogSpace;
  readonly #epoch: number;
  readonly #watch: WriteWatch | undefined;
  readonly #onEnd: () => void;
  readonly #listeners = new Set<() => void>();
  #position: number;
  #ended: boolean;
  #pending: Pending[] = [];
  #flushing: Promise<void> | undefined;
  #file: FileHandle | undefined;
  #fileFirst = 0;
  /** Files were made whose names are not durable yet. */
  #newFiles = false;
  #closing: Promise<LogBytes> | undefined;
  #givenUp = false;

  constructor({ dir, clock, recovered, space, epoch, watch, onEnd }: FileLogWriterOptions) {
    this.#dir = dir;
    this.#space = space;
    this.#epoch = epoch;
    this.#clock = clock;
    this.#streams = recovered;
    this.#position = recovered.position;
    this.#ended = recovered.ended;
    this.#watch = watch;
    this.#onEnd = onEnd;
  }

  /** Everything before it is whole in the files. */
  get position(): number {
    return this.#position;
  }

  /** `close` was called: as far as this process knows, nothing follows. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Calls `fn` when there is more to read, and at the end; returns a function that takes it back. */
  onChange(fn: () => void): () => void {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  cursor(): LogCursor {
    const { stdout, stderr } = this.#streams;
    return {
      stdout: { bytes: stdout.bytes, tail: stdout.tail() },
      stderr: { bytes: stderr.bytes, tail: stderr.tail() },
    };
  }

  /** Errors: STORE_UNAVAILABLE (disk full; `cursor` tells what was taken), TypeError after the end. */
  async write(stream: LogStream, data: Uint8Array): Promise<void> {
    if (this.#closing !== undefined || this.#givenUp) throw new TypeError('this log writer has ended');
    const pieces: Promise<void>[] = [];
    // A frame must fit into a file.
    const size = Math.min(MAX_PAYLOAD_BYTES, this.#space.segmentBytes - HEADER_BYTES);
    for (let at = 0; at < data.length; at += size) {
      const done = deferred<void>();
      this.#pending.push({ stream, data: data.subarray(at, at + size), done });
      pieces.push(done.promise);
    }
    if (pieces.length > 0) this.#flushing ??= this.#flush();
    await Promise.all(pieces);
  }

  close(): Promise<LogBytes> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Ends without the mark of an end: what was taken stays, the next writer goes on after it. */
  async giveUp(): Promise<void> {
    if (this.#closing !== undefined) return void (await this.#closing.catch(() => undefined));
    this.#givenUp = true;
    await this.#flushing;
    await this.#release();
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#takeBatch();
      try {
        await this.#append(batch);
        this.#watch?.worked();
        for (const { done } of batch) done.resolve();
      } catch (error) {
        // What waits behind must not be taken either: it would leave a gap.
        const refused = [...batch, ...this.#pending.splice(0)];
        const failure = logUnavailable('written', error);
        this.#watch?.failed(failure);
        for (const { done } of refused) done.reject(failure);
      }
      this.#changed();
    }
    this.#flushing = undefined;
  }

  #takeBatch(): Pending[] {
    const most = Math.min(BATCH_BYTES, this.#space.segmentBytes);
    let bytes = 0;
    let count = 0;
    for (const { data } of this.#pending) {
      bytes += HEADER_BYTES + data.length;
      if (count > 0 && bytes > most) break;
      count += 1;
    }
    return this.#pending.splice(0, count);
  }

  async #append(batch: readonly Pending[]): Promise<void> {
    const offsets = { stdout: this.#streams.stdout.bytes, stderr: this.#streams.stderr.bytes };
    const buffers: Uint8Array[] = [];
    for (const { stream, data } of batch) {
      buffers.push(...this.#frame(kindOf(stream), offsets[stream], data));
      offsets[stream] += data.length;
    }
    await this.#put(buffers);
    this.#ended = false;
    for (const { stream, data } of batch) this.#streams[stream].push(data);
  }

  #frame(kind: Kind, offset: number, payload: Uint8Array): Uint8Array[] {
    return [encodeHeader({ kind, time: this.#clock.now(), offset, payload }), payload];
  }

  /** Writes whole frames behind one another into one segment, and moves the position only when all are there. */
  async #put(buffers: Uint8Array[]): Promise<void> {
    const bytes = sizeOf(buffers);
    const used = this.#position - this.#fileFirst;
    const most = this.#space.segmentBytes;
    if (this.#file !== undefined && used + bytes > most) await this.#release();
    // The mark of the end needs no room beside itself.
    const file = this.#file ?? (await this.#newSegment(this.#closing === undefined ? most : bytes));
    const at = this.#position - this.#fileFirst;
    // An earlier segment ended here: the new one starts with what opening would otherwise have to look for there.
    const head =
      at === 0 && this.#position > 0 ? this.#frame(CHECKPOINT, 0, encodeCheckpoint(this.cursor())) : [];
    await writeAll(file, [...head, ...buffers], at);
    this.#position += sizeOf(head) + bytes;
  }

  get #path(): string {
    return segmentPath(this.#dir, this.#fileFirst, this.#epoch);
  }

  async #newSegment(bytes: number): Promise<FileHandle> {
    await this.#space.makeRoom(bytes);
    // What tasks print is for the gateway's user alone, whoever made the data folder.
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    this.#fileFirst = this.#position;
    // One of ours, which a try before could not write: no other owner's has this name.
    await rm(this.#path, { force: true });
    const file = await open(this.#path, 'wx', 0o600);
    this.#file = file;
    this.#newFiles = true;
    return file;
  }

  async #close(): Promise<LogBytes> {
    await this.#flushing;
    if (!this.#givenUp) {
      try {
        // A task that printed nothing leaves no file: its end is known by the row of its attempt.
        if (!this.#ended && this.#position > 0) await this.#put(this.#frame(END, 0, new Uint8Array()));
      } catch (error) {
        throw logUnavailable('written', error);
      } finally {
        await this.#release();
      }
    }
    return { stdout: this.#streams.stdout.bytes, stderr: this.#streams.stderr.bytes };
  }

  async #release(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    try {
      await file?.sync();
      if (file !== undefined)
        this.#space.ended({
          first: this.#fileFirst,
          path: this.#path,
          bytes: this.#position - this.#fileFirst,
        });
      if (this.#newFiles) await syncDirs(this.#dir);
      this.#newFiles = false;
    } finally {
      await file?.close();
      if (this.#closing !== undefined || this.#givenUp) {
        this.#onEnd();
        this.#changed();
      }
    }
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

const sizeOf = (buffers: readonly Uint8Array[]): number =>
  buffers.reduce((sum, buffer) => sum + buffer.length, 0);

/** Linux takes at most this many buffers at once (UIO_MAXIOV). */
const MAX_BUFFERS = 1024;

/** At fixed places: what a failed try left half-written is written over by the next. */
async function writeAll(file: FileHandle, buffers: readonly Uint8Array[], position: number): Promise<void> {
  let at = position;
  for (let i = 0; i < buffers.length; i += MAX_BUFFERS) {
    const part = buffers.slice(i, i + MAX_BUFFERS);
    const { bytesWritten } = await file.writev(part, at);
    at += bytesWritten;
    const size = sizeOf(part);
    // A short write is rare (a disk that is nearly full): the rest goes in plain pieces, until done or an error.
    if (bytesWritten < size) at += await writeRest(file, Buffer.concat(part), bytesWritten, at);
  }
}

async function writeRest(file: FileHandle, buffer: Buffer, done: number, position: number): Promise<number> {
  let written = done;
  while (written < buffer.length) {
    const { bytesWritten } = await file.write(
      buffer,
      written,
      buffer.length - written,
      position + written - done,
    );
    if (bytesWritten === 0) throw new Error('no space left');
    written += bytesWritten;
  }
  return written - done;
}

/** A new file's name is durable only when its folders are: the attempt's, the execution's, and the one of all. */
async function syncDirs(dir: string): Promise<void> {
  for (const path of [dir, dirname(dir), dirname(dirname(dir))]) await syncFolder(path);
}
