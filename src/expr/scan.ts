/** What a walk over the characters of an expression needs to know; strings and comments are skipped as wholes. */
export interface Token {
  readonly start: number;
  readonly end: number;
  readonly kind: 'string' | 'unterminated' | 'word' | 'space' | 'sign';
}

const WORD = /[A-Za-z0-9_]/;
const SPACE = /\s/;
const STRING_PREFIX = /^(?:[rR][bB]?|[bB][rR]?)$/;
/** Longest first. */
const SIGNS = ['===', '!==', '&&', '||', '==', '!=', '<=', '>='];

/** The token at `start`. Errors: none, any text has tokens. */
export function tokenAt(text: string, start: number): Token {
  const c = text.charAt(start);
  if (c === '"' || c === "'") return stringToken(text, start, start, false);
  if (SPACE.test(c)) return run(text, start, SPACE, 'space');
  if (WORD.test(c)) {
    const word = run(text, start, WORD, 'word');
    const prefix = text.slice(start, word.end);
    const quote = text.charAt(word.end);
    if (STRING_PREFIX.test(prefix) && (quote === '"' || quote === "'")) {
      return stringToken(text, start, word.end, /r/i.test(prefix));
    }
    return word;
  }
  const sign = SIGNS.find((s) => text.startsWith(s, start)) ?? c;
  return { start, end: start + sign.length, kind: 'sign' };
}

function run(text: string, start: number, of: RegExp, kind: 'word' | 'space'): Token {
  let end = start;
  while (end < text.length && of.test(text.charAt(end))) end++;
  return { start, end, kind };
}

function stringToken(text: string, start: number, quoteAt: number, raw: boolean): Token {
  const one = text.charAt(quoteAt);
  const quote = text.startsWith(one.repeat(3), quoteAt) ? one.repeat(3) : one;
  let i = quoteAt + quote.length;
  while (i < text.length) {
    if (text.startsWith(quote, i)) return { start, end: i + quote.length, kind: 'string' };
    if (quote.length === 1 && text.charAt(i) === '\n') break;
    i += text.charAt(i) === '\\' && !raw ? 2 : 1;
  }
  return { start, end: text.length, kind: 'unterminated' };
}

function* tokens(text: string): Iterable<Token> {
  for (let i = 0; i < text.length;) {
    const token = tokenAt(text, i);
    yield token;
    i = token.end;
  }
}

/** The same text with `// …` comments turned to spaces, so that positions stay. */
export function blankComments(text: string): string {
  let out = '';
  for (let i = 0; i < text.length;) {
    if (text.startsWith('//', i)) {
      const newline = text.indexOf('\n', i);
      const end = newline < 0 ? text.length : newline;
      out += ' '.repeat(end - i);
      i = end;
      continue;
    }
    const token = tokenAt(text, i);
    out += text.slice(token.start, token.end);
    i = token.end;
  }
  return out;
}

const OPEN = '([{';
const CLOSE = ')]}';

/**
 * The operands of the top-level `&&` chain of a valid expression, in order, outer parentheses removed. One operand
 * where the top is anything else (`||`, `?:`, a call).
 */
export function splitAnd(text: string): string[] {
  const inner = stripParentheses(text);
  const cuts: number[] = [];
  let depth = 0;
  for (const { start, end, kind } of tokens(inner)) {
    if (kind !== 'sign') continue;
    const sign = inner.slice(start, end);
    if (OPEN.includes(sign)) depth++;
    else if (CLOSE.includes(sign)) depth--;
    else if (depth === 0 && (sign === '||' || sign === '?')) return [inner];
    else if (depth === 0 && sign === '&&') cuts.push(start);
  }
  if (cuts.length === 0) return [inner];
  const ends = [...cuts, inner.length];
  return ends.flatMap((end, i) => splitAnd(inner.slice(i === 0 ? 0 : (ends[i - 1] ?? 0) + 2, end)));
}

function stripParentheses(text: string): string {
  const trimmed = text.trim();
  if (!trimmed.startsWith('(')) return trimmed;
  let depth = 0;
  for (const { start, end, kind } of tokens(trimmed)) {
    if (kind !== 'sign') continue;
    const sign = trimmed.slice(start, end);
    if (OPEN.includes(sign)) depth++;
    else if (CLOSE.includes(sign)) depth--;
    if (depth === 0) return end === trimmed.length ? stripParentheses(trimmed.slice(1, -1)) : trimmed;
  }
  return trimmed;
}

export interface Fault {
  /** 0-based offset. */
  readonly at: number;
  readonly message: string;
}

const SLIPS = new Map<string, string>(
  Object.entries({
    '=': 'use == to compare',
    '===': 'use ==',
    '!==': 'use !=',
    '&': 'use && for "and"',
    '|': 'use || for "or"',
    ';': 'one expression, no semicolon',
    '`': 'use single or double quotes',
    and: 'use &&',
    or: 'use ||',
    not: 'use !',
  }),
);

/** Why the parser refused a text, where it is one of the common slips: the parser itself only knows how far it came. */
export function findFault(text: string): Fault | undefined {
  const open: Token[] = [];
  let last: Token | undefined;
  for (const token of tokens(text)) {
    const part = text.slice(token.start, token.end);
    if (token.kind === 'space') continue;
    if (token.kind === 'unterminated')
      return { at: token.start, message: 'this string has no closing quote' };
    const hint = SLIPS.get(part);
    if (hint !== undefined) return { at: token.start, message: `"${part}" is not CEL: ${hint}` };
    if (token.kind === 'sign' && OPEN.includes(part)) open.push(token);
    if (token.kind === 'sign' && CLOSE.includes(part)) {
      const opened = open.pop();
      if (opened === undefined) return { at: token.start, message: `"${part}" closes nothing` };
      if (OPEN.indexOf(text.charAt(opened.start)) !== CLOSE.indexOf(part)) {
        return {
          at: token.start,
          message: `"${part}" closes the "${text.charAt(opened.start)}" of column ${opened.start + 1}`,
        };
      }
    }
    last = token;
  }
  const unclosed = open.at(-1);
  if (unclosed !== undefined)
    return { at: unclosed.start, message: `"${text.charAt(unclosed.start)}" is never closed` };
  if (last === undefined) return { at: 0, message: 'it is empty' };
  const end = text.slice(last.start, last.end);
  if (last.kind === 'sign' && !CLOSE.includes(end))
    return { at: last.start, message: `something is missing after "${end}"` };
  return undefined;
}
