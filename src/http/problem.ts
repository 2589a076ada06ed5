import { isTappetError, TappetError } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';
import type { ProblemResource } from '../core/api.ts';
import type { Ids } from '../core/ids.ts';
import type { Log } from '../core/log.ts';

/** Status and title of every code; the only place that knows them. `docs/errors.md` says the same for readers. */
export const PROBLEMS: Readonly<Record<ErrorCode, { readonly status: number; readonly title: string }>> = {
  BUCKET_NOT_FOUND: { status: 502, title: 'The bucket was not found' },
  CONFIG_INVALID: { status: 422, title: 'The configuration is not valid' },
  CONFLICT: { status: 409, title: 'Not possible in the present state' },
  CONTAINER_CONFLICT: { status: 409, title: 'The container name is taken' },
  CONTAINER_START_FAILED: { status: 502, title: 'The container would not start' },
  DATA_FOLDER_UNUSABLE: { status: 503, title: 'The data folder cannot be used' },
  ENGINE_REFUSED: { status: 502, title: 'The container engine refused' },
  ENGINE_UNAVAILABLE: { status: 503, title: 'The container engine does not answer' },
  EXPRESSION_FAILED: { status: 422, title: 'An expression failed' },
  EXPRESSION_INVALID: { status: 422, title: 'An expression is not valid' },
  GATEWAY_UNREACHABLE: { status: 502, title: 'The gateway cannot be reached' },
  ID_REUSED: { status: 422, title: 'The id stands for something else' },
  ILLEGAL_TRANSITION: { status: 409, title: 'Not possible in the present state' },
  IMAGE_DISK_FULL: { status: 502, title: 'There is no room for the image' },
  IMAGE_NOT_FOUND: { status: 502, title: 'The image was not found' },
  IMAGE_PULL_FAILED: { status: 502, title: 'The image could not be pulled' },
  IMAGE_RATE_LIMITED: { status: 502, title: 'The registry limits pulls' },
  IMAGE_UNAUTHORIZED: { status: 502, title: 'The registry refused access to the image' },
  INTERNAL: { status: 500, title: 'Something went wrong inside Tappet' },
  INVALID_ARGUMENT: { status: 400, title: 'The request is not valid' },
  ISSUER_UNAVAILABLE: { status: 503, title: 'The token issuer does not answer' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'Method not allowed' },
  NOT_FOUND: { status: 404, title: 'Not found' },
  OBJECT_ACCESS_DENIED: { status: 502, title: 'The object store refused access' },
  OBJECT_NOT_FOUND: { status: 502, title: 'The object was not found' },
  OBJECT_STORE_UNAVAILABLE: { status: 503, title: 'The object store does not answer' },
  PAYLOAD_TOO_LARGE: { status: 413, title: 'The request body is too large' },
  PERMISSION_DENIED: { status: 403, title: 'Not allowed' },
  SECRET_UNREADABLE: { status: 503, title: 'A secret cannot be read' },
  STALE_EPOCH: { status: 409, title: 'Another gateway has taken over' },
  STORE_UNAVAILABLE: { status: 503, title: 'The store cannot take this now' },
  TOO_MANY_REQUESTS: { status: 429, title: 'Too many requests' },
  UNAUTHENTICATED: { status: 401, title: 'Not authenticated' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'Unsupported media type' },
};

/** Senders that get no better hint should come back soon, but not at once. */
const RETRY_AFTER_SECONDS = 1;

/** Where the API answers; the same headers as on every other answer of it. */
export const API_HEADERS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
};

/** The problem document (RFC 9457) of an error. */
export function problemResponse(error: TappetError, instance?: string): Response {
  const { status, title } = PROBLEMS[error.code];
  const { errors, fix, path, retryAfter } = error.fields;
  const places = errors ?? (path === undefined ? undefined : [{ path, message: error.message }]);
  const body: ProblemResource = {
    type: `urn:tappet:error:${error.code}`,
    title,
    status,
    code: error.code,
    detail: error.message,
    ...(instance === undefined ? {} : { instance }),
    ...(fix === undefined ? {} : { fix }),
    ...(places === undefined ? {} : { errors: places }),
  };
  const headers: Record<string, string> = { ...API_HEADERS, 'content-type': 'application/problem+json' };
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  if (status === 429 || status === 503) headers['retry-after'] = String(retryAfter ?? RETRY_AFTER_SECONDS);
  // The rest of the body is not read: nothing after it on this connection could be understood.
  if (status === 413) headers['connection'] = 'close';
  return new Response(JSON.stringify(body), { status, headers });
}

/**
 * The answer to anything thrown. What is not a TappetError, and an INTERNAL one, is logged with its stack under an
 * id; the caller hears only that id.
 */
export function errorResponse(error: unknown, deps: { readonly log: Log; readonly ids: Ids }): Response {
  if (isTappetError(error) && error.code !== 'INTERNAL') return problemResponse(error);
  const instance = `urn:uuid:${deps.ids.uid()}`;
  const stack = error instanceof Error ? error.stack : String(error);
  deps.log.error('a request failed', { instance, error: stack });
  const told = new TappetError(
    'INTERNAL',
    `Something went wrong; the log of the gateway has the details under ${instance}.`,
  );
  return problemResponse(told, instance);
}

/** RFC 9110 demands `Allow`. A path that answers GET answers HEAD too. */
export function methodNotAllowed(path: string, method: string, methods: readonly string[]): Response {
  const allow = methods.flatMap((one) => (one === 'GET' ? [one, 'HEAD'] : [one])).join(', ');
  const message = `${path} does not take ${method}; it takes ${allow}.`;
  const response = problemResponse(new TappetError('METHOD_NOT_ALLOWED', message));
  response.headers.set('allow', allow);
  return response;
}

export function unauthenticated(): TappetError {
  return new TappetError('UNAUTHENTICATED', 'Send a valid API token: Authorization: Bearer <token>.', {
    fix: 'The token stands in the file `token` in the data folder of the gateway.',
  });
}

/** `what` is the kind in words, such as `execution`. */
export function notFound(what: string, name: string | number): TappetError {
  return new TappetError('NOT_FOUND', `There is no ${what} ${JSON.stringify(name)}.`);
}
