import type { AuthSpec, CallerSpec } from '../core/auth.ts';
import { formatDuration } from '../lib/duration.ts';
import type { PathSegment } from './positions.ts';
import type { Report } from './problems.ts';

/** What is to be read of a webhook's source, parsed. */
interface Remembering {
  readonly auth: AuthSpec;
  readonly rememberMs: number;
}

/**
 * A signed call counts for its tolerance to both sides of the clock; if its id were forgotten before, the same call could
 * be sent once more by whoever has seen it.
 */
export function checkReplay(source: Remembering, path: readonly PathSegment[], report: Report): void {
  const { auth, rememberMs } = source;
  if (auth === 'none') return;
  const callers = 'anyOf' in auth ? auth.anyOf : [auth];
  const longest = 2 * Math.max(0, ...callers.map(toleranceOf));
  if (rememberMs >= longest) return;
  const fix = `at least ${formatDuration(longest)}, or a smaller "tolerance"`;
  report.add(
    [...path, 'rememberFor'],
    `is shorter than a signed call counts (its tolerance, to both sides), so that it could be sent again: ${fix}`,
  );
}

/** 0 = no time is signed. */
function toleranceOf(caller: CallerSpec): number {
  if (!('hmac' in caller)) return 0;
  const { hmac } = caller;
  if ('toleranceMs' in hmac) return hmac.toleranceMs;
  return 'timestamp' in hmac ? (hmac.timestamp?.toleranceMs ?? 0) : 0;
}
