import { TappetError } from '../../src/core/errors.ts';
import type { Raw } from './intake.ts';

/** A notification of MinIO is 1 to 10 KiB long; more than this is none. */
const KEEP_BYTES = 1024 * 1024;

/**
 * Reads a body to its end and keeps at most 1 MiB of it: not reading on would look to the sender like a failure, and a
 * sender that repeats for ever would never get past it. Errors: INVALID_ARGUMENT where the body breaks off.
 */
export async function readBody(request: Request): Promise<Raw> {
  const kept: Uint8Array[] = [];
  let bytes = 0;
  let room = KEEP_BYTES;
  try {
    for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
      bytes += chunk.byteLength;
      if (room > 0) kept.push(chunk.subarray(0, room));
      room -= chunk.byteLength;
    }
  } catch (error) {
    throw new TappetError('INVALID_ARGUMENT', 'The body broke off before its end.', {}, error);
  }
  return { body: Buffer.concat(kept), bytes };
}
