import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { AttemptKey } from '../core/execution.ts';
import type { LogChunk, LogOptions, LogReadParams, LogSink, OpenLog } from '../core/log-sink.ts';
import type { WriteWatch } from '../core/write-watch.ts';
import { FileLogWriter } from './file-log-writer.ts';
import { logUnavailable } from './log-unavailable.ts';
import { LogReader } from './log-reader.ts';
import { LogSpace } from './log-space.ts';
import { attemptDir, endOf, executionDir, recover } from './segments.ts';

export interface FileLogSinkOptions {
  /** Holds `<execution>/<index>-<attempt>/<first position>-<epoch>.log`; made when first needed. */
  readonly dir: string;
  readonly clock: Clock;
  /** Hears how writes go. */
  readonly watch?: WriteWatch;
}

/** About what a busy task prints at once: room for less is none. */
const PROBE_BYTES = 64 * 1024;

/**
 * Logs as append-only segment files. `position` of a chunk is the byte at which its frame starts in the whole
 * log (a little more for who follows while two owners write for a moment). One writer per attempt: who opens an
 * attempt that is being written takes it over, and the earlier writer's later writes fail. Errors of all methods: INVALID_ARGUMENT where a key cannot be a path.
 */
export class FileLogSink implements LogSink {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #watch: WriteWatch | undefined;
  /** By attempt folder. */
  readonly #writers = new Map<string, FileLogWriter>();
  /** An opening that is under way: the next one for the same attempt goes after it. */
  readonly #opening = new Map<string, Promise<FileLogWriter>>();
  readonly #onOpen = new Map<string, Set<() => void>>();

  constructor(options: FileLogSinkOptions) {
    this.#dir = options.dir;
    this.#clock = options.clock;
    this.#watch = options.watch;
  }

  /** Errors: also STORE_UNAVAILABLE where the file system refuses (disk, file handles); it may work later. */
  async open(key: AttemptKey, options: LogOptions = {}): Promise<OpenLog> {
    const dir = attemptDir(this.#dir, key);
    const before = this.#opening.get(dir);
    const opening = this.#open(dir, before, options);
    this.#opening.set(dir, opening);
    try {
      return await opening;
    } catch (error) {
      if (!isFileSystemError(error)) throw error;
      const failure = logUnavailable('opened', error);
      this.#watch?.failed(failure);
      throw failure;
    } finally {
      if (this.#opening.get(dir) === opening) this.#opening.delete(dir);
    }
  }

  async *read(key: AttemptKey, params: LogReadParams): AsyncGenerator<LogChunk> {
    const dir = attemptDir(this.#dir, key);
    const reader = new LogReader({
      dir,
      clock: this.#clock,
      params,
      writer: () => this.#writers.get(dir),
      onOpen: (fn) => this.#listen(dir, fn),
    });
    yield* reader.chunks();
  }

  async end(key: AttemptKey): Promise<number> {
    const dir = attemptDir(this.#dir, key);
    return this.#writers.get(dir)?.position ?? (await endOf(dir));
  }

  /** Whether logs can be written now. Errors: STORE_UNAVAILABLE. */
  async probe(): Promise<void> {
    const path = join(this.#dir, '.probe');
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 });
      try {
        await writeFile(path, new Uint8Array(PROBE_BYTES), { mode: 0o600 });
      } finally {
        await rm(path, { force: true });
      }
    } catch (error) {
      throw logUnavailable('written', error);
    }
  }

  async remove(execution: string): Promise<void> {
    const dir = executionDir(this.#dir, execution);
    const writers = [...this.#writers].filter(([path]) => path.startsWith(`${dir}/`));
    await Promise.all(writers.map(([, writer]) => writer.leave()));
    await rm(dir, { recursive: true, force: true });
  }

  async #open(
    dir: string,
    before: Promise<FileLogWriter> | undefined,
    { maxBytes = Infinity, epoch = 0 }: LogOptions,
  ): Promise<FileLogWriter> {
    await before?.catch(() => undefined);
    await this.#writers.get(dir)?.leave();
    const recovered = await recover(dir, epoch);
    const writer: FileLogWriter = new FileLogWriter({
      dir,
      clock: this.#clock,
      recovered,
      watch: this.#watch,
      // Epochs begin anew where the database is restored from a backup, and the logs are not.
      epoch: Math.max(epoch, recovered.epoch),
      space: new LogSpace(dir, maxBytes, recovered.segments),
      onEnd: () => {
        if (this.#writers.get(dir) === writer) this.#writers.delete(dir);
      },
    });
    this.#writers.set(dir, writer);
    for (const fn of this.#onOpen.get(dir) ?? []) fn();
    return writer;
  }

  #listen(dir: string, fn: () => void): () => void {
    const listeners = this.#onOpen.get(dir) ?? new Set();
    this.#onOpen.set(dir, listeners.add(fn));
    return () => {
      listeners.delete(fn);
      if (listeners.size === 0 && this.#onOpen.get(dir) === listeners) this.#onOpen.delete(dir);
    };
  }
}

/** Node names the system call that failed only in errors of the system's. */
const isFileSystemError = (error: unknown): boolean => error instanceof Error && 'syscall' in error;
