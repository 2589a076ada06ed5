import { errorText, TappetError } from '../core/errors.ts';
import { formatSize } from '../lib/size.ts';

const RETRY_AFTER_S = 30;

export const tooLarge = (maxBytes: number): TappetError =>
  new TappetError(
    'PAYLOAD_TOO_LARGE',
    `The body is larger than ${formatSize(maxBytes)}, the limit of this trigger.`,
    { fix: 'Send less, or raise maxBody of the trigger.' },
  );

export const brokenOff = (error: unknown): TappetError =>
  new TappetError('INVALID_ARGUMENT', 'The body broke off before its end.', {}, error);

export const bodyUnavailable = (error: unknown): TappetError =>
  new TappetError(
    'STORE_UNAVAILABLE',
    `Bodies of calls cannot be written to files now: ${errorText(error)}.`,
    {
      retryAfter: RETRY_AFTER_S,
      fix: 'Free some space on the disk that holds the data folder; no restart is needed.',
    },
    error,
  );
