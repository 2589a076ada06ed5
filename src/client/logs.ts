import type { LogEventResource, LogLineResource } from '../core/api.ts';
import { isTappetError } from '../core/errors.ts';
import type { LogStream } from '../core/log-sink.ts';
import type { Severity } from '../core/severity.ts';
import { readEventStream } from './event-stream.ts';
import type { SentEvent } from './event-stream.ts';
import type { Transport } from './transport.ts';

export interface LogParams {
  /** Default: the newest. With `follow`: the one to begin with; those after it follow. */
  readonly attempt?: number | undefined;
  readonly stream?: LogStream | undefined;
  readonly signal?: AbortSignal | undefined;
}
export interface LineParams {
  /** Only of this task, this number of attempt. */
  readonly task?: number | undefined;
  readonly attempt?: number | undefined;
  readonly stream?: LogStream | undefined;
  /** Text that stands in the line, in letters of either case. */
  readonly q?: string | undefined;
  readonly severity?: Severity | undefined;
  /** Only the last so many, at most 10,000. */
  readonly tail?: number | undefined;
  /** RFC 3339. */
  readonly since?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}
export interface LogEntry {
  readonly attempt: number;
  readonly stream: LogStream;
  /** RFC 3339; when the gateway took it. */
  readonly time: string;
  /** Exactly what the task wrote; a chunk, not a line. */
  readonly data: Uint8Array;
  /** No output, but a gap: so many bytes of the stream are kept no longer. */
  readonly missing?: number;
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
    const { attempt, stream, signal } = params;
    let lastId: string | undefined;
    yield* this.#untilEnd(
      () => this.#events(logPath(execution, index), { attempt, stream, follow: true }, { lastId, signal }),
      ({ id, data }) => {
        if (id === undefined) return undefined;
        lastId = id;
        return logEntry(id, data);
      },
      signal,
    );
  }

  /** The lines of all tasks that are there now, by time. */
  async *lines(execution: string, params: LineParams = {}): AsyncGenerator<LogLineResource> {
    const { signal, ...query } = params;
    const response = await this.#transport.send(linesPath(execution), { query, signal });
    yield* jsonLines(bodyOf(response));
  }

  /**
   * The lines of all tasks: those that are there, then each as it comes, until the execution (or the one task) has
   * ended. After a broken connection the stream is read anew, and what came before is passed over.
   * Errors: as of the transport, after several tries in a row that brought nothing.
   */
  async *followLines(execution: string, params: LineParams = {}): AsyncGenerator<LogLineResource> {
    const { signal, ...query } = params;
    let first: string | undefined;
    /** By task, attempt and stream: how far it was read. */
    const seen = new Map<string, number>();
    // What was before the last lines was not asked for.
    const again = () =>
      first === undefined || query.tail === undefined ? query : { ...query, tail: undefined, since: first };
    yield* this.#untilEnd(
      () => this.#events(linesPath(execution), { ...again(), follow: true }, { signal }),
      ({ data }) => {
        const line = JSON.parse(data) as LogLineResource;
        const key = `${line.task}.${line.attempt}.${line.stream}`;
        // A gap stands where the line after it begins.
        const place = line.missing === undefined ? line.offset : line.offset - 0.5;
        if (place <= (seen.get(key) ?? -1)) return undefined;
        seen.set(key, place);
        first ??= line.time;
        return line;
      },
      signal,
    );
  }

  /** What `read` makes of each event, until the `end` event; a broken stream is opened again. */
  async *#untilEnd<T>(
    open: () => AsyncIterable<SentEvent>,
    read: (event: SentEvent) => T | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<T> {
    let tries = 0;
    for (;;) {
      try {
        for await (const event of open()) {
          if (event.event === 'end') return;
          const value = event.event === 'message' ? read(event) : undefined;
          if (value === undefined) continue;
          yield value;
          tries = 0;
        }
      } catch (error) {
        signal?.throwIfAborted();
        if (!mayPass(error) || tries >= MAX_EMPTY_TRIES) throw error;
      }
      await this.#pause(Math.min(FIRST_PAUSE_MS * 2 ** tries, MAX_PAUSE_MS), signal);
      signal?.throwIfAborted();
      tries++;
    }
  }

  async *#events(
    path: string,
    query: Readonly<Record<string, string | number | boolean | undefined>>,
    { lastId, signal }: { readonly lastId?: string | undefined; readonly signal: AbortSignal | undefined },
  ): AsyncGenerator<SentEvent> {
    const response = await this.#transport.send(path, {
      query,
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
  const { stream, time, text, base64, missing } = JSON.parse(json) as LogEventResource;
  const data = base64 === undefined ? new TextEncoder().encode(text) : Buffer.from(base64, 'base64');
  const attempt = Number(id.split(':', 1)[0]);
  return { attempt, stream, time, data, ...(missing === undefined ? {} : { missing }) };
}

/** One JSON value a line. */
async function* jsonLines(body: AsyncIterable<Uint8Array>): AsyncGenerator<LogLineResource> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line) as LogLineResource;
  }
}

function linesPath(execution: string): string {
  return `/executions/${encodeURIComponent(execution)}/logs`;
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
