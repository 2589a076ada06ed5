import { errorText, TappetError } from '../core/errors.ts';

/** What a caller hears where the file system refuses (disk, file handles); it may work later. */
export function logUnavailable(what: 'opened' | 'written', error: unknown): TappetError {
  const full = error instanceof Error && 'code' in error && error.code === 'ENOSPC';
  const fix = 'Free some space on the disk that holds the logs; no restart is needed.';
  const message = `The log could not be ${what}: ${errorText(error)}`;
  return new TappetError('STORE_UNAVAILABLE', message, full ? { fix } : {}, error);
}
