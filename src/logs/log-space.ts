import { open, truncate, unlink } from 'node:fs/promises';
import { CHECKPOINT, decodeFrame, MAX_CHECKPOINT_BYTES } from './frame.ts';
import { passMissing, removeOvertaken } from './segments.ts';
import type { KeptSegment } from './segments.ts';

export const SEGMENT_BYTES = 8 * 1024 * 1024;
/** The middle of a log goes a segment at a time: small enough that most of what may be kept is kept. */
const SEGMENTS = 8;

/**
 * Keeps the files of one log within its room. Half of the room is for its beginning; of the rest the oldest file goes
 * when a new one is to begin. The first that goes is the mark of the gap: only its checkpoint is left, which tells where
 * the beginning ends. How much is missing nobody writes down: it is what lies between the offsets of two checkpoints.
 *
 * | a crash (or a refusing disk) after | leaves                                   | taken up by                               |
 * |------------------------------------|------------------------------------------|-------------------------------------------|
 * | room was needed                    | all files                                | the next new file, which makes room first |
 * | overtaken files were removed       | all files that count                     | the same                                  |
 * | the mark was cut                   | beginning, mark, all later files         | the same                                  |
 * | some files were removed            | beginning, mark, fewer later files       | the same; those few are a smaller gap     |
 * | the new file was made              | … and a file without a whole frame       | opening, which removes it                 |
 * | frames were written                | … and a file with a torn end             | opening, which passes it over             |
 *
 * The cursor is always there: it is in the newest file with a whole frame, and the newest ended one never goes.
 */
export class LogSpace {
  /** What one file may hold, frames and all. */
  readonly segmentBytes: number;
  readonly #dir: string;
  readonly #maxBytes: number;
  readonly #segments: KeptSegment[];

  /** `segments`: what is there already, in order. */
  constructor(dir: string, maxBytes: number, segments: readonly KeptSegment[]) {
    this.#dir = dir;
    this.#maxBytes = maxBytes;
    this.#segments = [...segments];
    this.segmentBytes = Math.min(SEGMENT_BYTES, Math.floor(maxBytes / SEGMENTS));
  }

  /** A file has ended. */
  ended(segment: KeptSegment): void {
    this.#segments.push(segment);
  }

  /** Before a file is begun that will hold `bytes`, at most a segment. */
  async makeRoom(bytes: number): Promise<void> {
    const needed = Math.min(bytes, this.segmentBytes) + MAX_CHECKPOINT_BYTES;
    let excess = this.#segments.reduce((sum, segment) => sum + segment.bytes, needed) - this.#maxBytes;
    if (excess <= 0) return;
    const mark = this.#segments.findIndex((_, i) => i > 0 && !this.#isHead(i));
    // The last one stays as it is.
    if (mark < 0 || mark >= this.#segments.length - 1) return;
    await removeOvertaken(this.#dir);
    excess -= await this.#cut(mark);
    while (excess > 0 && mark + 1 < this.#segments.length - 1) {
      const victim = this.#segments[mark + 1];
      if (victim === undefined) return;
      await unlink(victim.path).catch(passMissing);
      this.#segments.splice(mark + 1, 1);
      excess -= victim.bytes;
    }
  }

  /** By where the next file begins: of the mark itself little is left. */
  #isHead(at: number): boolean {
    const next = this.#segments[at + 1];
    return next !== undefined && next.first <= this.#maxBytes / 2;
  }

  /** Leaves nothing but the checkpoint that the file begins with; returns the bytes that this gave back. */
  async #cut(at: number): Promise<number> {
    const segment = this.#segments[at];
    if (segment === undefined) return 0;
    const { first, path } = segment;
    const left = await checkpointBytes(path);
    if (segment.bytes <= left) return 0;
    await truncate(path, left);
    this.#segments[at] = { first, path, bytes: left };
    return segment.bytes - left;
  }
}

/** Length of the checkpoint at the beginning of a file; 0 where there is none. */
async function checkpointBytes(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(MAX_CHECKPOINT_BYTES);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    const decoded = decodeFrame(buffer.subarray(0, bytesRead), 0);
    return decoded.outcome === 'frame' && decoded.frame.kind === CHECKPOINT ? decoded.bytes : 0;
  } finally {
    await file.close();
  }
}
