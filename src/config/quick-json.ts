import type { Json } from '../core/json.ts';
import { blankJsonComments } from '../lib/json-comments.ts';
import { isMap } from './raw.ts';

/**
 * The value of a JSON text, comments allowed, or undefined where the YAML parser has to look: it knows where things
 * stand and takes trailing commas, but needs fifty times as long. Undefined too where a name stands twice in its map.
 */
export function quickJson(text: string): Json | undefined {
  const plain = blankJsonComments(text);
  try {
    const value: Json = JSON.parse(plain);
    // Of two values under one name JSON.parse says nothing; the text then has more names than the value.
    return namesInText(plain) === namesIn(value) ? value : undefined;
  } catch {
    // Not JSON, or nested deeper than the stack.
    return undefined;
  }
}

function namesInText(text: string): number {
  let count = 0;
  for (const [, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"?(\s*:)?/g)) if (colon !== undefined) count++;
  return count;
}

function namesIn(value: Json): number {
  let count = 0;
  if (isMap(value)) for (const item of Object.values(value)) count += 1 + namesIn(item);
  else if (Array.isArray(value)) for (const item of value) count += namesIn(item);
  return count;
}
