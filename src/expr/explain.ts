import type { CelError, CelValue } from '@bufbuild/cel';
import { celType } from '@bufbuild/cel';
import { errorText } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import type { Scope } from '../core/expression.ts';
import { nearest } from '../lib/nearest.ts';
import type { Path } from './inspect.ts';
import { pathText, readPath } from './inspect.ts';

const NOT_FOUND = /^field not found: (.*)$/s;
const NO_OVERLOAD = /^found no matching overload for '([^']*)' applied to '(.*)'$/s;
const MAX_ERROR = 500;
const OUT_OF_BOUNDS = /^index (-?\d+) out of bounds/;

/** The library's words in ours; `paths` and `scope` tell which field is absent. */
export function explain(error: CelError, paths: readonly Path[], scope: Scope): string {
  const missing = NOT_FOUND.exec(error.message)?.[1];
  if (missing !== undefined) return explainMissing(missing, paths, scope);
  const index = OUT_OF_BOUNDS.exec(error.message)?.[1];
  if (index !== undefined) return `a list has no item ${index}`;
  const [, name, types] = NO_OVERLOAD.exec(error.message) ?? [];
  if (name !== undefined && types !== undefined) return explainTypes(name, types);
  return plainError(error);
}

/** The text of what was thrown on the way; the engine's own word for deep nesting tells a reader nothing. */
export function plainError(error: unknown): string {
  const text = errorText(error);
  if (text.startsWith('Maximum call stack')) return 'the data are nested too deeply';
  // Some of the library's messages repeat the whole text that they are about.
  return text.length > MAX_ERROR ? `${text.slice(0, MAX_ERROR)}…` : text;
}

function explainMissing(field: string, paths: readonly Path[], scope: Scope): string {
  const ordered = [...paths.filter((path) => !path.tested), ...paths.filter((path) => path.tested)];
  for (const path of ordered) {
    const at = path.segments.findIndex(
      (_, i) => readPath(scope, path.root, path.segments.slice(0, i + 1)) === undefined,
    );
    if (at < 0 || String(path.segments[at]) !== field) continue;
    const parent = path.segments.slice(0, at);
    return absent(pathText(path.root, parent), readPath(scope, path.root, parent), field);
  }
  return `there is no field \`${field}\``;
}

function absent(parent: string, value: Json | undefined, field: string): string {
  if (value === undefined) return `\`${parent}\` is not known here`;
  if (value === null) return `\`${parent}\` is null and has no field \`${field}\``;
  if (Array.isArray(value)) return `\`${parent}\` is a list and has no field \`${field}\``;
  if (typeof value !== 'object') return `\`${parent}\` is a ${typeof value} and has no field \`${field}\``;
  const close = nearest(field, Object.keys(value).slice(0, 200));
  const end = close === undefined ? '' : ` (did you mean \`${close}\`?)`;
  return `\`${parent}\` has no field \`${field}\`${end}`;
}

function explainTypes(name: string, types: string): string {
  const operator = name.replace(/^_?|_?$/g, '').replace('@in', 'in');
  const list = types
    .replace(/^\(|\)$/g, '')
    .replace(/\.\(/, ', ')
    .split(', ')
    .filter((type) => type !== '');
  const what = `\`${operator}\` does not go with ${list.join(' and ')}`;
  const mixed = list.includes('int') && list.includes('double');
  return mixed ? `${what}: turn one into the other with double(…) or int(…)` : what;
}

/** A value and its type for a message: `a string ("abc")`. */
export function describe(value: CelValue): string {
  const name = celType(value).name.replace('null_type', 'null');
  if (value === null) return 'null';
  const article = /^[aeiou]/.test(name) ? 'an' : 'a';
  if (typeof value === 'string') return `${article} ${name} (${JSON.stringify(value.slice(0, 40))})`;
  return typeof value === 'object' ? `${article} ${name}` : `${article} ${name} (${String(value)})`;
}
