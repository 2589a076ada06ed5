import type { ProblemResource } from '../../src/core/api.ts';
import type { ErrorCode } from '../../src/core/errors.ts';

/** Why a request is refused, in words for its sender. */
export interface Rejection {
  readonly ok: false;
  readonly status: keyof typeof KINDS;
  readonly detail: string;
  /** The attribute or header that is wrong. */
  readonly path?: string;
  /** What its sender should do about it. */
  readonly fix?: string;
  /** Where the usual code of the status would mislead. */
  readonly code?: ErrorCode;
}
export type Result<T> = { readonly ok: true; readonly value: T } | Rejection;

/** By status: what the rest of the HTTP side says for the same code, so that a caller meets one vocabulary. */
const KINDS = {
  400: { code: 'INVALID_ARGUMENT', title: 'The request is not valid' },
  401: { code: 'UNAUTHENTICATED', title: 'Not authenticated' },
  405: { code: 'METHOD_NOT_ALLOWED', title: 'Method not allowed' },
  413: { code: 'PAYLOAD_TOO_LARGE', title: 'The request body is too large' },
  415: { code: 'UNSUPPORTED_MEDIA_TYPE', title: 'Unsupported media type' },
  422: { code: 'INVALID_ARGUMENT', title: 'The event is not valid' },
  429: { code: 'TOO_MANY_REQUESTS', title: 'Too many requests' },
  500: { code: 'INTERNAL', title: 'Something went wrong inside Tappet' },
  503: { code: 'STORE_UNAVAILABLE', title: 'Not possible at the moment' },
} as const;

/** Of each answer: it is one caller's, and what its type says. */
export const NOT_KEPT = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const;
const HEADERS = { 'content-type': 'application/problem+json', ...NOT_KEPT };

export function reject(status: Rejection['status'], detail: string, path?: string): Rejection {
  return { ok: false, status, detail, ...(path === undefined ? {} : { path }) };
}

/** The RFC 9457 answer to a refused request. */
export function problemResponse(
  rejection: Rejection,
  headers: Readonly<Record<string, string>> = {},
): Response {
  const { status, detail, path, fix } = rejection;
  const { title, code: usual } = KINDS[status];
  const code = rejection.code ?? usual;
  const body: ProblemResource = {
    type: `urn:tappet:error:${code}`,
    title,
    status,
    code,
    detail,
    ...(fix === undefined ? {} : { fix }),
    ...(path === undefined ? {} : { errors: [{ path, message: detail }] }),
  };
  return new Response(JSON.stringify(body), { status, headers: { ...headers, ...HEADERS } });
}
