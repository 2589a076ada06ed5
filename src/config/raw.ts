import type { Json, JsonObject } from '../core/json.ts';

// What was written, read without complaint: the schema tells what has the wrong type, and these let the other rules
// judge everything else in the same go.

export function isMap(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Empty where it is something else. */
export function mapOf(value: Json | undefined): JsonObject {
  return isMap(value) ? value : {};
}

/** Empty where it is something else. */
export function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}

export function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** Of numbers and true/false too, as the schema takes them where a text is wanted. */
export function looseTextOf(value: Json | undefined): string | undefined {
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : textOf(value);
}
