import { TappetError } from '../../src/core/errors.ts';
import { GatheredBytes } from '../../src/lib/gathered-bytes.ts';
import type { Raw } from './intake.ts';

/** A notification of MinIO is 1 to 10 KiB long; more than this is none. */
const KEEP_BYTES = 1024 * 1024;

/**
 * Reads a body to its end and keeps at most 1 MiB of it: not reading on would look to the sender like a failure, and a
 * sender that repeats for ever would never get past it. Errors: INVALID_ARGUMENT where the body breaks off.
 */
export async function readBody(request: Request): Promise<Raw> {
  // The parser ends it where it says: no need to count, and read in one piece it costs a third of the streamed way.
  const announced = request.headers.get('content-length');
  return announced !== null && Number(announced) <= KEEP_BYTES ? whole(request) : counted(request);
}

async function whole(request: Request): Promise<Raw> {
  try {
    const body = Buffer.from(await request.arrayBuffer());
    return { body, bytes: body.byteLength };
  } catch (error) {
    throw brokenOff(error);
  }
}

async function counted(request: Request): Promise<Raw> {
  const kept = new GatheredBytes(KEEP_BYTES);
  let bytes = 0;
  try {
    for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
      bytes += chunk.byteLength;
      kept.add(chunk.subarray(0, KEEP_BYTES - kept.size));
    }
  } catch (error) {
    throw brokenOff(error);
  }
  return { body: Buffer.from(kept.joined().buffer), bytes };
}

const brokenOff = (error: unknown): TappetError =>
  new TappetError('INVALID_ARGUMENT', 'The body broke off before its end.', {}, error);
