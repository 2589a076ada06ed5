import type { LogEventResource } from '../core/api.ts';
import { isTappetError } from '../core/errors.ts';
import type { LogStream } from '../core/log-sink.ts';
import { readEventStream } from './event-stream.ts';
import type { Transport } from './transport.ts';

export interface LogParams {
  /** Default: the newest. With `follow`: the one to begin with; those after it follow. */
  readonly attempt?: number | undefined;
  readonly stream?: LogStream | undefined;
  readonly signal?: AbortSignal | undefined;
}
export interface LogEntry {
  readonly attempt: number;
  readonly stream: LogStream;
  /** RFC 3339; when the gateway took it. */
  readonly time: string;
  /** Exactly what the task wrote; a chunk, not a line. */
  readonly data: Uint8Array;
}

/** Tries in a row that bring nothing, before a follower gives up: about half a minute. */
const MAX_EMPTY_TRIES = 8;
const FIRST_PAUSE_MS = 250;
const MAX_PAUSE_MS = 8_000;

/** Waits; ends early (without an error) when `signal` aborts. */
export type Pause = (ms: number, signal: AbortSignal | undefined) => Promise<void>;

export class LogsClient {
  readonly #transport: Transport;
  readonly #pause: Pause;
  constructor(transport: Transport, pause: Pause) {
    this.#transport = transport;
    this.#pause = pause;
  }

  /** The raw bytes that are there now. */
  async *read(execution: string, index: number, params: LogParams = {}): AsyncGenerator<Uint8Array> {
    const { attempt, stream, signal } = params;
    const response = await this.#transport.send(logPath(execution, index), {
      query: { attempt, stream },
      signal,
    });
    yield* bodyOf(response);
  }

  /**
   * The output as it comes, until the task has ended. A broken connection is taken up again where it broke.
   * Errors: as of the transport, after several tries in a row that brought nothing.
   */
  async *follow(execution: string, index: number, params: LogParams = {}): AsyncGenerator<LogEntry> {
    let lastId: string | undefined;
    let tries = 0;
    for (;;) {
      try {
        for await (const { id, event, data } of this.#events(execution, index, params, lastId)) {
          if (event === 'end') return;
          if (event !== 'message' || id === undefined) continue;
          yield logEntry(id, data);
          lastId = id;
          tries = 0;
        }
      } catch (error) {
        params.signal?.throwIfAborted();
        if (!mayPass(error) || tries >= MAX_EMPTY_TRIES) throw error;
      }
      await this.#pause(Math.min(FIRST_PAUSE_MS * 2 ** tries, MAX_PAUSE_MS), params.signal);
      params.signal?.throwIfAborted();
      tries++;
    }
  }

  async *#events(execution: string, index: number, params: LogParams, lastId: string | undefined) {
    const { attempt, stream, signal } = params;
    const response = await this.#transport.send(logPath(execution, index), {
      query: { attempt, stream, follow: true },
      headers: { accept: 'text/event-stream', ...(lastId === undefined ? {} : { 'last-event-id': lastId }) },
      signal,
    });
    yield* readEventStream(bodyOf(response));
  }
}

/** A broken stream is a TypeError of `fetch`; a gateway that restarts refuses connections for a moment. */
function mayPass(error: unknown): boolean {
  if (isTappetError(error)) return error.code === 'GATEWAY_UNREACHABLE' || error.code === 'STORE_UNAVAILABLE';
  return error instanceof TypeError;
}

function logEntry(id: string, json: string): LogEntry {
  const { stream, time, text, base64 } = JSON.parse(json) as LogEventResource;
  const data = base64 === undefined ? new TextEncoder().encode(text) : Buffer.from(base64, 'base64');
  return { attempt: Number(id.split(':', 1)[0]), stream, time, data };
}

function logPath(execution: string, index: number): string {
  return `/executions/${encodeURIComponent(execution)}/tasks/${index}/logs`;
}

async function* bodyOf(response: Response): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    // Also where the caller stops early: the connection must not stay open.
    reader.cancel().catch(() => undefined);
  }
}
