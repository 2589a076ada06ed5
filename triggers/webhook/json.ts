import type { Json } from '../../src/core/json.ts';
import { hasInfinity, jsonShape } from '../../src/lib/json-shape.ts';
import { jsonErrorOffset } from './json-error.ts';
import { reject, type Result } from './problem.ts';

/** Deeper than any real payload; everything that later walks the data (expressions, the store) does so by recursion. */
const MAX_DEPTH = 100;
const utf8 = new TextDecoder('utf-8', { fatal: true });

export function decodeText(bytes: Uint8Array): Result<string> {
  try {
    return { ok: true, value: utf8.decode(bytes) };
  } catch {
    return reject(400, 'The body is not valid UTF-8.');
  }
}

/** Parses a JSON body; a mistake is named with line and column. */
export function parseJson(bytes: Uint8Array): Result<Json> {
  const text = decodeText(bytes);
  if (!text.ok) return text;
  let value: Json;
  try {
    value = JSON.parse(text.value) as Json;
  } catch {
    return reject(400, `The body is not valid JSON: ${describe(text.value, jsonErrorOffset(text.value))}.`);
  }
  if (jsonShape(text.value).depth > MAX_DEPTH) {
    return reject(400, `The JSON is nested more than ${MAX_DEPTH} levels deep.`);
  }
  if (hasInfinity(value))
    return reject(400, 'The JSON holds a number that is too large; send it as a string.');
  return { ok: true, value };
}

function describe(text: string, offset: number): string {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  const column = offset - before.lastIndexOf('\n');
  const what = offset >= text.length ? 'it ends too early' : 'unexpected character';
  return `${what} at line ${line}, column ${column}`;
}
