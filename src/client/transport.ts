import type { ProblemResource } from '../core/api.ts';
import { ERROR_CODES, errorText, TappetError } from '../core/errors.ts';
import type { ErrorCode, ErrorFields } from '../core/errors.ts';
import type { Fetch } from '../core/fetch.ts';

export interface TransportOptions {
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string;
  readonly token?: string | undefined;
  /** Default: the global `fetch`. */
  readonly fetch?: Fetch | undefined;
  /** Ends every call of this client. */
  readonly signal?: AbortSignal | undefined;
}
type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface CallParams {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly query?: Query;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls the API. Errors: the server's own (code, message, fields) as TappetError; GATEWAY_UNREACHABLE where there is
 * no answer, or not one of a Tappet gateway; what `signal` was aborted with.
 */
export class Transport {
  readonly #options: TransportOptions;
  readonly #base: URL;
  readonly #fetch: Fetch;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#base = baseUrl(options.url);
    this.#fetch = options.fetch ?? ((url, init) => fetch(url, init));
  }

  async json<T>(path: string, params: CallParams = {}): Promise<T> {
    const response = await this.send(path, params);
    try {
      // The shapes in core/api.ts are the contract with the server of the same version.
      return (await response.json()) as T;
    } catch (error) {
      this.#throwIfAborted(params);
      throw this.#unreachable('the answer is not JSON', error);
    }
  }

  /** The answer where it is 2xx. `path` stands below `/api/v1`, its names already encoded. */
  async send(path: string, params: CallParams = {}): Promise<Response> {
    const response = await this.#request(path, params);
    if (response.ok) return response;
    throw await this.#problem(response);
  }

  async #request(path: string, params: CallParams): Promise<Response> {
    const { method = 'GET', query = {}, body } = params;
    const url = new URL(`api/v1${path}`, this.#base);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const signal = this.#signal(params);
    signal?.throwIfAborted();
    try {
      return await this.#fetch(url.href, {
        method,
        headers: this.#headers(params),
        // The token must not travel to where a redirect points.
        redirect: 'error',
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      this.#throwIfAborted(params);
      throw this.#unreachable(reasonOf(error), error);
    }
  }

  #headers({ body, headers = {} }: CallParams): Record<string, string> {
    const { token } = this.#options;
    return {
      accept: 'application/json',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    };
  }

  #signal({ signal }: CallParams): AbortSignal | undefined {
    const own = this.#options.signal;
    if (own === undefined || signal === undefined) return own ?? signal;
    return AbortSignal.any([own, signal]);
  }

  #throwIfAborted(params: CallParams): void {
    this.#signal(params)?.throwIfAborted();
  }

  async #problem(response: Response): Promise<TappetError> {
    const text = await response.text().catch(() => '');
    const problem = parseProblem(text);
    if (problem !== undefined)
      return new TappetError(codeOf(problem), problem.detail, fieldsOf(problem, response));
    return this.#unreachable(`it answered ${response.status}, but not as a Tappet gateway does`, undefined);
  }

  #unreachable(reason: string, cause: unknown): TappetError {
    const message = `Cannot reach the gateway at ${this.#base.href.replace(/\/$/, '')}: ${reason}.`;
    const fix = 'Start it with `tappet serve`, or name the right address with --url or TAPPET_URL.';
    return new TappetError('GATEWAY_UNREACHABLE', message, { fix }, cause);
  }
}

/** Errors: INVALID_ARGUMENT. */
function baseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    const message = `${JSON.stringify(text)} is not the address of a gateway; write it like http://127.0.0.1:8080.`;
    throw new TappetError('INVALID_ARGUMENT', message, { path: 'url' });
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  url.search = '';
  url.hash = '';
  return url;
}

/** `fetch` itself only says "fetch failed"; the reason is its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof AggregateError && cause.message === '') return cause.errors.map(errorText).join(', ');
  return cause instanceof Error ? cause.message : errorText(error);
}

function parseProblem(text: string): ProblemResource | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isProblem(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isProblem(value: unknown): value is ProblemResource {
  return (
    typeof value === 'object' &&
    value !== null &&
    'code' in value &&
    typeof value.code === 'string' &&
    'detail' in value &&
    typeof value.detail === 'string'
  );
}

/** A newer server may have codes that this client does not know. */
function codeOf({ code }: ProblemResource): ErrorCode {
  return ERROR_CODES.find((known) => known === code) ?? 'INTERNAL';
}

function fieldsOf({ errors, fix }: ProblemResource, response: Response): ErrorFields {
  const retryAfter = Number(response.headers.get('retry-after') ?? NaN);
  return {
    ...(errors === undefined ? {} : { errors }),
    ...(fix === undefined ? {} : { fix }),
    ...(Number.isFinite(retryAfter) ? { retryAfter } : {}),
  };
}
