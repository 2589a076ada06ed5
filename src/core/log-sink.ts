import type { AttemptKey, LogBytes } from './execution.ts';

export type LogStream = 'stdout' | 'stderr';

/**
 * Where the output of attempts goes: append-only segments with a byte offset per stream. What `write` has taken
 * survives the end of the gateway's process; `close` makes it survive a power cut too.
 */
export interface LogSink {
  /** Opens for appending; what a crash left half-written is cut off first. One writer per attempt. */
  open(key: AttemptKey): Promise<LogWriter>;
  /**
   * What is there from `from` on (all if absent); with `follow` goes on until `close` or `signal`. Of a log that was
   * closed with nothing in it no trace is left: who begins to follow it afterwards knows its end from the attempt's row.
   */
  read(key: AttemptKey, params: LogReadParams): AsyncIterable<LogChunk>;
  /** Removes all logs of an execution. No error where there are none. */
  remove(execution: string): Promise<void>;
}

export interface LogWriter {
  /** What was taken so far. */
  cursor(): LogCursor;
  /** Resolves when it is safe against the end of the process; the caller waits before it reads on. */
  write(stream: LogStream, data: Uint8Array): Promise<void>;
  /** Durable. Idempotent. Returns the bytes per stream. */
  close(): Promise<LogBytes>;
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
  readonly signal?: AbortSignal;
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
}
