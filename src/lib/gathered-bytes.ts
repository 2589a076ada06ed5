/** What a body of a few bytes takes. */
const LEAST_BLOCK = 256;

/**
 * Bytes that come in pieces, in memory of our own: never more than twice what has come, and the least block. The pieces
 * themselves are not kept: one byte that comes by itself is an object of hundreds.
 */
export class GatheredBytes {
  readonly #limit: number;
  /** All but the last are full. Each is as long as all before it, so that there are few and nothing is copied as they grow. */
  #blocks: Uint8Array<ArrayBuffer>[] = [];
  #last = new Uint8Array(0);
  /** Bytes in the last block. */
  #used = 0;
  #size = 0;
  #held = 0;

  /** No more than `limit` bytes will come: so much memory is enough. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes that have come. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of memory that are taken for them. */
  get held(): number {
    return this.#held;
  }

  /** Copies it: the memory of `piece` may be used again. */
  add(piece: Uint8Array): void {
    const room = this.#last.length - this.#used;
    if (piece.length <= room) {
      this.#put(piece);
      return;
    }
    if (room > 0) this.#put(piece.subarray(0, room));
    const rest = room > 0 ? piece.subarray(room) : piece;
    const growth = Math.min(Math.max(this.#size, LEAST_BLOCK), this.#limit - this.#size);
    this.#last = new Uint8Array(Math.max(rest.length, growth));
    this.#blocks.push(this.#last);
    this.#held += this.#last.length;
    this.#used = 0;
    this.#put(rest);
  }

  /** All of them; nothing may be added after that. */
  joined(): Uint8Array<ArrayBuffer> {
    const [only] = this.#blocks;
    // One piece that brought all of it.
    if (only !== undefined && only.length === this.#size) return only;
    const out = new Uint8Array(this.#size);
    let at = 0;
    for (const block of this.#blocks) {
      const bytes = block === this.#last ? block.subarray(0, this.#used) : block;
      out.set(bytes, at);
      at += bytes.length;
    }
    this.#blocks = [];
    return out;
  }

  #put(bytes: Uint8Array): void {
    this.#last.set(bytes, this.#used);
    this.#used += bytes.length;
    this.#size += bytes.length;
  }
}
