import { celEnv, celFunc, celList, celMethod, CelScalar, listType, parse, plan } from '@bufbuild/cel';
import type { CelValue } from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';
import { concatLists } from './growing-list.ts';
import type { Expr } from './inspect.ts';
import { charge } from './work.ts';

const { BOOL, DYN, INT, STRING } = CelScalar;

/** Longest text that a string function may make, in UTF-16 units. */
const MAX_TEXT = 1024 * 1024;

/** Called once per item by every macro (see `boundWork`); an expression cannot name it: `@` is no letter of CEL. */
const TICK = '@tick';
/** Passes its argument on and charges for its length: a pattern costs its matcher much more per character than a comparison. */
const WEIGH = '@weigh';

function replaceText(text: string, from: string, to: string, limit: number): string {
  const parts = text.split(from);
  const count = Math.min(parts.length - 1, limit < 0 ? Infinity : limit);
  if (text.length + count * (to.length - from.length) > MAX_TEXT)
    throw new RangeError('its result is too long');
  if (count === parts.length - 1) return parts.join(to);
  return [parts.slice(0, count + 1).join(to), ...parts.slice(count + 1)].join(from);
}

function splitText(text: string, by: string, limit: number): string[] {
  const parts = text.split(by);
  charge(parts.length);
  if (limit < 0 || parts.length <= limit) return parts;
  return limit === 0 ? [] : [...parts.slice(0, limit - 1), parts.slice(limit - 1).join(by)];
}

/** The standard library and the strings extension; `replace`, `split` and `+` of lists are ours, as the library's have no bounds. */
export const environment = celEnv({
  funcs: [
    ...strings,
    celMethod('replace', STRING, [STRING, STRING], STRING, function (from, to) {
      return replaceText(this, from, to, -1);
    }),
    celMethod('replace', STRING, [STRING, STRING, INT], STRING, function (from, to, limit) {
      return replaceText(this, from, to, Number(limit));
    }),
    celMethod('split', STRING, [STRING], listType(STRING), function (by) {
      return celList(splitText(this, by, -1));
    }),
    celMethod('split', STRING, [STRING, INT], listType(STRING), function (by, limit) {
      return celList(splitText(this, by, Number(limit)));
    }),
    celFunc('_+_', [listType(DYN), listType(DYN)], listType(DYN), concatLists),
    celFunc(TICK, [BOOL], BOOL, (goOn) => {
      charge(1);
      return goOn;
    }),
    celFunc(WEIGH, [DYN], DYN, (value) => {
      if (typeof value === 'string') charge(value.length >> 9);
      return value;
    }),
  ],
});

export function isFunction(name: string): boolean {
  return environment.funcs.find(name) !== undefined;
}

/** For "did you mean". */
export function functionNames(): string[] {
  const macros = ['has', 'all', 'exists', 'exists_one', 'map', 'filter'];
  return [...new Set(Array.from(environment.funcs, (func) => func.name)), ...macros].filter((name) =>
    /^[a-z]/i.test(name),
  );
}

/** Makes every macro and every pattern of an expression count its work. Changes the expression. */
export function boundWork(expr: Expr | undefined): void {
  if (expr === undefined) return;
  const kind = expr.exprKind;
  if (kind.case === 'selectExpr') boundWork(kind.value.operand);
  else if (kind.case === 'listExpr') kind.value.elements.forEach(boundWork);
  else if (kind.case === 'structExpr') {
    for (const entry of kind.value.entries) {
      if (entry.keyKind.case === 'mapKey') boundWork(entry.keyKind.value);
      boundWork(entry.value);
    }
  } else if (kind.case === 'callExpr') {
    boundWork(kind.value.target);
    kind.value.args.forEach(boundWork);
    if (kind.value.function === 'matches' && kind.value.target !== undefined) {
      kind.value.target = call(WEIGH, kind.value.target);
    }
  } else if (kind.case === 'comprehensionExpr') {
    const loop = kind.value;
    for (const part of [loop.iterRange, loop.accuInit, loop.loopStep, loop.result]) boundWork(part);
    if (loop.loopCondition !== undefined) loop.loopCondition = call(TICK, loop.loopCondition);
  }
}

function call(name: string, arg: Expr): Expr {
  return {
    $typeName: 'cel.expr.Expr',
    id: arg.id,
    exprKind: { case: 'callExpr', value: { $typeName: 'cel.expr.Expr.Call', function: name, args: [arg] } },
  };
}

const stringOf = plan(environment, parse('string(v)'));
/** The text that CEL's `string()` gives, or undefined where it knows none. */
export function celText(value: CelValue): string | undefined {
  const text = stringOf({ v: value });
  return typeof text === 'string' ? text : undefined;
}
