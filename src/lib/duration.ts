const UNITS: readonly (readonly [unit: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];
const WHOLE = /^(?:\d+(?:\.\d+)?(?:d|h|ms|m|s))+$/;
const PART = /(\d+(?:\.\d+)?)(d|h|ms|m|s)/gy;
const EXAMPLES = 'write a number with a unit, such as 90s, 10m, 1h30m, 30d or 500ms';

/**
 * Milliseconds of a duration such as `90s`, `1h30m`, `1.5h` or `500ms`; units d, h, m, s, ms, largest first, each
 * once. Errors: RangeError, whose text says what to write. A bare number is refused: nobody knows its unit.
 */
export function parseDuration(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text))
    throw new RangeError(`"${text}" has no unit: write ${text}s for seconds or ${text}m for minutes`);
  if (!WHOLE.test(text)) throw new RangeError(`"${text}" is not a duration: ${EXAMPLES}`);
  let total = 0;
  let previous = -1;
  for (const [, digits, unit] of text.matchAll(PART)) {
    const index = UNITS.findIndex(([name]) => name === unit);
    if (index <= previous)
      throw new RangeError(`"${text}" is not a duration: units go from large to small, each once (1h30m)`);
    previous = index;
    total += Number(digits) * (UNITS[index]?.[1] ?? 0);
  }
  if (!Number.isSafeInteger(Math.round(total))) throw new RangeError(`"${text}" is too long for a duration`);
  return Math.round(total);
}

/** The shortest exact text of a whole number of milliseconds: `1h30m`, `500ms`, `0s`. `parseDuration` reads it back. */
export function formatDuration(ms: number): string {
  if (!Number.isSafeInteger(ms) || ms < 0)
    throw new RangeError(`${ms} is not a whole number of milliseconds`);
  let rest = ms;
  let out = '';
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) out += `${count}${unit}`;
  }
  return out === '' ? '0s' : out;
}
