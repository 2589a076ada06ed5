const SPACE = /[ \t\n\r]*/y;
const SCALAR = /true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/**
 * What may come next. `first…` are the states just after an opening bracket, where it may also close.
 * value → after; firstValue → after; key → colon → value; firstKey → colon; after → value | key | after | end.
 */
type State = 'value' | 'firstValue' | 'key' | 'firstKey' | 'colon' | 'after';

/**
 * Where a text that `JSON.parse` refused stops being JSON (offset in UTF-16 units; the length where it ends too
 * early). V8 says the position in some of its messages only, and differently from version to version.
 */
export function jsonErrorOffset(text: string): number {
  const open: string[] = [];
  let state: State = 'value';
  let at = skip(SPACE, text, 0);
  while (at < text.length && !(state === 'after' && open.length === 0)) {
    const next = step(text, at, state, open);
    if (next.failed) return next.at;
    state = next.state;
    at = skip(SPACE, text, next.at);
  }
  return at;
}

interface Step {
  readonly at: number;
  readonly state: State;
  readonly failed?: boolean;
}

function step(text: string, at: number, state: State, open: string[]): Step {
  const c = text.charAt(at);
  const fail: Step = { at, state, failed: true };
  switch (state) {
    case 'colon':
      return c === ':' ? { at: at + 1, state: 'value' } : fail;
    case 'after':
      if (c === ',') return { at: at + 1, state: open.at(-1) === '{' ? 'key' : 'value' };
      return close(c, at, open) ?? fail;
    case 'key':
    case 'firstKey':
      if (c === '"') return string(text, at, 'colon');
      return (state === 'firstKey' ? close(c, at, open) : undefined) ?? fail;
    case 'value':
    case 'firstValue':
      if (state === 'firstValue' && c === ']') return close(c, at, open) ?? fail;
      return value(text, at, open) ?? fail;
  }
}

function value(text: string, at: number, open: string[]): Step | undefined {
  const c = text.charAt(at);
  if (c === '"') return string(text, at, 'after');
  if (c === '{' || c === '[') {
    open.push(c);
    return { at: at + 1, state: c === '{' ? 'firstKey' : 'firstValue' };
  }
  const end = skip(SCALAR, text, at);
  return end === at ? undefined : { at: end, state: 'after' };
}

function close(c: string, at: number, open: string[]): Step | undefined {
  if (c !== (open.at(-1) === '{' ? '}' : ']')) return undefined;
  open.pop();
  return { at: at + 1, state: 'after' };
}

/** A loop, not one expression: a body may be one string of a megabyte. */
function string(text: string, start: number, state: State): Step {
  let at = start + 1;
  while (at < text.length) {
    const c = text.charCodeAt(at);
    if (c === 0x22) return { at: at + 1, state };
    const next = c === 0x5c ? skip(ESCAPE, text, at) : at + 1;
    if (c < 0x20 || next === at) return { at, state, failed: true };
    at = next;
  }
  return { at, state, failed: true };
}

function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}
