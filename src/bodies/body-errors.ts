import { errorText, TappetError } from '../core/errors.ts';
import { formatSize } from '../lib/size.ts';

const RETRY_AFTER_S = 30;
const BUSY_RETRY_AFTER_S = 5;

export const tooLarge = (maxBytes: number): TappetError =>
  new TappetError(
    'PAYLOAD_TOO_LARGE',
    `The body is larger than ${formatSize(maxBytes)}, the limit of this trigger.`,
    { fix: 'Send less, or raise maxBody of the trigger.' },
  );

export const brokenOff = (error: unknown): TappetError =>
  new TappetError('INVALID_ARGUMENT', 'The body broke off before its end.', {}, error);

const FREE_SPACE = 'Free some space on the disk that holds the data folder; no restart is needed.';

/** The system's words, without the call and the path in them (`, open '/…'`): the sender hears this too. */
export const bodyUnavailable = (error: unknown): TappetError =>
  new TappetError(
    'STORE_UNAVAILABLE',
    `Bodies of calls cannot be written to files now: ${errorText(error).replace(/, [a-z]+(?: '.*)?$/s, '')}.`,
    { retryAfter: RETRY_AFTER_S, fix: FREE_SPACE },
    error,
  );

export const noRoom = (): TappetError =>
  bodyUnavailable(new Error('the disk of the data folder has too little room left'));

/** The disk is well: this one body is too much for it. */
export const doesNotFit = (): TappetError =>
  new TappetError(
    'STORE_UNAVAILABLE',
    'The body does not fit on the disk of the data folder, beside the others that are on their way there.',
    {
      retryAfter: RETRY_AFTER_S,
      fix: 'Send it again when those are there, or free some space on that disk.',
    },
  );

export const busy = (what: string): TappetError =>
  new TappetError('STORE_UNAVAILABLE', `${what} are being written to files. Send the same again later.`, {
    retryAfter: BUSY_RETRY_AFTER_S,
  });
