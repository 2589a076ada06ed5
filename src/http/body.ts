import type { IncomingMessage } from 'node:http';
import { TappetError } from '../core/errors.ts';
import { GatheredBytes } from '../lib/gathered-bytes.ts';
import { hasInfinity } from '../lib/json-shape.ts';

/** Deeper JSON than anyone means; readers further on recurse, and must not run out of stack. */
const MAX_JSON_DEPTH = 100;

const tooLarge = (limit: number): TappetError =>
  new TappetError('PAYLOAD_TOO_LARGE', `The body is larger than ${limit} bytes, the limit of this gateway.`, {
    fix: 'Send less, or raise server.maxBody.',
  });

/** How long the body will be; NaN where that is not announced. Node's parser lets only digits through. */
export const announcedBytes = (headers: Headers): number => Number(headers.get('content-length') ?? NaN);

/** Errors: PAYLOAD_TOO_LARGE where the body announces more than `limit` bytes. */
export function boundAnnounced(headers: Headers, limit: number): void {
  if (announcedBytes(headers) > limit) throw tooLarge(limit);
}

/**
 * The raw body, counted while it comes in, so that a body without a length is bounded too.
 * Errors: PAYLOAD_TOO_LARGE as soon as `limit` is passed, without reading on; INVALID_ARGUMENT where it breaks off;
 * what `onBytes` throws, which hears of every piece.
 */
export async function readBody(
  request: Request,
  limit: number,
  onBytes?: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  boundAnnounced(request.headers, limit);
  if (request.body === null) return new Uint8Array(0);
  const bytes = new GatheredBytes(limit);
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  for (;;) {
    const { done, value } = await readChunk(reader);
    if (done) return bytes.joined();
    try {
      if (bytes.size + value.byteLength > limit) throw tooLarge(limit);
      onBytes?.(value.byteLength);
    } catch (error) {
      // Not awaited: the sender may never end.
      reader.cancel().catch(() => undefined);
      throw error;
    }
    bytes.add(value);
  }
}

/**
 * The same, from the connection itself, of a request whose body nobody has begun to read. The way over a web stream
 * takes twenty kilobytes and half a millisecond more, which many slow senders at a time make felt.
 *
 * To be called in the turn of the event loop in which the `request` event came (promises that are settled may stand in
 * between), or while the connection is known to be open: before that nobody listens, and of a connection that closed meanwhile a body that had come in whole would
 * count as broken off; of one that somebody has begun to read, what is gone would be missing.
 */
export function readIncoming(
  incoming: IncomingMessage,
  limit: number,
  onBytes?: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    const bytes = new GatheredBytes(limit);
    const over = (): void => {
      incoming.off('data', onData).off('end', onEnd).off('close', onClose);
    };
    const fail = (error: unknown): void => {
      over();
      incoming.pause();
      reject(error);
    };
    const onData = (chunk: Uint8Array): void => {
      try {
        if (bytes.size + chunk.byteLength > limit) throw tooLarge(limit);
        onBytes?.(chunk.byteLength);
      } catch (error) {
        fail(error);
        return;
      }
      bytes.add(chunk);
    };
    const onEnd = (): void => {
      over();
      resolve(bytes.joined());
    };
    const onClose = (): void => fail(brokenOff());
    if (incoming.destroyed) {
      reject(brokenOff());
      return;
    }
    // No `error` listener: node tells errors of an IncomingMessage only to those who listen for them (else they would end
    // the process), and `close` follows each.
    incoming.on('data', onData).on('end', onEnd).on('close', onClose);
  });
}

const brokenOff = (cause?: unknown): TappetError =>
  new TappetError('INVALID_ARGUMENT', 'The body broke off before its end.', {}, cause);

async function readChunk(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<{ done: false; value: Uint8Array } | { done: true; value: undefined }> {
  try {
    const { done, value } = await reader.read();
    return done ? { done: true, value: undefined } : { done: false, value };
  } catch (error) {
    throw brokenOff(error);
  }
}

/**
 * The body as JSON; undefined where there is none.
 * Errors: UNSUPPORTED_MEDIA_TYPE where it is not called JSON, INVALID_ARGUMENT where it is not JSON.
 */
export async function readJson(request: Request, limit: number): Promise<unknown> {
  const bytes = await readBody(request, limit);
  if (bytes.byteLength === 0) return undefined;
  const type = (request.headers.get('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/json') {
    throw new TappetError('UNSUPPORTED_MEDIA_TYPE', 'Send the body as JSON: Content-Type: application/json.');
  }
  return parseJson(bytes);
}

/** Made once: that takes longer than its work. */
const utf8 = new TextDecoder('utf-8', { fatal: true });

function parseJson(bytes: Uint8Array): unknown {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(bytes));
  } catch (error) {
    const why = error instanceof SyntaxError ? error.message : 'it is not UTF-8';
    throw new TappetError('INVALID_ARGUMENT', `The body is not JSON: ${why}.`, { path: 'body' }, error);
  }
  if (isDeeperThan(value, MAX_JSON_DEPTH)) {
    throw new TappetError('INVALID_ARGUMENT', `The body is nested more than ${MAX_JSON_DEPTH} levels deep.`, {
      path: 'body',
    });
  }
  if (hasInfinity(value)) {
    const message = 'The body holds a number that is too large; send it as a string.';
    throw new TappetError('INVALID_ARGUMENT', message, { path: 'body' });
  }
  return value;
}

function isDeeperThan(value: unknown, limit: number): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > limit) return true;
    level = level.flatMap((item) => (typeof item === 'object' && item !== null ? Object.values(item) : []));
  }
  return false;
}
