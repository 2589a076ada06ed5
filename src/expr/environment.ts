import {
  celEnv,
  celFunc,
  celList,
  celMethod,
  CelScalar,
  celUint,
  isCelList,
  isCelMap,
  listType,
  parse,
  plan,
} from '@bufbuild/cel';
import type { CelValue } from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';
import { concatLists } from './growing-list.ts';
import type { Expr } from './inspect.ts';
import { charge } from './work.ts';

const { BOOL, BYTES, DOUBLE, DYN, INT, STRING, UINT } = CelScalar;

/** Longest text that a string function may make, in UTF-16 units. */
const MAX_TEXT = 1024 * 1024;

/** Called once per item by every macro (see `boundWork`); an expression cannot name it: `@` is no letter of CEL. */
const TICK = '@tick';
/** Pass their argument on and charge for its length, by how much the function around them does per character. */
const WEIGH = { light: '@weigh', middle: '@weigh_middle', heavy: '@weigh_heavy' } as const;
type Weight = keyof typeof WEIGH;
/** A step may take 1.4 µs. Measured per megabyte: searching 1 ms, `size` and `trim` 10 to 25 ms, `quote` and `format` 140 to 340 ms. */
const SHIFT: Readonly<Record<Weight, number>> = { light: 9, middle: 6, heavy: 3 };
const WEIGHTS: Readonly<Record<string, Weight>> = {
  lowerAscii: 'middle',
  upperAscii: 'middle',
  size: 'middle',
  trim: 'middle',
  format: 'heavy',
  'strings.quote': 'heavy',
};
/** These look at no more than a few bytes of their arguments, or charge by themselves. */
const FREE = new Set(['_&&_', '_||_', '!_', '_?_:_', '_+_', '_-_', '_*_', '_/_', '_%_', '-_', 'type', 'dyn']);
FREE.add('@not_strictly_false');
/** Longer than any number; the engine takes quadratic time for more digits. */
const MAX_NUMBER_LENGTH = 32;

/** `deep`: also what is in it, for a function that writes all of it. */
function weigh(value: CelValue, shift: number, deep: boolean): void {
  if (typeof value === 'string' || value instanceof Uint8Array) charge(value.length >> shift);
  else if (isCelList(value)) {
    if (!deep) charge(value.size >> 2);
    else for (const item of value) weighItem(item, shift);
  } else if (deep && isCelMap(value)) {
    for (const [key, item] of value) {
      if (typeof key === 'string') charge(key.length >> shift);
      weighItem(item, shift);
    }
  }
}

function weighItem(item: CelValue, shift: number): void {
  // The library sorts the entries of a map that it writes, which costs more than the writing.
  charge(4);
  weigh(item, shift, true);
}

/**
 * Looking for one long text in another can look at each character of the one for each of the other: backwards always,
 * forwards in steps of up to 250 (the engine's search builds its tables for no more).
 */
function chargeSearch(text: string, part: string, backwards = false): void {
  if (text.length >= part.length)
    charge(Math.floor((text.length * part.length) / (backwards ? 2 ** 10 : 2 ** 18)));
}

function searchFrom(text: string, start: bigint): number {
  const at = Number(start);
  if (at < 0 || at >= text.length) throw new RangeError(`index ${at} is not in a text of ${text.length}`);
  return at;
}

function numberText(text: string): string {
  if (text.length <= MAX_NUMBER_LENGTH) return text;
  throw new RangeError(`a text of ${text.length} characters is no number`);
}

/** Errors: RangeError where the text is none, or out of range. */
function wholeNumber(text: string, min: bigint, max: bigint): bigint {
  const short = numberText(text);
  let value: bigint;
  try {
    value = BigInt(short);
  } catch {
    throw new RangeError(`${JSON.stringify(short)} is not a whole number`);
  }
  if (value < min || value > max) throw new RangeError(`${short} is outside of what int and uint can hold`);
  return value;
}

function concatBytes(left: Uint8Array, right: Uint8Array): Uint8Array {
  charge((left.length + right.length) >> SHIFT.light);
  return new Uint8Array(Buffer.concat([left, right]));
}

function replaceText(text: string, from: string, to: string, limit: number): string {
  chargeSearch(text, from);
  const parts = text.split(from);
  charge(parts.length >> 3);
  const count = Math.min(parts.length - 1, limit < 0 ? Infinity : limit);
  if (text.length + count * (to.length - from.length) > MAX_TEXT)
    throw new RangeError('its result is too long');
  if (count === parts.length - 1) return parts.join(to);
  return [parts.slice(0, count + 1).join(to), ...parts.slice(count + 1)].join(from);
}

function splitText(text: string, by: string, limit: number): string[] {
  chargeSearch(text, by);
  const parts = text.split(by);
  charge(parts.length);
  if (limit < 0 || parts.length <= limit) return parts;
  return limit === 0 ? [] : [...parts.slice(0, limit - 1), parts.slice(limit - 1).join(by)];
}

/** The standard library and the strings extension; some functions are ours, as the library's have no bounds. */
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
    celMethod('contains', STRING, [STRING], BOOL, function (part) {
      chargeSearch(this, part);
      return this.includes(part);
    }),
    celMethod('indexOf', STRING, [STRING], INT, function (part) {
      chargeSearch(this, part);
      return BigInt(this.indexOf(part));
    }),
    celMethod('indexOf', STRING, [STRING, INT], INT, function (part, start) {
      chargeSearch(this, part);
      return BigInt(this.indexOf(part, searchFrom(this, start)));
    }),
    celMethod('lastIndexOf', STRING, [STRING], INT, function (part) {
      chargeSearch(this, part, true);
      return BigInt(this.lastIndexOf(part));
    }),
    celMethod('lastIndexOf', STRING, [STRING, INT], INT, function (part, start) {
      chargeSearch(this, part, true);
      return BigInt(this.lastIndexOf(part, searchFrom(this, start)));
    }),
    celMethod('lowerAscii', STRING, [], STRING, function () {
      return this.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
    }),
    celMethod('upperAscii', STRING, [], STRING, function () {
      return this.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
    }),
    celFunc('int', [STRING], INT, (text) => wholeNumber(text, -(2n ** 63n), 2n ** 63n - 1n)),
    celFunc('uint', [STRING], UINT, (text) => celUint(wholeNumber(text, 0n, 2n ** 64n - 1n))),
    celFunc('double', [STRING], DOUBLE, (text) => Number(numberText(text))),
    celFunc('_+_', [BYTES, BYTES], BYTES, concatBytes),
    celFunc('_+_', [listType(DYN), listType(DYN)], listType(DYN), concatLists),
    celFunc(TICK, [BOOL], BOOL, (goOn) => {
      charge(1);
      return goOn;
    }),
    ...(['light', 'middle', 'heavy'] as const).map((weight) =>
      celFunc(WEIGH[weight], [DYN], DYN, (value) => {
        weigh(value, SHIFT[weight], weight === 'heavy');
        return value;
      }),
    ),
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

/** Makes every macro and every function of an expression count its work. Changes the expression. */
export function boundWork(expr: Expr | undefined): void {
  if (expr === undefined) return;
  const kind = expr.exprKind;
  if (kind.case === 'selectExpr') boundWork(kind.value.operand);
  else if (kind.case === 'listExpr') kind.value.elements.forEach(boundWork);
  else if (kind.case === 'structExpr') {
    for (const entry of kind.value.entries) {
      if (entry.keyKind.case === 'mapKey') {
        boundWork(entry.keyKind.value);
        entry.keyKind.value = weighed(entry.keyKind.value, 'light');
      }
      boundWork(entry.value);
    }
  } else if (kind.case === 'callExpr') {
    boundWork(kind.value.target);
    kind.value.args.forEach(boundWork);
    weighArguments(kind.value);
  } else if (kind.case === 'comprehensionExpr') {
    const loop = kind.value;
    for (const part of [loop.iterRange, loop.accuInit, loop.loopStep, loop.result]) boundWork(part);
    if (loop.loopCondition !== undefined) loop.loopCondition = call(TICK, loop.loopCondition);
  }
}

type Call = Extract<Expr['exprKind'], { case: 'callExpr' }>['value'];

function weighArguments(made: Call): void {
  if (FREE.has(made.function)) return;
  const space = made.target?.exprKind;
  const full = space?.case === 'identExpr' ? `${space.value.name}.${made.function}` : made.function;
  // `strings.quote(x)`: what looks like a target is a part of the name.
  const named = full !== made.function && isFunction(full);
  const weight = WEIGHTS[named ? full : made.function] ?? 'light';
  if (made.target !== undefined && !named) made.target = weighed(made.target, weight);
  made.args = made.args.map((arg) => weighed(arg, weight));
}

/** A constant is no longer than the expression. */
function weighed(arg: Expr, weight: Weight): Expr {
  return arg.exprKind.case === 'constExpr' ? arg : call(WEIGH[weight], arg);
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
