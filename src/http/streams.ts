import type { Clock } from '../core/clock.ts';
import type { UnreadAnswers } from './unread-answers.ts';

/** Proxies close what is silent for 30 s or 60 s. */
const KEEP_ALIVE_MS = 15_000;
const IDLE = Symbol('idle');
/** Handed on at a time: a reader of a slow line shows with each that he still reads. */
const PIECE_BYTES = 64 * 1024;

export interface Reading {
  /** Runs when the reader goes away. */
  readonly stop: () => void;
  readonly unread: UnreadAnswers;
  /** Name of the principal that asked. */
  readonly caller: string;
  /** Beside what was read last, what the chunks hold in memory until they are read, in bytes. */
  readonly held?: { readonly bytes: number };
  /** Ends the connection that the answer goes to; absent where there is none. */
  readonly cut: (() => void) | undefined;
}

/** Bytes as the body of an answer, pulled as the reader takes them, 64 KiB at most at a time. */
export function byteStream(
  chunks: AsyncGenerator<Uint8Array<ArrayBuffer>>,
  { stop, unread, caller, held, cut }: Reading,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let chunk = new Uint8Array(0);
  let at = 0;
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        unread.go(chunks);
        while (at === chunk.byteLength) {
          const { done, value } = await chunks.next();
          if (done === true) {
            controller.close();
            return;
          }
          chunk = value;
          at = 0;
        }
        const piece = chunk.subarray(at, at + PIECE_BYTES);
        at += piece.byteLength;
        controller.enqueue(piece);
        // All of the chunk, as its memory is one.
        const bytes = chunk.byteLength + (held?.bytes ?? 0);
        if (cut !== undefined) unread.wait(chunks, { bytes, caller, cut });
      },
      async cancel() {
        unread.go(chunks);
        stop();
        // Else what it holds (an open file) would be held until it is collected.
        await chunks.return(undefined);
      },
    },
    // Nothing is read before somebody reads the answer: a HEAD request never does.
    { highWaterMark: 0 },
  );
}

/** Server-sent events as the body of an answer: the texts as they come, a comment where none came for 15 s. */
export function eventStream(texts: AsyncGenerator<string>, clock: Clock, reading: Reading): ReadableStream {
  const encoder = new TextEncoder();
  let pending: Promise<IteratorResult<string>> | undefined;
  async function* withComments(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    try {
      for (;;) {
        pending ??= texts.next();
        const result = await orIdle(pending, clock);
        if (result === IDLE) {
          yield encoder.encode(': keep-alive\n\n');
          continue;
        }
        pending = undefined;
        if (result.done === true) return;
        yield encoder.encode(result.value);
      }
    } finally {
      await texts.return(undefined);
    }
  }
  return byteStream(withComments(), reading);
}

async function orIdle<T>(promise: Promise<T>, clock: Clock): Promise<T | typeof IDLE> {
  let cancel: () => void = () => undefined;
  const idle = new Promise<typeof IDLE>((resolve) => {
    cancel = clock.setTimer(KEEP_ALIVE_MS, () => resolve(IDLE));
  });
  try {
    return await Promise.race([promise, idle]);
  } finally {
    cancel();
  }
}

/** One server-sent event; `data` becomes one line of JSON. */
export function sseText(event: {
  readonly id?: string;
  readonly event?: string;
  readonly data: unknown;
}): string {
  const id = event.id === undefined ? '' : `id: ${event.id}\n`;
  const name = event.event === undefined ? '' : `event: ${event.event}\n`;
  return `${id}${name}data: ${JSON.stringify(event.data)}\n\n`;
}
