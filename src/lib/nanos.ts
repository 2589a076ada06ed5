const NANOS_PER_MS = 1_000_000n;
/** What a `Date` can hold; file systems hold more. */
const DATE_MAX_MS = 8_640_000_000_000_000n;

/**
 * RFC 3339 in UTC with all nine digits, `2026-01-31T08:30:00.123456789Z`, of nanoseconds since the epoch. Two texts
 * are equal exactly where the nanoseconds are. Beyond the years that a date can have: the bare number.
 */
export function formatNanos(ns: bigint): string {
  // Rounds down, also before 1970.
  const rest = ((ns % NANOS_PER_MS) + NANOS_PER_MS) % NANOS_PER_MS;
  const ms = (ns - rest) / NANOS_PER_MS;
  if (ms > DATE_MAX_MS || ms < -DATE_MAX_MS) return `${ns}`;
  return new Date(Number(ms)).toISOString().replace('Z', `${rest.toString().padStart(6, '0')}Z`);
}
