import { statSync } from 'node:fs';
import { open, readdir, rm, stat, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { TappetError } from '../core/errors.ts';
import type { AttemptKey } from '../core/execution.ts';
import { hasCode } from '../lib/has-code.ts';
import { CHECKPOINT, decodeCheckpoint, decodeFrame, END, streamOf } from './frame.ts';
import type { Frame } from './frame.ts';
import { StreamTail } from './stream-tail.ts';

/** A segment file: the frames from position `first` on, up to the `first` of the next one. */
export interface Segment {
  readonly first: number;
  /** Of the owner who made it. */
  readonly epoch: number;
  readonly path: string;
}

/** A file of a log, with what it takes on disk. */
export interface KeptSegment {
  readonly first: number;
  readonly path: string;
  readonly bytes: number;
}

/** What a log holds: where the next frame goes, and how far each stream has come. */
export interface Recovered {
  readonly position: number;
  readonly stdout: StreamTail;
  readonly stderr: StreamTail;
  /** It was closed, and nothing was added since. */
  readonly ended: boolean;
  /** In order. */
  readonly segments: readonly KeptSegment[];
  /** Of the last of them, which has the highest: what is written behind it under a lower one would not count. */
  readonly epoch: number;
}

/** Read at once; a multiple of a page, several frames of a busy stream. */
const BLOCK_BYTES = 256 * 1024;
/** The first block: many who ask for a log take little of it. Each next one is twice as large, up to the one above. */
const FIRST_BLOCK_BYTES = 32 * 1024;
/** 15 digits hold 10^15 bytes and sort as text. */
const POSITION_DIGITS = 15;
const SEGMENT_NAME = /^(\d+)(?:-(\d+))?\.log$/;
/** One path component: no slash, no leading dot, at most what file systems take. */
const EXECUTION_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/;

export function executionDir(dir: string, execution: string): string {
  if (!EXECUTION_NAME.test(execution)) {
    throw new TappetError('INVALID_ARGUMENT', `"${execution}" cannot be the name of an execution.`);
  }
  return join(dir, execution);
}

export function attemptDir(dir: string, key: AttemptKey): string {
  for (const [name, value] of [['task index', key.index] as const, ['attempt', key.attempt] as const]) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw new TappetError(
      'INVALID_ARGUMENT',
      `${value} cannot be the number of a ${name}; it must be 0 or more.`,
    );
  }
  return join(executionDir(dir, key.execution), `${key.index}-${key.attempt}`);
}

/** Two owners never make a file of the same name: neither writes over what the other one writes. */
export function segmentPath(dir: string, first: number, epoch: number): string {
  const owner = epoch === 0 ? '' : `-${epoch}`;
  return join(dir, `${String(first).padStart(POSITION_DIGITS, '0')}${owner}.log`);
}

/** Those that count, in order; empty where the folder does not exist. */
export async function listSegments(dir: string): Promise<Segment[]> {
  return (await findSegments(dir)).counting;
}

/** Removes what an owner before wrote where a later one had gone on: it would count again when that one's files go. */
export async function removeOvertaken(dir: string): Promise<void> {
  const { overtaken } = await findSegments(dir);
  await Promise.all(overtaken.map(({ path }) => rm(path, { force: true })));
}

/** A file counts unless an owner of a higher epoch had gone on by where it begins. */
async function findSegments(dir: string): Promise<{ counting: Segment[]; overtaken: Segment[] }> {
  const names = await readdir(dir).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  const segments = names.flatMap((name) => {
    const [, first, epoch = '0'] = SEGMENT_NAME.exec(name) ?? [];
    return first === undefined ? [] : [{ first: Number(first), epoch: Number(epoch), path: join(dir, name) }];
  });
  const counting: Segment[] = [];
  const overtaken: Segment[] = [];
  for (const segment of segments.sort(byFirst)) {
    const isLate = segment.epoch < (counting.at(-1)?.epoch ?? 0);
    (isLate ? overtaken : counting).push(segment);
  }
  return { counting, overtaken };
}

const byFirst = (a: Segment, b: Segment): number => a.first - b.first || b.epoch - a.epoch;

export function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT');
}

export function passMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}

/** A frame and where it stands in the file that it came from. */
export interface PlacedFrame {
  readonly frame: Frame;
  readonly at: number;
  /** Where the next frame starts. */
  readonly end: number;
}

/**
 * The whole frames of a segment from byte `at` to byte `limit`, a block at a time; ends at the first one that is
 * torn or not all there yet. Each block has its own memory, so payloads stay valid.
 */
export async function* readFrames(
  file: FileHandle,
  at: number,
  limit: number,
): AsyncGenerator<PlacedFrame[]> {
  let from = at;
  let block = FIRST_BLOCK_BYTES;
  let size = block;
  for (;;) {
    const length = Math.min(size, limit - from);
    if (length <= 0) return;
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, from);
    const { frames, used, needed } = decodeBlock(buffer.subarray(0, bytesRead), from);
    if (frames.length > 0) yield frames;
    // Nothing whole in a block that could not grow: the end, or a frame that a crash cut in two.
    if (used === 0 && (needed <= bytesRead || bytesRead < length || needed > limit - from)) return;
    from += used;
    block = Math.min(2 * block, BLOCK_BYTES);
    size = Math.max(block, needed);
  }
}

function decodeBlock(buffer: Buffer, from: number): { frames: PlacedFrame[]; used: number; needed: number } {
  const frames: PlacedFrame[] = [];
  let used = 0;
  for (;;) {
    const decoded = decodeFrame(buffer, used);
    if (decoded.outcome !== 'frame') {
      return { frames, used, needed: decoded.outcome === 'short' ? decoded.bytes : 0 };
    }
    frames.push({ frame: decoded.frame, at: from + used, end: from + used + decoded.bytes });
    used += decoded.bytes;
  }
}

/**
 * Finds the end of what was written whole, from the last segment alone. A last segment without any whole frame
 * (the process ended while making it) is removed, but for one of an owner after us, who is about to write it. The torn
 * end of a file is cut off by being passed over: the next segment starts where it began, so that a process that was
 * thought dead and still holds the old file open can add to nothing that is read.
 */
export async function recover(dir: string, epoch: number): Promise<Recovered> {
  // Asked at once, not by way of the thread pool: a fresh attempt's start waits for this, behind whatever is being
  // answered in the same turn (measured: 3 ms).
  const isThere = statSync(dir, { throwIfNoEntry: false }) !== undefined;
  let segments = isThere ? await listSegments(dir) : [];
  for (let last = segments.at(-1); last !== undefined; last = segments.at(-1)) {
    const found = await scanSegment(last);
    if (found !== undefined) return { ...found, segments: await sizesOf(segments), epoch: last.epoch };
    if (last.epoch > epoch) segments = segments.slice(0, -1);
    else {
      await unlink(last.path);
      // What it had overtaken counts again.
      segments = await listSegments(dir);
    }
  }
  const nothing = { position: 0, stdout: new StreamTail(), stderr: new StreamTail() };
  return { ...nothing, ended: false, segments: [], epoch: 0 };
}

const sizesOf = (segments: readonly Segment[]): Promise<KeptSegment[]> =>
  Promise.all(segments.map(async ({ first, path }) => ({ first, path, bytes: (await stat(path)).size })));

/** Where a log ends, the torn end of its last file included; 0 where there is none. */
export async function endOf(dir: string): Promise<number> {
  const last = (await listSegments(dir)).at(-1);
  if (last === undefined) return 0;
  const size = await stat(last.path).then(
    (found) => found.size,
    (error: unknown) => {
      if (isMissing(error)) return 0;
      throw error;
    },
  );
  return last.first + size;
}

async function scanSegment(segment: Segment): Promise<Omit<Recovered, 'segments' | 'epoch'> | undefined> {
  const file = await open(segment.path, 'r');
  try {
    const streams = { stdout: new StreamTail(), stderr: new StreamTail() };
    let end = 0;
    let ended = false;
    for await (const frames of readFrames(file, 0, Infinity)) {
      for (const placed of frames) {
        ended = placed.frame.kind === END;
        if (ended) continue;
        take(streams, placed.frame);
        end = placed.end;
      }
    }
    return end === 0 ? undefined : { position: segment.first + end, ...streams, ended };
  } finally {
    await file.close();
  }
}

function take(streams: { stdout: StreamTail; stderr: StreamTail }, frame: Frame): void {
  if (frame.kind === CHECKPOINT) {
    const { stdout, stderr } = decodeCheckpoint(frame.payload);
    streams.stdout = new StreamTail(stdout.bytes, stdout.tail);
    streams.stderr = new StreamTail(stderr.bytes, stderr.tail);
    return;
  }
  const stream = streamOf(frame.kind);
  if (stream !== undefined) streams[stream].push(frame.payload);
}
