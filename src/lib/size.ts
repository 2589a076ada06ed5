const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
};
const SIZE = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/;

/**
 * Bytes of a size such as `512Mi`, `1.5Gi`, `500M` (decimal) or `1048576`, as in Kubernetes and Cloud Run.
 * Errors: RangeError, whose text says what to write.
 */
export function parseSize(text: string): number {
  const [, digits, unit] = SIZE.exec(text) ?? [];
  if (digits === undefined || unit === undefined) {
    throw new RangeError(`"${text}" is not a size: write a number with Ki, Mi or Gi, such as 512Mi`);
  }
  const factor = Object.hasOwn(FACTORS, unit) ? FACTORS[unit] : undefined;
  if (factor === undefined) throw new RangeError(`"${text}" has an unknown unit: ${hint(digits, unit)}`);
  const bytes = Math.round(Number(digits) * factor);
  if (!Number.isSafeInteger(bytes)) throw new RangeError(`"${text}" is too large`);
  return bytes;
}

function hint(digits: string, unit: string): string {
  const letter = unit.charAt(0).toUpperCase();
  if (!'KMGT'.includes(letter)) return 'use Ki, Mi, Gi (powers of 1024) or k, M, G (powers of 1000)';
  return `write ${digits}${letter}i (powers of 1024) or ${digits}${letter === 'K' ? 'k' : letter} (powers of 1000)`;
}

/** A whole number of bytes in the largest unit that divides it: `512Mi`, `1000`. `parseSize` reads it back. */
export function formatSize(bytes: number): string {
  for (const [unit, factor] of [
    ['Ti', 1024 ** 4],
    ['Gi', 1024 ** 3],
    ['Mi', 1024 ** 2],
    ['Ki', 1024],
  ] as const) {
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}

/** For people, in about three digits: `512 MiB`, `1.2 GiB`, `900 bytes`. */
export function sizeText(bytes: number): string {
  for (const [unit, factor] of [
    ['TiB', 1024 ** 4],
    ['GiB', 1024 ** 3],
    ['MiB', 1024 ** 2],
    ['KiB', 1024],
  ] as const) {
    if (bytes < factor) continue;
    const value = bytes / factor;
    return `${value < 10 ? Math.floor(value * 10) / 10 : Math.floor(value)} ${unit}`;
  }
  return `${bytes} bytes`;
}
