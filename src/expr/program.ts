import { isCelError, parse, plan } from '@bufbuild/cel';
import type { CelInput, CelValue } from '@bufbuild/cel';
import { errorText, TappetError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { Root, Scope } from '../core/expression.ts';
import { nearest, suggest } from '../lib/nearest.ts';
import { boundWork, environment, functionNames, isFunction } from './environment.ts';
import { explain, plainError } from './explain.ts';
import type { Expr, Inspection, Mention, Parsed, Path } from './inspect.ts';
import { inspect, readValues } from './inspect.ts';
import { toCelValue } from './json-values.ts';
import { blankComments, findFault, splitAnd } from './scan.ts';
import { startWork } from './work.ts';

/** Longest text of an expression or template, in bytes. */
const MAX_EXPRESSION_BYTES = 4 * 1024;
/** `all` within `all` is the most: a third level over 120 items was measured at 0.25 s and more. */
const MAX_MACRO_DEPTH = 2;
/** A parser that calls itself for every bracket must not meet thousands of them. */
const MAX_BRACKETS = 32;

type Outcome =
  | { readonly ok: true; readonly value: CelValue }
  | { readonly ok: false; readonly error: string };

/** One compiled CEL expression. */
export interface Program {
  readonly text: string;
  readonly paths: readonly Path[];
  readonly roots: readonly Root[];
  /** Never throws. Begins no new share of work: see `startWork`. */
  run(bindings: Bindings, scope: Scope): Outcome;
  /** What it read, by path. */
  values(scope: Scope): JsonObject;
}
export type Bindings = Record<string, CelInput>;

/** The values of a scope for programs; a root that the scope lacks is an empty map, so that `has()` can ask for it. */
export function bind(scope: Scope, roots: readonly Root[]): Bindings {
  startWork();
  const bindings: Bindings = {};
  for (const root of roots) bindings[root] = toCelValue(scope[root] ?? {});
  return bindings;
}

/**
 * Compiles `text`, which may read `roots`. `offset` is where it stands in a longer text, for columns in messages.
 * Errors: EXPRESSION_INVALID, with the column and what to do.
 */
export function compile(text: string, roots: readonly Root[], offset = 0): Program {
  return toProgram(text, checked(text, roots, offset).expr);
}

/**
 * Compiles the operands of the top-level `&&` chain one by one, from one parsing of the whole (the slow part).
 * Errors: EXPRESSION_INVALID, also where the whole is a constant that is neither true nor false.
 */
export function compileOperands(text: string, roots: readonly Root[]): Program[] {
  const { expr } = checked(text, roots, 0);
  if (isNeverBool(expr)) throw invalid('it is a constant, not a question: it must give true or false', 0);
  const operands = operandsOf(expr);
  const texts = splitAnd(blankComments(text));
  if (texts.length !== operands.length) return [toProgram(text, expr)];
  return operands.map((operand, i) => toProgram(texts[i] ?? text, operand));
}

function checked(text: string, roots: readonly Root[], offset: number): Parsed {
  checkSize(text);
  const parsed = parseText(blankComments(text), offset);
  check(inspect(parsed.expr, isFunction), parsed, roots, offset);
  return parsed;
}

function toProgram(text: string, expr: Expr): Program {
  const { paths } = inspect(expr, isFunction);
  boundWork(expr);
  const evaluate = plan(environment, expr);
  return {
    text: text.trim(),
    paths,
    roots: [...new Set(paths.map((path) => path.root))],
    run(bindings, scope) {
      try {
        const value = evaluate(bindings);
        return isCelError(value) ? { ok: false, error: explain(value, paths, scope) } : { ok: true, value };
      } catch (error) {
        return { ok: false, error: plainError(error) };
      }
    },
    values: (scope) => readValues(scope, paths),
  };
}

/** The parser balances a chain of `&&` into a tree; its leaves are in the order of the text. */
function operandsOf(expr: Expr): Expr[] {
  const kind = expr.exprKind;
  return kind.case === 'callExpr' && kind.value.function === '_&&_'
    ? kind.value.args.flatMap(operandsOf)
    : [expr];
}

function isNeverBool({ exprKind: kind }: Expr): boolean {
  if (kind.case === 'constExpr') return kind.value.constantKind.case !== 'boolValue';
  return kind.case === 'listExpr' || kind.case === 'structExpr';
}

/** The paths that a valid expression reads, for rules about what it must or must not read. */
export function pathsRead(text: string): readonly Path[] {
  return inspect(parseText(blankComments(text), 0).expr, isFunction).paths;
}

export function checkSize(text: string): void {
  if (Buffer.byteLength(text) > MAX_EXPRESSION_BYTES) {
    throw new TappetError('EXPRESSION_INVALID', `it is longer than ${MAX_EXPRESSION_BYTES / 1024} KiB`);
  }
}

function parseText(text: string, offset: number): Parsed {
  if (tooDeep(text)) throw invalid(`more than ${MAX_BRACKETS} brackets stand in each other`, offset);
  try {
    return parse(text);
  } catch (error) {
    const fault = findFault(text) ?? { at: parserOffset(error), message: parserMessage(error, text) };
    throw invalid(fault.message, offset + fault.at, error);
  }
}

function tooDeep(text: string): boolean {
  let depth = 0;
  for (const c of text) {
    if ('([{'.includes(c)) depth++;
    if (')]}'.includes(c)) depth--;
    if (depth > MAX_BRACKETS) return true;
  }
  return false;
}

/** The parser's error has no exported type: `location.start.offset`. */
function parserOffset(error: unknown): number {
  const location = error instanceof Error && 'location' in error ? error.location : undefined;
  const start =
    typeof location === 'object' && location !== null && 'start' in location ? location.start : undefined;
  const offset = typeof start === 'object' && start !== null && 'offset' in start ? start.offset : 0;
  return typeof offset === 'number' ? offset : 0;
}

function parserMessage(error: unknown, text: string): string {
  const rest = text.slice(parserOffset(error)).trim();
  if (!(error instanceof Error && 'location' in error)) return errorText(error);
  return `it cannot be read from here on: ${rest.length > 40 ? `${rest.slice(0, 40)}…` : rest}`;
}

function invalid(message: string, at: number, cause?: unknown): TappetError {
  return new TappetError('EXPRESSION_INVALID', `column ${at + 1}: ${message}`, {}, cause);
}

function check(found: Inspection, parsed: Parsed, roots: readonly Root[], offset: number): void {
  const fail = (mention: Mention, message: string): never => {
    throw invalid(message, offset + (parsed.sourceInfo?.positions[mention.id.toString()] ?? 0));
  };
  for (const name of found.unknownNames)
    fail(name, `unknown name "${name.name}": ${suggest(name.name, roots)}`);
  for (const type of found.messageTypes) fail(type, `"${type.name}{…}": message types are not available`);
  const closed = found.paths.find((path) => !roots.includes(path.root));
  if (closed !== undefined) {
    fail(
      { name: closed.root, id: closed.id },
      `\`${closed.root}\` cannot be read here; what can: ${roots.join(', ')}`,
    );
  }
  for (const path of found.paths) {
    const problem = fieldProblem(path);
    if (problem !== null) fail({ name: path.text, id: path.id }, problem);
  }
  const unbound = found.functions.find((func) => !isFunction(func.name));
  if (unbound !== undefined) fail(unbound, unknownFunction(unbound.name));
  for (const pattern of found.patterns) checkPattern(pattern, fail);
  if (found.macroDepth > MAX_MACRO_DEPTH) {
    throw invalid(
      `more than ${MAX_MACRO_DEPTH} macros (all, exists, map, filter) stand in each other`,
      offset,
    );
  }
}

/** Of the roots whose fields are fixed; those of the others come from senders. */
const FIELDS: Readonly<Partial<Record<Root, readonly string[]>>> = {
  trigger: ['name', 'labels'],
  task: ['index', 'count', 'attempt'],
};

function fieldProblem({ root, segments, text }: Path): string | null {
  const [field, next] = segments;
  const known = FIELDS[root];
  if (known === undefined || field === undefined) return null;
  if (!known.includes(String(field)))
    return `\`${root}\` has no field \`${field}\`: ${suggest(String(field), known)}`;
  if (next === undefined || field === 'labels') return null;
  return `\`${text}\` reads on after \`${root}.${field}\`, which has no fields`;
}

const MACRO_FORMS: Readonly<Record<string, string>> = {
  has: 'has(event.data.name)',
  all: 'event.data.items.all(item, item > 0)',
  exists: 'event.data.items.exists(item, item > 0)',
  exists_one: 'event.data.items.exists_one(item, item > 0)',
  map: 'event.data.items.map(item, item.name)',
  filter: 'event.data.items.filter(item, item > 0)',
};

const COMMON =
  'the most used are contains, startsWith, endsWith, matches, size, split, replace, lowerAscii, string, int';

function unknownFunction(name: string): string {
  const form = Object.hasOwn(MACRO_FORMS, name) ? MACRO_FORMS[name] : undefined;
  if (form !== undefined) return `${name}() is written ${form}`;
  const close = nearest(name, functionNames());
  return close === undefined
    ? `unknown function "${name}": ${COMMON}`
    : `unknown function "${name}": did you mean "${close}"?`;
}

const matcher = plan(environment, parse("'a'.matches(p)"));
function checkPattern(pattern: Mention, fail: (mention: Mention, message: string) => never): void {
  const result = matcher({ p: pattern.name });
  if (isCelError(result))
    fail(pattern, `the pattern ${JSON.stringify(pattern.name)} is not RE2: ${result.message}`);
}
