import type { LogStream } from '../../core/log-sink.ts';

/** Bytes of one stream, in the order the engine sent them. `data` is a view of the chunk that was pushed. */
export interface Piece {
  readonly stream: LogStream;
  readonly data: Buffer;
}

const HEADER = 8;
const SYSTEM_ERROR = 3;
/** The engine's own error text is a sentence; more is not kept. */
const MAX_SYSTEM_ERROR = 4096;
const NO_BYTES = Buffer.alloc(0);

/**
 * Takes apart the engine's multiplexed output: frames of `[type, 0, 0, 0, length as uint32 big-endian]` and a payload,
 * type 1 = stdout, 2 = stderr, 3 = an error of the engine itself. Linear, whatever the size of frames and chunks; a
 * payload is handed on as it comes, never collected.
 */
export class Demux {
  readonly #header = Buffer.alloc(HEADER);
  #headerBytes = 0;
  #type = 0;
  #left = 0;
  #systemError = NO_BYTES;

  /** Errors: `Error` where the bytes are not such frames (a container with a terminal has none). */
  push(chunk: Buffer): Piece[] {
    const pieces: Piece[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#left === 0) at = this.#readHeader(chunk, at);
      else at = this.#readPayload(chunk, at, pieces);
    }
    return pieces;
  }

  /** Between two frames: a stream that ends elsewhere was cut. */
  get atBoundary(): boolean {
    return this.#left === 0 && this.#headerBytes === 0;
  }

  /** What the engine itself had to say, if it did. */
  get systemError(): string | null {
    return this.#systemError.length === 0 ? null : this.#systemError.toString('utf8').trim();
  }

  #readHeader(chunk: Buffer, at: number): number {
    const taken = Math.min(HEADER - this.#headerBytes, chunk.length - at);
    chunk.copy(this.#header, this.#headerBytes, at, at + taken);
    this.#headerBytes += taken;
    if (this.#headerBytes === HEADER) {
      this.#headerBytes = 0;
      this.#type = this.#header.readUInt8(0);
      this.#left = this.#header.readUInt32BE(4);
      const padded = this.#header.readUIntBE(1, 3) === 0;
      if (this.#type > SYSTEM_ERROR || !padded)
        throw new Error('the engine sent output that is not in frames');
    }
    return at + taken;
  }

  #readPayload(chunk: Buffer, at: number, pieces: Piece[]): number {
    const data = chunk.subarray(at, at + this.#left);
    this.#left -= data.length;
    if (this.#type === SYSTEM_ERROR) {
      this.#systemError = Buffer.concat([this.#systemError, data]).subarray(0, MAX_SYSTEM_ERROR);
    } else {
      pieces.push({ stream: this.#type === 2 ? 'stderr' : 'stdout', data });
    }
    return at + data.length;
  }
}

/**
 * Joins neighbours of the same stream, so that a chunk of many short lines becomes few writes. Where the streams
 * alternate more than `maxPieces` times, their order within this one chunk is given up: two writes remain.
 */
export function coalesce(pieces: readonly Piece[], maxPieces = 32): Piece[] {
  const runs: { stream: LogStream; parts: Buffer[] }[] = [];
  for (const { stream, data } of pieces) {
    const last = runs.at(-1);
    if (last?.stream === stream) last.parts.push(data);
    else runs.push({ stream, parts: [data] });
  }
  if (runs.length <= maxPieces) return runs.map(({ stream, parts }) => ({ stream, data: join(parts) }));
  const of = (wanted: LogStream) =>
    join(pieces.filter(({ stream }) => stream === wanted).map(({ data }) => data));
  return [
    { stream: 'stdout', data: of('stdout') },
    { stream: 'stderr', data: of('stderr') },
  ];
}

function join(parts: readonly Buffer[]): Buffer {
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
}
