import { Agent as HttpAgent, IncomingMessage } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { inspect } from 'node:util';
import Docker from 'dockerode';
import type { Clock } from '../../core/clock.ts';
import type { EngineLimits } from '../../core/engine-limits.ts';
import { TappetError, errorText } from '../../core/errors.ts';
import { describeEndpoint, readTls } from './find-engine.ts';
import type { EngineEndpoint } from './find-engine.ts';
import { nobodyListens } from './listening.ts';

/** What a closed connection needs at most to say so; what breaks later was under way. */
const STALE_MS = 1000;
/** The longest answer that is read into memory: a list of some 50,000 containers. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

export interface EngineRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  readonly body?: object;
  /** For a registry; the engine passes it on. */
  readonly auth?: object;
  /** A tar archive, sent as it comes; the call reads it only as fast as the engine does. */
  readonly upload?: NodeJS.ReadableStream;
  /** To the end of the answer; of a stream, to its beginning. null: whoever gives `signal` watches over the call. */
  readonly deadlineMs?: number | null;
  /** Ends the call early. */
  readonly signal?: AbortSignal;
  /** It does something anew each time: never made again by itself. */
  readonly once?: true;
}

export interface EngineAnswer {
  readonly status: number;
  readonly body: unknown;
  /** The engine's own words where the status says that something is wrong. */
  readonly message: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

interface Deadline {
  readonly signal: AbortSignal;
  timedOut(): boolean;
  end(): void;
  clear(): void;
}

/** The one entry of dockerode's modem that is used; its own types say `any`. */
interface Modem {
  dial(options: DialOptions, done: (error: Error | null, answer: unknown) => void): void;
}
interface DialOptions {
  readonly path: string;
  readonly method: string;
  readonly isStream: true;
  readonly statusCodes: Readonly<Record<number, true>>;
  readonly abortSignal: AbortSignal;
  /** Beside the options, which the modem writes out. */
  readonly file?: NodeJS.ReadableStream;
  /** Becomes the header `X-Registry-Auth`. */
  readonly authconfig?: object;
  readonly options: { readonly _query: object; readonly _body: object };
}

/** Every status is an answer to read: the modem's own texts name the wrong reason ("no such container" for an image). */
const ANY_STATUS: Readonly<Record<number, true>> = Object.fromEntries(
  Array.from({ length: 500 }, (_, n) => [100 + n, true as const]),
);

/**
 * One HTTP call to the engine, with a deadline on each: an engine that dies in the middle of an answer leaves the
 * modem's promise pending for ever, so every answer is read here as a stream, whose errors do arrive.
 * Errors: ENGINE_UNAVAILABLE only. An answer that refuses is no error here; see `unexpected`.
 */
export class EngineTransport {
  readonly place: string;
  readonly #endpoint: EngineEndpoint;
  readonly #clock: Clock;
  readonly #limits: () => EngineLimits;
  readonly #modem: Modem;
  #outages = 0;

  constructor(endpoint: EngineEndpoint, clock: Clock, limits: () => EngineLimits) {
    this.place = describeEndpoint(endpoint);
    this.#endpoint = endpoint;
    this.#clock = clock;
    this.#limits = limits;
    this.#modem = createModem(endpoint);
  }

  /**
   * How often the engine was found gone. A stream that ended may have been cut by the engine's death, which looks the
   * same; it was not if this number is what it was at the stream's beginning and the engine answers.
   */
  get outages(): number {
    return this.#outages;
  }

  /** What creating, starting and removing may take, ms. */
  get orderMs(): number {
    return this.#limits().orderMs;
  }

  noteOutage(): void {
    this.#outages++;
  }

  /** The whole answer, parsed. */
  async call(request: EngineRequest): Promise<EngineAnswer> {
    const deadline = this.#deadline(request);
    try {
      const response = await this.#reach(request, deadline.signal);
      const answer = answerOf(response, await readText(response));
      // Refused in the middle of an upload: the rest of it would be sent for nobody.
      if (request.upload !== undefined && !isSuccess(answer.status)) deadline.end();
      return answer;
    } catch (error) {
      throw this.#unavailable(request, deadline.timedOut(), error);
    } finally {
      deadline.clear();
    }
  }

  /** The answer as a stream if its status is 2xx, else the parsed answer. The stream ends with `request.signal`. */
  async open(request: EngineRequest): Promise<IncomingMessage | EngineAnswer> {
    const deadline = this.#deadline(request);
    try {
      const response = await this.#reach(request, deadline.signal);
      if (isSuccess(response.statusCode ?? 0)) {
        this.#endWith(response, request.signal);
        return response;
      }
      return answerOf(response, await readText(response));
    } catch (error) {
      throw this.#unavailable(request, deadline.timedOut(), error);
    } finally {
      deadline.clear();
    }
  }

  /** Errors: ENGINE_UNAVAILABLE where the engine takes no new connection, so that it is about to end. */
  async requireListening(): Promise<void> {
    const error = await nobodyListens(this.#endpoint);
    if (error !== undefined) throw this.#unavailable({ method: 'GET', path: '/_ping' }, false, error);
  }

  /** ENGINE_REFUSED for an answer that the call has no use for; ENGINE_UNAVAILABLE where only a proxy answered. */
  unexpected(what: string, answer: EngineAnswer): TappetError {
    const words = answer.message === '' ? '' : `: ${answer.message}`;
    return new TappetError(
      answer.status === 502 || answer.status === 504 ? 'ENGINE_UNAVAILABLE' : 'ENGINE_REFUSED',
      `The container engine could not ${what} (HTTP ${answer.status}${words}).`,
    );
  }

  /** ENGINE_UNAVAILABLE for a stream that broke off. */
  cut(what: string, error: unknown): TappetError {
    this.noteOutage();
    const why = error === null ? '' : `: ${errorText(error)}`;
    return new TappetError(
      'ENGINE_UNAVAILABLE',
      `The container engine at ${this.place} broke off (${what})${why}.`,
      {},
      error,
    );
  }

  /** ENGINE_REFUSED for an error that the engine itself put into a stream: it is there, and this is what it says. */
  broken(what: string, words: string): TappetError {
    return new TappetError('ENGINE_REFUSED', `The container engine could not go on ${what}: ${words}`);
  }

  #endWith(response: IncomingMessage, signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    const end = () => response.destroy();
    if (signal.aborted) end();
    signal.addEventListener('abort', end, { once: true });
    response.once('close', () => signal.removeEventListener('abort', end));
  }

  /**
   * A connection that waited to be used again may have been closed by the other side at this very moment: then the call
   * is made once more, on another. Had the engine got it all the same: that does nothing a second time, except for a
   * `once`.
   */
  async #reach(request: EngineRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const begun = this.#clock.now();
    try {
      return await this.#dial(request, signal);
    } catch (error) {
      const stale = isHangUp(error) && Math.abs(this.#clock.now() - begun) < STALE_MS;
      if (!stale || request.once || request.upload !== undefined || signal.aborted) throw error;
      return await this.#dial(request, signal);
    }
  }

  #dial(request: EngineRequest, abortSignal: AbortSignal): Promise<IncomingMessage> {
    const { method, path, query = {}, body = {}, upload, auth } = request;
    return new Promise((resolve, reject) => {
      // The abort of a call that hangs before its answer is not always told by the modem: whichever comes first.
      abortSignal.addEventListener('abort', () => reject(new Error('the call was ended')), { once: true });
      const options = { _query: query, _body: body };
      // The modem cuts the last character of a path with `?` that has no query.
      const target = `${path}?`;
      const more = {
        ...(upload === undefined ? {} : { file: upload }),
        ...(auth === undefined ? {} : { authconfig: auth }),
      };
      this.#modem.dial(
        { path: target, method, isStream: true, statusCodes: ANY_STATUS, abortSignal, options, ...more },
        (error, answer) => {
          if (error !== null) reject(error);
          else if (answer instanceof IncomingMessage) resolve(answer);
          else reject(new TypeError('the modem gave no stream'));
        },
      );
    });
  }

  #deadline(request: EngineRequest): Deadline {
    const controller = new AbortController();
    let timedOut = false;
    const end = () => controller.abort();
    const late = () => {
      timedOut = true;
      end();
    };
    const { deadlineMs = this.#limits().answerMs } = request;
    const cancel = deadlineMs === null ? () => {} : this.#clock.setTimer(deadlineMs, late);
    request.signal?.addEventListener('abort', end, { once: true });
    if (request.signal?.aborted === true) end();
    const clear = () => {
      cancel();
      request.signal?.removeEventListener('abort', end);
    };
    return { signal: controller.signal, timedOut: () => timedOut, end, clear };
  }

  #unavailable(request: EngineRequest, timedOut: boolean, error: unknown): TappetError {
    if (request.signal?.aborted !== true) this.noteOutage();
    const seconds = (request.deadlineMs ?? this.#limits().answerMs) / 1000;
    const why = timedOut
      ? `did not answer within ${seconds} s (${request.method} ${request.path})`
      : `cannot be reached: ${errorText(error)}`;
    const fix = 'See that the engine runs and that this user may use it: `tappet doctor` tells more.';
    return new TappetError(
      'ENGINE_UNAVAILABLE',
      `The container engine at ${this.place} ${why}.`,
      { fix },
      error,
    );
  }
}

/**
 * Every connection option is given: what is left out, the modem takes from `DOCKER_HOST` and friends, and a `host` from
 * there wins over our socket.
 */
function createModem(endpoint: EngineEndpoint): Modem {
  if (endpoint.kind === 'unix') {
    const agent = quiet(new HttpAgent({ keepAlive: true }));
    const options = {
      socketPath: endpoint.path,
      host: '',
      port: 0,
      protocol: 'http' as const,
      timeout: 0,
      agent,
    };
    return new Docker(options).modem;
  }
  const { host, port, tlsDir } = endpoint;
  const common = { host, port, pathPrefix: '/', timeout: 0 };
  if (tlsDir === null) {
    const plain = { ...common, protocol: 'http' as const, agent: quiet(new HttpAgent({ keepAlive: true })) };
    return new Docker(plain).modem;
  }
  const tls = readTls(tlsDir);
  const agent = quiet(new HttpsAgent({ keepAlive: true, ...tls }));
  const secure = { ...common, ...tls, protocol: 'https' as const, agent };
  return new Docker(secure).modem;
}

/**
 * The modem writes out everything that hangs on a request's options for a debug line that nobody reads: with an agent
 * and its sockets 8 ms a call (measured), four calls a start.
 */
function quiet<A extends HttpAgent>(agent: A): A {
  return Object.defineProperty(agent, inspect.custom, { value: () => 'agent' });
}

/** The connection ended, and there was no answer on it. */
function isHangUp(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

async function readText(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response) {
    if (!(part instanceof Buffer)) throw new TypeError('the answer is not bytes');
    bytes += part.length;
    if (bytes > MAX_BODY_BYTES) throw new Error('the answer is too long');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function answerOf(response: IncomingMessage, text: string): EngineAnswer {
  const status = response.statusCode ?? 0;
  const body = parseJson(text);
  const message = isSuccess(status) ? '' : wordsOf(body, text);
  return { status, body, message, headers: response.headers };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Docker says `{ message }`, Podman `{ cause, message }` with the same text in `message`; a proxy says HTML. */
function wordsOf(body: unknown, text: string): string {
  if (typeof body === 'object' && body !== null && 'message' in body && typeof body.message === 'string') {
    return body.message.trim();
  }
  return text.slice(0, 500).trim();
}
