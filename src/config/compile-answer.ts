import type { AnswerTemplates } from '../core/config.ts';
import { ANSWER_ROOTS } from '../core/expression.ts';
import type { Scope, Template } from '../core/expression.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { CompileContext } from './context.ts';
import { compileTemplate } from './context.ts';
import type { PathSegment } from './positions.ts';
import { isMap, mapOf, textOf } from './raw.ts';
import { checkSecret } from './secret-reads.ts';

type Path = readonly PathSegment[];

/** Of a webhook with an `answer`, and null else; what has errors is left out, and they are reported. */
export function compileAnswer(source: JsonObject, at: Path, context: CompileContext): AnswerTemplates | null {
  if (source['kind'] !== 'webhook' || !isMap(source['answer'])) return null;
  const answer = source['answer'];
  const path = [...at, 'answer'];
  let readsExecution = false;
  const template = (text: string, place: Path): Template | null => {
    const compiled = compileTemplate(context, text, ANSWER_ROOTS, place);
    readsExecution ||= compiled?.roots.includes('execution') === true;
    return compiled;
  };
  const headers: [string, Template][] = [];
  for (const [name, value] of Object.entries(mapOf(answer['headers']))) {
    const compiled = typeof value === 'string' ? template(value, [...path, 'headers', name]) : null;
    if (compiled !== null) headers.push([name, compiled]);
  }
  const { status, body } = answer;
  const statusText = textOf(status);
  const compiledStatus = statusText === undefined ? null : template(statusText, [...path, 'status']);
  const compiledBody = body === undefined ? {} : { body: compileBody(body, [...path, 'body'], template) };
  return {
    words: status !== undefined || body !== undefined || headers.length > 0,
    readsExecution,
    headers,
    ...(typeof status === 'number' ? { status } : {}),
    ...(compiledStatus === null ? {} : { status: compiledStatus }),
    ...compiledBody,
  };
}

type Render = (scope: Scope) => Json;

/** A text that is one expression becomes its value, any other what it says. */
function compileBody(
  value: Json,
  path: Path,
  template: (text: string, place: Path) => Template | null,
): Render {
  if (Array.isArray(value)) {
    const items = value.map((item, i) => compileBody(item, [...path, i], template));
    return (scope) => items.map((item) => item(scope));
  }
  if (isMap(value)) {
    const fields = Object.entries(value).map(
      ([name, item]) => [name, compileBody(item, [...path, name], template)] as const,
    );
    return (scope) => Object.fromEntries(fields.map(([name, field]) => [name, field(scope)]));
  }
  if (typeof value !== 'string') return () => value;
  const compiled = template(value, path);
  return (scope) => {
    const rendered = compiled?.render(scope);
    if (rendered?.ok) return rendered.raw;
    throw new Error(
      `${path.slice(3).join('.')}: ${rendered === undefined ? 'not compiled' : rendered.error}`,
    );
  };
}

/** The token of a challenge, which the schema cannot know. */
export async function checkChallenge(source: JsonObject, at: Path, context: CompileContext): Promise<void> {
  const meta = mapOf(mapOf(source['challenge'])['meta']);
  if (meta['verifyToken'] !== undefined)
    await checkSecret(meta['verifyToken'], [...at, 'challenge', 'meta', 'verifyToken'], context);
}
