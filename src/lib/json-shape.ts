const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;

/**
 * Counts in a JSON text that `JSON.parse` has accepted or will see next: `depth`, the deepest nesting of arrays and
 * objects, and `members`, the name/value pairs in all objects as written, repeated names included.
 */
export function jsonShape(text: string): { depth: number; members: number } {
  let depth = 0;
  let deepest = 0;
  let members = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) i = endOfString(text, i + 1);
    else if (c === COLON) members++;
    else if (c === 0x7b || c === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (c === 0x7d || c === 0x5d) depth--;
  }
  return { depth: deepest, members };
}

/** The index of the closing quote of the string whose content starts at `i`; the text's end where there is none. */
function endOfString(text: string, i: number): number {
  for (; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === BACKSLASH) i++;
    else if (c === QUOTE) break;
  }
  return i;
}

/**
 * Whether a number in parsed JSON was larger than a double holds (`1e400`): it has become Infinity, which would be
 * written as null. Recursive: the depth must have been bounded before.
 */
export function hasInfinity(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.values(value).some(hasInfinity);
}
