const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Between two tries: the example of the Standard Webhooks specification, some 75 hours in all. */
export const PAUSES_MS: readonly number[] = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];
const lastPause = PAUSES_MS.at(-1) ?? 0;
const ALL_PAUSES_MS = PAUSES_MS.reduce((sum, pause) => sum + pause, 0);
/** So much longer at most, drawn anew each time: what failed together does not come back together. */
const JITTER = 0.1;
/** Longest pause that a receiver may ask for. */
const MAX_RETRY_AFTER_MS = 24 * HOUR;
/** No try begins later, however long the receiver asked us to wait. */
export const MAX_AGE_MS = 120 * HOUR;

interface FailedTry {
  /** Tries so far, this one too. */
  readonly attempts: number;
  readonly createTime: number;
  readonly now: number;
  /** In [0, 1). */
  readonly random: number;
  /** What the receiver asked for; null = nothing. */
  readonly retryAfterMs: number | null;
}

/** Ms until the next try; undefined = there is none. */
export function pauseAfter({
  attempts,
  createTime,
  now,
  random,
  retryAfterMs,
}: FailedTry): number | undefined {
  const planned = PAUSES_MS[attempts - 1] ?? lastPause;
  // Tries that a stop or a crash cut short count too: whoever has used up its tries by those has its time all the same.
  if (attempts > PAUSES_MS.length && now - createTime >= ALL_PAUSES_MS) return undefined;
  const asked = Math.min(retryAfterMs ?? 0, MAX_RETRY_AFTER_MS);
  const pause = Math.round(Math.max(planned * (1 + JITTER * random), asked));
  return now + pause - createTime > MAX_AGE_MS ? undefined : pause;
}

/** Ms of a `Retry-After` header: seconds or a date. null where it is missing, or says neither. */
export function parseRetryAfter(header: string | null, now: number): number | null {
  if (header === null) return null;
  if (/^\d{1,9}$/.test(header)) return Number(header) * SECOND;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}
