import { TappetError } from '../core/errors.ts';
import type { Root, Scope, Template, TemplateResult } from '../core/expression.ts';
import type { Json } from '../core/json.ts';
import { celText } from './environment.ts';
import { plainError } from './explain.ts';
import { fromCelValue } from './json-values.ts';
import type { Bindings, Program } from './program.ts';
import { bind, checkSize, compile } from './program.ts';
import { tokenAt } from './scan.ts';

const MAX_RESULT_BYTES = 64 * 1024;
const OPEN = '${{';
const CLOSE = '}}';

type Part = string | Program;
type PartResult = { readonly ok: true; readonly raw: Json } | { readonly ok: false; readonly error: string };

/**
 * Compiles a text with `${{ expression }}` parts; `$${{` stands for a literal `${{`.
 * Errors: EXPRESSION_INVALID, with the column in the whole text.
 */
export function compileTemplate(text: string, allowed: readonly Root[]): Template {
  if (!text.includes(OPEN)) return plainText(text);
  checkSize(text);
  const parts = splitTemplate(text).map((part) =>
    typeof part === 'string' ? part : compile(part.text, allowed, part.at),
  );
  const roots = [...new Set(parts.flatMap((part) => (typeof part === 'string' ? [] : part.roots)))];
  const render = (scope: Scope): TemplateResult => renderParts(parts, bind(scope, roots), scope);
  return Object.freeze({ text, roots: Object.freeze(roots), render });
}

function plainText(text: string): Template {
  const result: TemplateResult = Object.freeze({ ok: true, value: text, raw: text });
  return Object.freeze({ text, roots: Object.freeze([]), render: () => result });
}

function renderParts(parts: readonly Part[], bindings: Bindings, scope: Scope): TemplateResult {
  let text = '';
  let raw: Json = null;
  for (const part of parts) {
    if (typeof part === 'string') {
      text += part;
      continue;
    }
    const result = evaluate(part, bindings, scope);
    if (!result.ok) return { ok: false, error: result.error, clause: part.text };
    raw = result.raw;
    text += typeof raw === 'string' ? raw : JSON.stringify(raw);
    if (Buffer.byteLength(text) > MAX_RESULT_BYTES) {
      return {
        ok: false,
        error: `the text is larger than ${MAX_RESULT_BYTES / 1024} KiB`,
        clause: part.text,
      };
    }
  }
  return { ok: true, value: text, raw: parts.length === 1 && typeof parts[0] !== 'string' ? raw : text };
}

function evaluate(part: Program, bindings: Bindings, scope: Scope): PartResult {
  const result = part.run(bindings, scope);
  if (!result.ok) return result;
  if (result.value === null)
    return { ok: false, error: 'it gives null, which is no text: use a condition (x == null ? "" : x)' };
  try {
    return { ok: true, raw: fromCelValue(result.value, MAX_RESULT_BYTES, celText) };
  } catch (error) {
    // Too large, or nested deeper than the stack: both depend on the event.
    return { ok: false, error: plainError(error) };
  }
}

interface ExpressionPart {
  readonly text: string;
  readonly at: number;
}

function splitTemplate(text: string): (string | ExpressionPart)[] {
  const parts: (string | ExpressionPart)[] = [];
  let literal = '';
  for (let i = 0; i < text.length;) {
    if (text.startsWith(`$${OPEN}`, i)) {
      literal += OPEN;
      i += OPEN.length + 1;
    } else if (text.startsWith(OPEN, i)) {
      if (literal !== '') parts.push(literal);
      literal = '';
      const end = expressionEnd(text, i);
      parts.push({ text: text.slice(i + OPEN.length, end), at: i + OPEN.length });
      i = end + CLOSE.length;
    } else {
      literal += text.charAt(i);
      i++;
    }
  }
  if (literal !== '' || parts.length === 0) parts.push(literal);
  return parts;
}

/** Where the `}}` of the `${{` at `start` stands: not in a string, not of a map. */
function expressionEnd(text: string, start: number): number {
  let depth = 0;
  for (let i = start + OPEN.length; i < text.length;) {
    if (depth === 0 && text.startsWith(CLOSE, i)) return i;
    const token = tokenAt(text, i);
    const sign = text.slice(token.start, token.end);
    if (sign === '{') depth++;
    if (sign === '}') depth--;
    i = token.end;
  }
  throw new TappetError(
    'EXPRESSION_INVALID',
    `column ${start + 1}: "\${{" has no "}}" after it (write "$\${{" for the characters themselves)`,
  );
}
