import type { JsonObject } from '../core/json.ts';
import { jsonShape } from '../lib/json-shape.ts';

/** A token's header and payload are flat in practice; Kubernetes' claims are 3 deep. */
const MAX_DEPTH = 32;
const MAX_BYTES = 16 * 1024;

// ignoreBOM keeps a byte order mark in the text, where JSON.parse refuses it.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses a JSON object so that no two readers can disagree about what it says: valid UTF-8 without byte order mark,
 * no member twice, no number beyond a double (`1e400` would become Infinity), at most 32 deep and `maxBytes` long
 * (default 16 KiB). undefined for anything else.
 */
export function parseStrictObject(bytes: Uint8Array, maxBytes = MAX_BYTES): JsonObject | undefined {
  if (bytes.length > maxBytes) return undefined;
  let text: string;
  let value: unknown;
  try {
    text = utf8.decode(bytes);
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const shape = jsonShape(text);
  if (shape.depth > MAX_DEPTH) return undefined;
  // JSON.parse keeps the last of two equal names (also of `"a"` and `"\u0061"`), so a repeated one is a missing one.
  return countMembers(value) === shape.members ? (value as JsonObject) : undefined;
}

/** Members of all objects in `value`; NaN where a number is not finite. */
function countMembers(value: unknown): number {
  if (typeof value === 'number') return Number.isFinite(value) ? 0 : NaN;
  if (typeof value !== 'object' || value === null) return 0;
  const parts: unknown[] = Array.isArray(value) ? value : Object.values(value);
  let count = Array.isArray(value) ? 0 : parts.length;
  for (const part of parts) count += countMembers(part);
  return count;
}
