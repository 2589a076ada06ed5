import { crc32 } from 'node:zlib';
import type { LogCursor, LogStream } from '../core/log-sink.ts';

/**
 * What a segment file consists of: frames, each a header of 24 bytes and a payload.
 *
 * | at | bytes | what                                                              |
 * |----|-------|-------------------------------------------------------------------|
 * | 0  | 1     | magic 0x54                                                        |
 * | 1  | 1     | kind: 1 stdout, 2 stderr, 3 checkpoint, 4 end                     |
 * | 2  | 2     | zero                                                              |
 * | 4  | 4     | length of the payload                                             |
 * | 8  | 6     | epoch ms at which it was taken                                    |
 * | 14 | 6     | offset of the first byte within its stream                        |
 * | 20 | 4     | crc32 of the 20 bytes before and the payload                      |
 *
 * The sum finds a frame that the end of the process cut in two, and one whose pages a power cut left empty.
 * All numbers are big-endian.
 */
export const HEADER_BYTES = 24;
/** Bounds what a reader must hold at once; a longer write becomes several frames. */
export const MAX_PAYLOAD_BYTES = 1024 * 1024;
/** The longest end of a stream that a checkpoint repeats: what a resume compares. */
export const TAIL_BYTES = 4096;

/** The largest checkpoint with its header. */
export const MAX_CHECKPOINT_BYTES = HEADER_BYTES + 16 + 2 * TAIL_BYTES;

const MAGIC = 0x54;
export const STDOUT = 1;
export const STDERR = 2;
/** First frame of every later segment: both cursors, so that opening reads one segment only. */
export const CHECKPOINT = 3;
/** Written by `close`: nothing follows, unless the log is opened again. */
export const END = 4;
export type Kind = 1 | 2 | 3 | 4;

export interface Frame {
  readonly kind: Kind;
  readonly time: number;
  readonly offset: number;
  readonly payload: Uint8Array;
}

export const kindOf = (stream: LogStream): Kind => (stream === 'stdout' ? STDOUT : STDERR);
export const streamOf = (kind: Kind): LogStream | undefined =>
  kind === STDOUT ? 'stdout' : kind === STDERR ? 'stderr' : undefined;

/** The header alone: the payload is written as it is, not copied. */
export function encodeHeader(frame: Frame): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(MAGIC, 0);
  header.writeUInt8(frame.kind, 1);
  header.writeUInt32BE(frame.payload.length, 4);
  header.writeUIntBE(Math.max(0, frame.time), 8, 6);
  header.writeUIntBE(frame.offset, 14, 6);
  header.writeUInt32BE(crc32(frame.payload, crc32(header.subarray(0, 20))), 20);
  return header;
}

export type Decoded =
  | { readonly outcome: 'frame'; readonly frame: Frame; readonly bytes: number }
  /** More bytes are needed, `bytes` in all from `at` on. */
  | { readonly outcome: 'short'; readonly bytes: number }
  | { readonly outcome: 'torn' };

/** The frame that starts at `at`. Its payload is a view of `buffer`. */
export function decodeFrame(buffer: Buffer, at: number): Decoded {
  if (buffer.length - at < HEADER_BYTES) return { outcome: 'short', bytes: HEADER_BYTES };
  const kind = buffer.readUInt8(at + 1);
  const length = buffer.readUInt32BE(at + 4);
  if (buffer.readUInt8(at) !== MAGIC || !isKind(kind) || length > MAX_PAYLOAD_BYTES)
    return { outcome: 'torn' };
  const bytes = HEADER_BYTES + length;
  if (buffer.length - at < bytes) return { outcome: 'short', bytes };
  const payload = buffer.subarray(at + HEADER_BYTES, at + bytes);
  const sum = crc32(payload, crc32(buffer.subarray(at, at + 20)));
  if (sum !== buffer.readUInt32BE(at + 20)) return { outcome: 'torn' };
  const frame: Frame = {
    kind,
    time: buffer.readUIntBE(at + 8, 6),
    offset: buffer.readUIntBE(at + 14, 6),
    payload,
  };
  return { outcome: 'frame', frame, bytes };
}

const isKind = (kind: number): kind is Kind => kind >= STDOUT && kind <= END;

/** A checkpoint's payload: per stream 6 bytes of offset, 2 of tail length; then both tails. */
export function encodeCheckpoint(cursor: LogCursor): Buffer {
  const { stdout, stderr } = cursor;
  const head = Buffer.alloc(16);
  head.writeUIntBE(stdout.bytes, 0, 6);
  head.writeUInt16BE(stdout.tail.length, 6);
  head.writeUIntBE(stderr.bytes, 8, 6);
  head.writeUInt16BE(stderr.tail.length, 14);
  return Buffer.concat([head, stdout.tail, stderr.tail]);
}

export function decodeCheckpoint(payload: Uint8Array): LogCursor {
  const buffer = Buffer.from(payload);
  const between = 16 + buffer.readUInt16BE(6);
  const end = between + buffer.readUInt16BE(14);
  return {
    stdout: { bytes: buffer.readUIntBE(0, 6), tail: buffer.subarray(16, between) },
    stderr: { bytes: buffer.readUIntBE(8, 6), tail: buffer.subarray(between, end) },
  };
}
