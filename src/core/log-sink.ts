import type { AttemptKey, LogBytes } from './execution.ts';

export type LogStream = 'stdout' | 'stderr';

/**
 * Where the output of attempts goes: append-only segments with a byte offset per stream. What `write` has taken
 * survives the end of the gateway's process; `close` makes it survive a power cut too. A log that would outgrow
 * `maxBytes` keeps its beginning and its end: what lay between is dropped, and every offset and cursor stays true.
 */
export interface LogSink {
  /** Opens for appending; what a crash left half-written is cut off first. One writer per attempt. */
  open(key: AttemptKey, options?: LogOptions): Promise<OpenLog>;
  /**
   * The position that the next chunk gets, or a little more; 0 where nothing is there. With `read` after a position a
   * little below it, the end of a log is read without the rest.
   */
  end(key: AttemptKey): Promise<number>;
  /**
   * What is there from `from` on (all if absent); with `follow` goes on until `close` or `signal`. Of a log that was
   * closed with nothing in it no trace is left: who begins to follow it afterwards knows its end from the attempt's row.
   */
  read(key: AttemptKey, params: LogReadParams): AsyncIterable<LogChunk>;
  /** Removes all logs of an execution. No error where there are none. */
  remove(execution: string): Promise<void>;
}

export interface LogOptions {
  /** Room that the log may take where it is kept, about, at least 1 MiB; absent = any. */
  readonly maxBytes?: number;
  /**
   * Of the owner who opens it; absent = 0. From where one of a higher epoch went on, nothing counts that an earlier
   * one still writes: a process that was thought dead may go on at any time.
   */
  readonly epoch?: number;
}

/** What an engine writes output to. */
export interface LogWriter {
  /** What was taken so far. */
  cursor(): LogCursor;
  /**
   * Resolves when it is safe against the end of the process; the caller waits before it reads on. Where it is refused
   * in the middle, `cursor` tells what was taken.
   */
  write(stream: LogStream, data: Uint8Array): Promise<void>;
}

/** The log of an attempt, in the hands of its owner. */
export interface OpenLog extends LogWriter {
  /** Marks its end, for who follows it; durable. Idempotent. Returns the bytes per stream. */
  close(): Promise<LogBytes>;
  /** Leaves it as it is for another owner, who may have it already; what was taken is durable. Idempotent. */
  leave(): Promise<void>;
}

/** Per stream: bytes taken, and the last ≤ 4 KiB of them, by which a resume checks that it continues at the right place. */
export interface LogCursor {
  readonly stdout: { readonly bytes: number; readonly tail: Uint8Array };
  readonly stderr: { readonly bytes: number; readonly tail: Uint8Array };
}

export interface LogReadParams {
  readonly stream?: LogStream;
  /** `position` of the chunk to continue after. */
  readonly after?: number;
  readonly follow?: boolean;
  /** Breaks it off. */
  readonly signal?: AbortSignal;
  /**
   * Who follows knows by other means when the log has its end: what is there at this signal is told, and nothing before
   * it ends it.
   */
  readonly ended?: AbortSignal;
}
export interface LogChunk {
  readonly stream: LogStream;
  /** Offset of the first byte within its stream. */
  readonly offset: number;
  /** Grows with each chunk of the attempt; name it in `after` to continue. */
  readonly position: number;
  /** Epoch ms at which it was taken. */
  readonly time: number;
  readonly data: Uint8Array;
  /** Whether its first byte begins a line of its stream; absent = not known. */
  readonly startsLine?: boolean;
  /** Such a chunk has no data: so many bytes of its stream were here, before `offset`, and are kept no longer. */
  readonly missing?: number;
}
