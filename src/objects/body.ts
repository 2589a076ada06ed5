import type { Readable } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import { onAbort } from '../lib/service.ts';
import type { Place } from './failures.ts';
import { unavailable } from './failures.ts';

/** Of a body that is read or sent: so long nothing may move at the store's end. */
export const STALL_MS = 60_000;

export interface BodyOptions {
  readonly clock: Clock;
  readonly place: Place;
  readonly key: string;
  /** Bytes that the store announced. */
  readonly size: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * The body as chunks; it may be read once. A reader that takes its time is never timed, a store that sends nothing is.
 * Errors while reading: OBJECT_STORE_UNAVAILABLE (broken off, stalled, too short), the reason of `signal`.
 */
export function bodyOf(stream: Readable, options: BodyOptions): AsyncIterable<Uint8Array> {
  const { signal } = options;
  // A break before the first read must wait for the reader; without a listener it would end the process.
  stream.on('error', () => undefined);
  const forget = signal === undefined ? () => undefined : onAbort(signal, () => stream.destroy());
  stream.once('close', forget);
  return { [Symbol.asyncIterator]: () => readChunks(stream, options) };
}

async function* readChunks(stream: Readable, options: BodyOptions): AsyncGenerator<Uint8Array, void, void> {
  const { clock, place, size, signal } = options;
  const chunks: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]();
  let seen = 0;
  let stalled = false;
  const stall = (): void => {
    stalled = true;
    stream.destroy();
  };
  const broken = (cause?: unknown): unknown => {
    if (signal?.aborted === true) return signal.reason;
    const what = stalled ? `sent nothing for ${STALL_MS / 1000} s` : 'broke off';
    const text = `${what} after ${seen} of ${size} bytes of "${options.key}" in the bucket "${place.bucket}"`;
    return unavailable(place, text, 'it is tried again by itself; is the store up?', cause);
  };
  try {
    for (;;) {
      const cancel = clock.setTimer(STALL_MS, stall);
      const result = await chunks.next().finally(cancel);
      if (result.done === true) break;
      seen += result.value.byteLength;
      yield result.value;
    }
  } catch (error) {
    throw broken(error);
  } finally {
    stream.destroy();
  }
  if (seen !== size) throw broken();
}
