import { secretDoubt, secretFormProblem } from '../auth/secret-forms.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { SecretValue } from '../core/secrets.ts';
import { pathText } from '../lib/path-text.ts';
import type { CompileContext } from './context.ts';
import { checkOidc } from './check-oidc.ts';
import type { PathSegment } from './positions.ts';
import { placeText } from './problems.ts';
import { listOf, mapOf } from './raw.ts';
import { checkSecret } from './secret-reads.ts';

type Path = readonly PathSegment[];

/** By form, the fields that name a secret: one, and a list. */
const SECRET_FIELDS: ReadonlyMap<string, readonly [string, string]> = new Map([
  ['hmac', ['secret', 'secrets']],
  ['gitlab', ['token', 'tokens']],
  ['bearer', ['token', 'tokens']],
  ['basic', ['password', 'passwords']],
]);

/** What the schema cannot know of a webhook's `auth`: names, expressions, secrets. */
export async function checkAuth(auth: JsonObject, path: Path, context: CompileContext): Promise<void> {
  for (const [i, one] of listOf(auth['anyOf']).entries()) {
    await checkAuth(mapOf(one), [...path, 'anyOf', i], context);
  }
  const [form, ...others] = Object.keys(auth).filter((name) => name !== 'addresses' && name !== 'anyOf');
  // Which of two forms is meant is not known.
  if (form === undefined || others.length > 0) return;
  const fields = mapOf(auth[form]);
  if (form === 'oidc') checkOidc(fields, [...path, 'oidc'], context);
  for (const [ref, at] of secretsOf(form, fields, [...path, form])) {
    const value = await checkSecret(ref, at, context);
    if (value === undefined) continue;
    const problem = secretFormProblem(form, fields['scheme'], value);
    if (problem !== undefined) context.report.add(at, `the secret ${problem}`);
    else warnOfDoubt(ref, value, at, context);
  }
}

/** Once for each secret: a thousand hooks may share one. */
function warnOfDoubt(ref: Json | undefined, value: SecretValue, path: Path, context: CompileContext): void {
  const doubt = secretDoubt(value);
  if (doubt === undefined || !context.secrets.isNews(`${JSON.stringify(ref)} ${doubt}`)) return;
  const place = placeText(context.report.place(path));
  context.warnings.push(`${place} ${pathText(path)}: the secret ${doubt}`);
}

function secretsOf(form: string, fields: JsonObject, path: Path): [Json | undefined, Path][] {
  const [one, several] = SECRET_FIELDS.get(form) ?? [];
  if (one === undefined || several === undefined) return [];
  const list = listOf(fields[several]);
  return [[fields[one], [...path, one]], ...list.map((ref, i): [Json, Path] => [ref, [...path, several, i]])];
}
