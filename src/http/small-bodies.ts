import type { IncomingMessage } from 'node:http';
import { readIncoming } from './body.ts';
import type { BodyShare } from './body-budget.ts';

const SMALL_BYTES = 64 * 1024;

/** Whether a body of so many bytes, as its sender announces, is small; NaN where he does not say. */
export const isSmall = (length: number): boolean => length <= SMALL_BYTES;

type Read = IncomingMessage & { rawBody?: Buffer | undefined };

/** The body of `incoming`, read: what makes a Request of it takes it from there, as where a platform has read it. */
export function give(incoming: IncomingMessage, bytes: Uint8Array<ArrayBuffer>): void {
  (incoming as Read).rawBody = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Calls with a small body of an announced length, of which nothing is made before it is there: a sender who is slow with
 * it holds what node needs for a connection and little more, and many of them cost others little time.
 */
export class SmallBodies {
  readonly #share: (incoming: IncomingMessage, length: number) => BodyShare | undefined;
  /**
   * Weak, though each is taken out again: a `Map` that entries come to and go from makes new tables, to which the old ones
   * point. An old one that has outlived two collections would keep the calls in all after it until the next thorough one.
   */
  readonly #shares = new WeakMap<IncomingMessage, BodyShare>();

  /** @param share what a body of such a length counts to; undefined where the call is to be looked at first */
  constructor(share: (incoming: IncomingMessage, length: number) => BodyShare | undefined) {
    this.#share = share;
  }

  /**
   * Runs `handle` when the body is there or there was no room for it, or at once where none is waited for; not at all
   * where it breaks off.
   */
  whenThere(incoming: IncomingMessage, handle: () => void): void {
    const length = smallLength(incoming);
    const share = length === 0 ? undefined : this.#share(incoming, length);
    if (share === undefined) {
      handle();
      return;
    }
    this.#shares.set(incoming, share);
    readIncoming(incoming, length, (bytes) => share.grow(bytes)).then(
      (bytes) => {
        give(incoming, bytes);
        handle();
      },
      () => {
        if (share.refusal === undefined) this.forget(incoming);
        else handle();
      },
    );
  }

  /** What the body counts to, which was read (or refused) before its call was looked at; undefined of any other. */
  of(incoming: IncomingMessage): BodyShare | undefined {
    return this.#shares.get(incoming);
  }

  /** Its call was handled; `incoming` lives on until the answer has gone. */
  forget(incoming: IncomingMessage): void {
    (incoming as Read).rawBody = undefined;
    this.#shares.get(incoming)?.free();
    this.#shares.delete(incoming);
  }
}

/** The length of a small body that is announced; else 0. */
function smallLength({ method, headers }: IncomingMessage): number {
  if (method === 'GET' || method === 'HEAD') return 0;
  const length = Number(headers['content-length'] ?? 0);
  return isSmall(length) ? length : 0;
}
