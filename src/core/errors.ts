/**
 * Every error that a caller may have to tell apart carries one of these codes. `docs/errors.md` has a row for
 * each (a test ties the two both ways); only `http/` knows which status a code becomes.
 */
export const ERROR_CODES = [
  'BUCKET_NOT_FOUND',
  'CONFIG_INVALID',
  'CONFLICT',
  'CONTAINER_CONFLICT',
  'CONTAINER_START_FAILED',
  'DATA_FOLDER_UNUSABLE',
  'ENGINE_REFUSED',
  'ENGINE_UNAVAILABLE',
  'EXPRESSION_FAILED',
  'EXPRESSION_INVALID',
  'GATEWAY_UNREACHABLE',
  'ID_REUSED',
  'ILLEGAL_TRANSITION',
  'IMAGE_DISK_FULL',
  'IMAGE_NOT_FOUND',
  'IMAGE_PULL_FAILED',
  'IMAGE_RATE_LIMITED',
  'IMAGE_UNAUTHORIZED',
  'INTERNAL',
  'INVALID_ARGUMENT',
  'ISSUER_UNAVAILABLE',
  'METHOD_NOT_ALLOWED',
  'NOT_FOUND',
  'OBJECT_ACCESS_DENIED',
  'OBJECT_NOT_FOUND',
  'OBJECT_STORE_UNAVAILABLE',
  'PAYLOAD_TOO_LARGE',
  'PERMISSION_DENIED',
  'SECRET_UNREADABLE',
  'STALE_EPOCH',
  'STORE_UNAVAILABLE',
  'TOO_MANY_REQUESTS',
  'UNAUTHENTICATED',
  'UNSUPPORTED_MEDIA_TYPE',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

export interface ErrorFields {
  /** Where in the input: a config path, a JSON field, a header. */
  readonly path?: string;
  /** What the reader should do about it, in one sentence. */
  readonly fix?: string;
  /** Seconds after which the same call may succeed. */
  readonly retryAfter?: number;
  /** The call may have been stored all the same: the disk failed after the commit. */
  readonly maybeStored?: true;
  /** Every place at once, where one call found several. */
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
}

/** The one error class of the product; a programmer's mistake stays a `TypeError`. */
export class TappetError extends Error {
  readonly code: ErrorCode;
  readonly fields: ErrorFields;
  constructor(code: ErrorCode, message: string, fields: ErrorFields = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'TappetError';
    this.code = code;
    this.fields = fields;
  }
}

export function isTappetError(error: unknown, code?: ErrorCode): error is TappetError {
  return error instanceof TappetError && (code === undefined || error.code === code);
}

/** The text of anything thrown, for a message or a log line. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The same with what to do about it, where the error says so: as sentences. */
export function errorWithFix(error: unknown): string {
  const text = errorText(error);
  const fix = isTappetError(error) ? error.fields.fix : undefined;
  if (fix === undefined || fix === '') return text;
  return `${text.replace(/\.$/, '')}. ${fix.charAt(0).toUpperCase()}${fix.slice(1).replace(/\.$/, '')}.`;
}
