import type { parse } from '@bufbuild/cel';
import type { Json, JsonObject } from '../core/json.ts';
import type { Scope } from '../core/expression.ts';
import { isRoot } from '../core/expression.ts';
import type { Root } from '../core/expression.ts';

export type Parsed = ReturnType<typeof parse>;
export type Expr = Parsed['expr'];

/** Something that an expression reads: `event.data.items[0].name`, up to the first part that is only known later. */
export interface Path {
  readonly root: Root;
  readonly segments: readonly (string | number)[];
  /** As one would write it. */
  readonly text: string;
  /** Stands in `has()`: it may be absent. */
  readonly tested: boolean;
  /** Of the root's node. */
  readonly id: bigint;
}

export interface Inspection {
  readonly paths: readonly Path[];
  /** Names that are neither roots nor variables of a macro. */
  readonly unknownNames: readonly Mention[];
  readonly functions: readonly Mention[];
  /** `matches()` patterns that are plain text. */
  readonly patterns: readonly Mention[];
  /** Macros (`all`, `map`, …) within the body of another. */
  readonly macroDepth: number;
  readonly messageTypes: readonly Mention[];
}
export interface Mention {
  readonly name: string;
  readonly id: bigint;
}

interface OpenPath {
  readonly root: Root;
  readonly id: bigint;
  readonly segments: (string | number)[];
  tested: boolean;
  /** A dynamic index was met: what follows is not part of it. */
  closed: boolean;
}

const TYPE_NAMES = new Set([
  'int',
  'uint',
  'double',
  'bool',
  'string',
  'bytes',
  'list',
  'map',
  'null_type',
  'type',
]);

/** Walks an expression. `isFunction` tells qualified names (`strings.quote`) from methods. */
export function inspect(expr: Expr, isFunction: (name: string) => boolean): Inspection {
  const walker = new Walker(isFunction);
  walker.visit(expr, 0);
  return walker;
}

class Walker implements Inspection {
  readonly paths: Path[] = [];
  readonly unknownNames: Mention[] = [];
  readonly functions: Mention[] = [];
  readonly patterns: Mention[] = [];
  readonly messageTypes: Mention[] = [];
  macroDepth = 0;
  #bound: readonly string[] = [];
  readonly #isFunction: (name: string) => boolean;
  constructor(isFunction: (name: string) => boolean) {
    this.#isFunction = isFunction;
  }

  visit(expr: Expr | undefined, depth: number): void {
    if (expr === undefined) return;
    const kind = expr.exprKind;
    if (kind.case === 'identExpr' || kind.case === 'selectExpr' || isIndex(expr))
      this.#visitChain(expr, depth);
    else if (kind.case === 'callExpr') this.#visitCall(expr, depth);
    else if (kind.case === 'listExpr') for (const element of kind.value.elements) this.visit(element, depth);
    else if (kind.case === 'structExpr') this.#visitStruct(expr, depth);
    else if (kind.case === 'comprehensionExpr') this.#visitMacro(expr, depth);
  }

  #visitChain(expr: Expr, depth: number): void {
    const open = this.#open(expr, depth);
    if (open === undefined) return;
    const { root, id, segments, tested } = open;
    this.paths.push({ root, id, segments, tested, text: pathText(root, segments) });
  }

  /** Follows `a.b[0].c` down to its root; undefined where that is no root (its parts have been visited then). */
  #open(expr: Expr, depth: number): OpenPath | undefined {
    const kind = expr.exprKind;
    if (kind.case === 'identExpr') return this.#openName(kind.value.name, expr.id);
    if (kind.case === 'selectExpr' && kind.value.operand !== undefined) {
      const open = this.#open(kind.value.operand, depth);
      if (open !== undefined && !open.closed) {
        open.segments.push(kind.value.field);
        open.tested = kind.value.testOnly;
      }
      return open;
    }
    const [operand, index] = isIndex(expr) && kind.case === 'callExpr' ? kind.value.args : [];
    if (operand === undefined || index === undefined) {
      this.visit(expr, depth);
      return undefined;
    }
    const open = this.#open(operand, depth);
    const key = constantKey(index);
    if (key === undefined) this.visit(index, depth);
    if (open === undefined || open.closed) return open;
    if (key === undefined) open.closed = true;
    else open.segments.push(key);
    return open;
  }

  #openName(name: string, id: bigint): OpenPath | undefined {
    if (this.#bound.includes(name) || TYPE_NAMES.has(name) || name.startsWith('@')) return undefined;
    if (isRoot(name)) return { root: name, id, segments: [], tested: false, closed: false };
    this.unknownNames.push({ name, id });
    return undefined;
  }

  #visitCall(expr: Expr, depth: number): void {
    if (expr.exprKind.case !== 'callExpr') return;
    const { function: name, target, args } = expr.exprKind.value;
    const qualified = `${target?.exprKind.case === 'identExpr' ? target.exprKind.value.name : ''}.${name}`;
    if (!this.#isFunction(qualified)) {
      this.visit(target, depth);
      if (/^[A-Za-z]/.test(name)) this.functions.push({ name, id: expr.id });
    }
    const pattern = name === 'matches' ? args.at(-1) : undefined;
    const constant = pattern === undefined ? undefined : constantKey(pattern);
    if (typeof constant === 'string') this.patterns.push({ name: constant, id: pattern?.id ?? expr.id });
    for (const arg of args) this.visit(arg, depth);
  }

  #visitStruct(expr: Expr, depth: number): void {
    if (expr.exprKind.case !== 'structExpr') return;
    const { messageName, entries } = expr.exprKind.value;
    if (messageName !== '') this.messageTypes.push({ name: messageName, id: expr.id });
    for (const entry of entries) {
      if (entry.keyKind.case === 'mapKey') this.visit(entry.keyKind.value, depth);
      this.visit(entry.value, depth);
    }
  }

  #visitMacro(expr: Expr, depth: number): void {
    if (expr.exprKind.case !== 'comprehensionExpr') return;
    const { iterRange, iterVar, accuVar, accuInit, loopCondition, loopStep, result } = expr.exprKind.value;
    this.macroDepth = Math.max(this.macroDepth, depth + 1);
    this.visit(iterRange, depth);
    const outer = this.#bound;
    this.#bound = [...outer, iterVar, accuVar];
    for (const part of [accuInit, loopCondition, loopStep, result]) this.visit(part, depth + 1);
    this.#bound = outer;
  }
}

function isIndex(expr: Expr): boolean {
  return expr.exprKind.case === 'callExpr' && expr.exprKind.value.function === '_[_]';
}

function constantKey(expr: Expr): string | number | undefined {
  if (expr.exprKind.case !== 'constExpr') return undefined;
  const constant = expr.exprKind.value.constantKind;
  if (constant.case === 'stringValue') return constant.value;
  return constant.case === 'int64Value' ? Number(constant.value) : undefined;
}

export function pathText(root: string, segments: readonly (string | number)[]): string {
  return segments.reduce<string>((text, segment) => {
    if (typeof segment === 'number') return `${text}[${segment}]`;
    return /^[A-Za-z_]\w*$/.test(segment) ? `${text}.${segment}` : `${text}[${JSON.stringify(segment)}]`;
  }, root);
}

/** The value at a path, or undefined where some part of it is absent. */
export function readPath(scope: Scope, root: Root, segments: readonly (string | number)[]): Json | undefined {
  let value: Json | undefined = scope[root];
  for (const segment of segments) {
    if (typeof value !== 'object' || value === null) return undefined;
    if (Array.isArray(value)) value = typeof segment === 'number' ? value[segment] : undefined;
    else value = typeof segment === 'string' && Object.hasOwn(value, segment) ? value[segment] : undefined;
  }
  return value;
}

/** Values are stored with each decision and shown to people; a longer one is cut or summed up. */
const MAX_SHOWN = 256;
const MAX_PATHS = 16;

/** What these paths lead to now, by their text; null where there is nothing. */
export function readValues(scope: Scope, paths: readonly Path[]): JsonObject {
  const values: JsonObject = {};
  for (const path of paths.slice(0, MAX_PATHS)) {
    values[path.text] = shown(readPath(scope, path.root, path.segments) ?? null);
  }
  return values;
}

function shown(value: Json): Json {
  if (typeof value === 'string') return value.length > MAX_SHOWN ? `${value.slice(0, MAX_SHOWN)}…` : value;
  if (typeof value !== 'object' || value === null) return value;
  const size = Array.isArray(value) ? value.length : Object.keys(value).length;
  if (size <= 32 && fits(value, MAX_SHOWN)) return value;
  return Array.isArray(value) ? `list of ${size}` : `map of ${size}`;
}

/** Whether a value is small, without writing a large one out (nor following a deep one down). */
function fits(value: Json, budget: number): boolean {
  let left = budget;
  const walk = (v: Json): void => {
    left -= typeof v === 'string' ? v.length + 2 : 4;
    if (left < 0 || typeof v !== 'object' || v === null) return;
    for (const key of Object.keys(v)) {
      left -= key.length;
      if (left < 0) return;
      walk(Array.isArray(v) ? (v[Number(key)] ?? null) : (v[key] ?? null));
    }
  };
  walk(value);
  return left >= 0;
}
