import { mkdir, open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { LogBytes } from '../core/execution.ts';
import type { LogCursor, LogStream, OpenLog } from '../core/log-sink.ts';
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
import { passMissing, segmentPath } from './segments.ts';
import type { Recovered } from './segments.ts';

/** Written at once: more gains nothing, and a reader that follows waits for the whole of it. */
const BATCH_BYTES = 4 * 1024 * 1024;

interface Pending {
  readonly stream: LogStream;
  readonly data: Uint8Array;
  readonly done: Deferred<void>;
}

/** What a disk took. */
interface Taken {
  /** So many, from the first on. */
  readonly count: number;
  /** Why it is not all of them. */
  readonly refusal: Error | undefined;
}

export interface FileLogWriterOptions {
  readonly dir: string;
  readonly clock: Clock;
  readonly recovered: Recovered;
  readonly space: LogSpace;
  readonly epoch: number;
  readonly watch: WriteWatch | undefined;
  /** It was closed or left. */
  readonly onEnd: () => void;
}

/**
 * Appends frames to the segments of one attempt. Writes that come while one is on its way to the file go together
 * in the next. open → closed or left.
 */
export class FileLogWriter implements OpenLog {
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
  #left = false;

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
    if (this.#closing !== undefined || this.#left) throw new TypeError('this log writer has ended');
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

  async leave(): Promise<void> {
    if (this.#closing !== undefined) return void (await this.#closing.catch(() => undefined));
    this.#left = true;
    await this.#flushing;
    // Its execution may have been removed by the next owner.
    await this.#release().catch(passMissing);
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#takeBatch();
      try {
        await this.#append(batch);
        this.#watch?.worked();
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

  /** Leaves in `batch` what was refused. */
  async #append(batch: Pending[]): Promise<void> {
    const offsets = { stdout: this.#streams.stdout.bytes, stderr: this.#streams.stderr.bytes };
    const frames = batch.map(({ stream, data }) => {
      const frame = this.#frame(kindOf(stream), offsets[stream], data);
      offsets[stream] += data.length;
      return frame;
    });
    const { count, refusal } = await this.#put(frames);
    for (const { stream, data, done } of batch.splice(0, count)) {
      this.#streams[stream].push(data);
      done.resolve();
    }
    if (refusal !== undefined) throw refusal;
  }

  #frame(kind: Kind, offset: number, payload: Uint8Array): Uint8Array[] {
    return [encodeHeader({ kind, time: this.#clock.now(), offset, payload }), payload];
  }

  /**
   * Writes frames behind one another into one segment, and moves the position behind those that are there whole: who
   * takes the log over counts each of them, too. Returns how many of `frames` these are.
   */
  async #put(frames: readonly Uint8Array[][]): Promise<Taken> {
    const bytes = sizeOfAll(frames);
    const used = this.#position - this.#fileFirst;
    const most = this.#space.segmentBytes;
    if (this.#file !== undefined && used + bytes > most) await this.#release();
    // The mark of the end needs no room beside itself.
    const file = this.#file ?? (await this.#newSegment(this.#closing === undefined ? most : bytes));
    const at = this.#position - this.#fileFirst;
    // An earlier segment ended here: the new one starts with what opening would otherwise have to look for there.
    const head =
      at === 0 && this.#position > 0 ? [this.#frame(CHECKPOINT, 0, encodeCheckpoint(this.cursor()))] : [];
    const all = [...head, ...frames];
    const { count: written, refusal } = await writeAll(file, all.flat(), at);
    const whole = wholeFrames(all, written);
    this.#position += whole === all.length ? written : sizeOfAll(all.slice(0, whole));
    if (whole > 0) this.#ended = false;
    // What is there of the next one must not be read as frames, when a shorter one has taken its place.
    if (refusal !== undefined) await file.truncate(this.#position - this.#fileFirst).catch(() => undefined);
    return { count: Math.max(0, whole - head.length), refusal };
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
    if (!this.#left) {
      try {
        // A task that printed nothing leaves no file: its end is known by the row of its attempt.
        if (!this.#ended && this.#position > 0) {
          const { refusal } = await this.#put([this.#frame(END, 0, new Uint8Array())]);
          if (refusal !== undefined) throw refusal;
        }
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
      if (this.#closing !== undefined || this.#left) {
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

const sizeOfAll = (frames: readonly Uint8Array[][]): number =>
  frames.reduce((sum, frame) => sum + sizeOf(frame), 0);

/** How many frames are among the first `written` bytes. */
function wholeFrames(frames: readonly Uint8Array[][], written: number): number {
  let end = 0;
  const torn = frames.findIndex((frame) => (end += sizeOf(frame)) > written);
  return torn < 0 ? frames.length : torn;
}

/** Linux takes at most this many buffers at once (UIO_MAXIOV). */
const MAX_BUFFERS = 1024;

/** At fixed places: what a failed try left half-written is written over by the next. Returns how many bytes went in. */
async function writeAll(file: FileHandle, buffers: readonly Uint8Array[], position: number): Promise<Taken> {
  let count = 0;
  try {
    for (let i = 0; i < buffers.length; i += MAX_BUFFERS) {
      let rest = buffers.slice(i, i + MAX_BUFFERS);
      while (rest.length > 0) {
        const { bytesWritten } = await file.writev(rest, position + count);
        if (bytesWritten === 0) throw new Error('no space left');
        count += bytesWritten;
        // A short write is rare (a disk that is nearly full).
        rest = bytesWritten < sizeOf(rest) ? [Buffer.concat(rest).subarray(bytesWritten)] : [];
      }
    }
    return { count, refusal: undefined };
  } catch (error) {
    return { count, refusal: error instanceof Error ? error : new Error(String(error)) };
  }
}

/** A new file's name is durable only when its folders are: the attempt's, the execution's, and the one of all. */
async function syncDirs(dir: string): Promise<void> {
  for (const path of [dir, dirname(dir), dirname(dirname(dir))]) await syncFolder(path);
}
