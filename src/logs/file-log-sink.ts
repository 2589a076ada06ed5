import { rm } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';
import { errorText, TappetError } from '../core/errors.ts';
import type { AttemptKey } from '../core/execution.ts';
import type { LogChunk, LogOptions, LogReadParams, LogSink, LogWriter } from '../core/log-sink.ts';
import { FileLogWriter } from './file-log-writer.ts';
import { LogReader } from './log-reader.ts';
import { LogSpace } from './log-space.ts';
import { attemptDir, endOf, executionDir, recover } from './segments.ts';

export interface FileLogSinkOptions {
  /** Holds `<execution>/<index>-<attempt>/<first position>.log`; made when first needed. */
  readonly dir: string;
  readonly clock: Clock;
}

/**
 * Logs as append-only segment files. `position` of a chunk is the byte at which its frame starts in the whole
 * log. One writer per attempt: who opens an attempt that is being written takes it over, and the earlier writer's
 * later writes fail. Errors of all methods: INVALID_ARGUMENT where a key cannot be a path.
 */
export class FileLogSink implements LogSink {
  readonly #dir: string;
  readonly #clock: Clock;
  /** By attempt folder. */
  readonly #writers = new Map<string, FileLogWriter>();
  /** An opening that is under way: the next one for the same attempt goes after it. */
  readonly #opening = new Map<string, Promise<FileLogWriter>>();
  readonly #onOpen = new Map<string, Set<() => void>>();

  constructor(options: FileLogSinkOptions) {
    this.#dir = options.dir;
    this.#clock = options.clock;
  }

  /** Errors: also STORE_UNAVAILABLE where the file system refuses (disk, file handles); it may work later. */
  async open(key: AttemptKey, options: LogOptions = {}): Promise<LogWriter> {
    const dir = attemptDir(this.#dir, key);
    const before = this.#opening.get(dir);
    const opening = this.#open(dir, before, options.maxBytes ?? Infinity);
    this.#opening.set(dir, opening);
    try {
      return await opening;
    } catch (error) {
      throw isFileSystemError(error) ? cannotOpen(error) : error;
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

  async remove(execution: string): Promise<void> {
    const dir = executionDir(this.#dir, execution);
    const writers = [...this.#writers].filter(([path]) => path.startsWith(`${dir}/`));
    await Promise.all(writers.map(([, writer]) => writer.giveUp()));
    await rm(dir, { recursive: true, force: true });
  }

  async #open(
    dir: string,
    before: Promise<FileLogWriter> | undefined,
    maxBytes: number,
  ): Promise<FileLogWriter> {
    await before?.catch(() => undefined);
    await this.#writers.get(dir)?.giveUp();
    const recovered = await recover(dir);
    const writer: FileLogWriter = new FileLogWriter({
      dir,
      clock: this.#clock,
      recovered,
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

const cannotOpen = (error: unknown): TappetError =>
  new TappetError('STORE_UNAVAILABLE', `The log could not be opened: ${errorText(error)}`, {}, error);
