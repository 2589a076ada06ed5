import { TAIL_BYTES } from './frame.ts';

/** Counts a stream's bytes and keeps the last 4 KiB of them in a ring, so that small writes cost their own size only. */
export class StreamTail {
  #bytes: number;
  readonly #ring = Buffer.alloc(TAIL_BYTES);
  /** How many bytes before `#bytes` the ring holds. */
  #held = 0;

  constructor(bytes = 0, tail: Uint8Array = new Uint8Array()) {
    this.#bytes = bytes - tail.length;
    this.push(tail);
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(data: Uint8Array): void {
    const kept = data.length > TAIL_BYTES ? data.subarray(data.length - TAIL_BYTES) : data;
    const at = (this.#bytes + data.length - kept.length) % TAIL_BYTES;
    const first = kept.subarray(0, TAIL_BYTES - at);
    this.#ring.set(first, at);
    this.#ring.set(kept.subarray(first.length), 0);
    this.#bytes += data.length;
    this.#held = Math.min(TAIL_BYTES, this.#held + data.length);
  }

  tail(): Uint8Array {
    const end = this.#bytes % TAIL_BYTES;
    const start = end - this.#held;
    if (start >= 0) return Uint8Array.prototype.slice.call(this.#ring, start, end);
    return Buffer.concat([this.#ring.subarray(start + TAIL_BYTES), this.#ring.subarray(0, end)]);
  }
}
