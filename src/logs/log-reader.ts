import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';
import type { LogChunk, LogReadParams, LogStream } from '../core/log-sink.ts';
import type { FileLogWriter } from './file-log-writer.ts';
import { onAbort } from '../lib/service.ts';
import { CHECKPOINT, decodeCheckpoint, END, streamOf } from './frame.ts';
import type { Frame } from './frame.ts';
import { isMissing, listSegments, readFrames } from './segments.ts';
import type { PlacedFrame } from './segments.ts';

/** How often a follower looks where no writer of this process tells it: another process may write. */
const LOOK_MS = 1_000;
const LINE_FEED = 0x0a;

export interface LogReaderOptions {
  readonly dir: string;
  readonly clock: Clock;
  readonly params: LogReadParams;
  /** The one who writes at the moment, in this process. */
  readonly writer: () => FileLogWriter | undefined;
  /** Calls `fn` when a writer comes; returns a function that takes it back. */
  readonly onOpen: (fn: () => void) => () => void;
}

/** One pass over an attempt's frames, in order, that can go on where it stopped. */
export class LogReader {
  readonly #options: LogReaderOptions;
  /** Frames before it have been read. */
  #position = 0;
  /** Where the file begins that is being read. */
  #first = 0;
  /** Position of the last chunk. */
  #passed = -1;
  #ended = false;
  #file: FileHandle | undefined;
  #filePath = '';
  /** Where the next bytes of each stream belong; undefined while the first checkpoint is still to be read. */
  #expected: Record<LogStream, number> | undefined;
  /** The byte before these. */
  readonly #last: Record<LogStream, number | undefined> = { stdout: undefined, stderr: undefined };

  constructor(options: LogReaderOptions) {
    this.#options = options;
  }

  /** All chunks asked for; with `follow` until the end of the log, or until `ended`, or `signal`. */
  async *chunks(): AsyncGenerator<LogChunk> {
    const { signal, ended, follow = false } = this.#options.params;
    let closed = false;
    try {
      while (signal?.aborted !== true) {
        // Asked before it looks: what was written until then is told.
        const over = ended?.aborted === true;
        // Listens before it looks: a write in between would be missed.
        const writer = this.#options.writer();
        const news = this.#news(writer);
        try {
          yield* this.#available(writer?.position ?? Infinity);
          if (!follow || over) return;
          if (ended === undefined && writer === undefined && (this.#ended || closed)) return;
          await news.promise;
        } finally {
          news.cancel();
        }
        // The mark of the end may be missing, where the disk was full.
        closed = writer?.closed === true;
      }
    } finally {
      await this.#leave();
    }
  }

  async *#available(limit: number): AsyncGenerator<LogChunk> {
    const segments = await listSegments(this.#options.dir);
    const { after = 0 } = this.#options.params;
    for (const [i, segment] of segments.entries()) {
      const end = Math.min(limit, segments[i + 1]?.first ?? Infinity);
      // `after` may be any number, so the whole segment that holds it is gone through.
      if (end <= Math.max(this.#first, after) || segment.first >= limit) continue;
      if (!(await this.#enter(segment))) continue;
      if (this.#file === undefined) continue;
      if (segment.first === 0) this.#expected ??= { stdout: 0, stderr: 0 };
      const at = this.#position - segment.first;
      for await (const frames of readFrames(this.#file, at, end - segment.first)) {
        yield* this.#wanted(frames, segment.first);
        if (this.#options.params.signal?.aborted === true) return;
      }
    }
  }

  *#wanted(frames: readonly PlacedFrame[], first: number): Generator<LogChunk> {
    const { stream: only, after = -1 } = this.#options.params;
    for (const { frame, at, end } of frames) {
      this.#ended = frame.kind === END;
      // The mark stays unread: where the log is opened again, other frames take its place.
      if (this.#ended) continue;
      this.#position = first + end;
      const position = Math.max(first + at, this.#passed + 1);
      const isCheckpoint = frame.kind === CHECKPOINT;
      const chunks = isCheckpoint ? this.#gapsAt(frame, position) : this.#dataOf(frame, position);
      for (const chunk of chunks) {
        this.#passed = chunk.position;
        if (chunk.position > after && (only === undefined || chunk.stream === only)) yield chunk;
      }
    }
  }

  /** What has not been told yet: an owner that had been overtaken may have written the same until its heir began. */
  #dataOf({ kind, time, offset: start, payload }: Frame, position: number): LogChunk[] {
    const stream = streamOf(kind);
    if (stream === undefined) return [];
    const offset = Math.max(start, this.#expected?.[stream] ?? 0);
    const data = payload.subarray(offset - start);
    if (data.length === 0) return [];
    const startsLine = offset === 0 || this.#last[stream] === LINE_FEED;
    this.#last[stream] = data.at(-1);
    if (this.#expected !== undefined) this.#expected[stream] = offset + data.length;
    return [{ stream, offset, position, time, data, startsLine }];
  }

  /** A checkpoint that is further on than what was read: files between were dropped. */
  #gapsAt(frame: Frame, position: number): LogChunk[] {
    const cursor = decodeCheckpoint(frame.payload);
    const before = this.#expected;
    const expected = (this.#expected ??= { stdout: 0, stderr: 0 });
    const { time } = frame;
    return (['stdout', 'stderr'] as const).flatMap((stream, i) => {
      const { bytes: offset, tail } = cursor[stream];
      if (offset < expected[stream]) return [];
      const missing = offset - expected[stream];
      expected[stream] = offset;
      this.#last[stream] = tail.at(-1);
      // Two chunks of one frame need two positions; no other frame begins within this one.
      return before !== undefined && missing > 0
        ? [{ stream, offset, position: position + i, time, data: new Uint8Array(), missing }]
        : [];
    });
  }

  /** false where the file has gone since it was listed. */
  async #enter(segment: { first: number; path: string }): Promise<boolean> {
    if (this.#filePath === segment.path) return true;
    await this.#leave();
    try {
      this.#file = await open(segment.path, 'r');
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
    this.#filePath = segment.path;
    // From its first frame on: it may begin before the end of what an owner wrote that was overtaken.
    this.#first = segment.first;
    this.#position = segment.first;
    return true;
  }

  async #leave(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#filePath = '';
    await file?.close();
  }

  /** Settles at the next write, end, opening, signal or, without a writer, after a second. */
  #news(writer: FileLogWriter | undefined): { promise: Promise<void>; cancel: () => void } {
    const { params, clock, onOpen } = this.#options;
    const undo: (() => void)[] = [];
    const promise = new Promise<void>((resolve) => {
      for (const signal of [params.signal, params.ended])
        if (signal !== undefined) undo.push(onAbort(signal, resolve));
      if (writer !== undefined) undo.push(writer.onChange(resolve));
      else undo.push(onOpen(resolve), clock.setTimer(LOOK_MS, resolve));
    });
    return {
      promise,
      cancel: () => {
        for (const fn of undo) fn();
      },
    };
  }
}
