import { isCelList, isCelMap, isCelUint } from '@bufbuild/cel';
import type { CelInput, CelValue } from '@bufbuild/cel';
import type { Json, JsonObject } from '../core/json.ts';
import { charge } from './work.ts';

/** Whole numbers outside of it stay doubles. */
const INT64_LIMIT = 2 ** 63;

/**
 * A JSON value as CEL sees it: whole numbers as int (also in lists and maps), other numbers as double. Objects and
 * arrays are wrapped, not copied: an expression pays for what it reads, not for the size of the event.
 */
export function toCelValue(value: Json): CelInput & CelValue {
  if (typeof value === 'number') return toCelNumber(value);
  // Comparing lists and maps compares the long texts in them, which nothing else sees.
  if (typeof value === 'string') charge(value.length >> 12);
  if (typeof value !== 'object' || value === null) return value;
  const view: unknown = Array.isArray(value) ? new JsonList(value) : new JsonMap(value);
  if (isCelMap(view) || isCelList(view)) return view;
  throw new TypeError('the CEL library no longer knows its own markers');
}

function toCelNumber(value: number): number | bigint {
  return Number.isInteger(value) && value >= -INT64_LIMIT && value < INT64_LIMIT ? BigInt(value) : value;
}

/** The library tells its maps and lists by a registered symbol; its own classes would copy and lose null fields in `has()`. */
const MARK = {};
const MAP_MARK = Symbol.for('@bufbuild/cel/map');
const LIST_MARK = Symbol.for('@bufbuild/cel/list');

/** Every mention of a field makes a new view of it; counting its keys each time is what an expression could repeat. */
const sizes = new WeakMap<JsonObject, number>();
function sizeOf(object: JsonObject): number {
  let size = sizes.get(object);
  if (size === undefined) {
    size = Object.keys(object).length;
    charge(size >> 6);
    sizes.set(object, size);
  }
  return size;
}

class JsonMap {
  readonly [MAP_MARK] = MARK;
  readonly #object: JsonObject;
  constructor(object: JsonObject) {
    this.#object = object;
  }
  get size(): number {
    return sizeOf(this.#object);
  }
  get(key: unknown): CelValue | undefined {
    if (typeof key !== 'string' || !Object.hasOwn(this.#object, key)) return undefined;
    const value = this.#object[key];
    return value === undefined ? undefined : toCelValue(value);
  }
  has(key: unknown): boolean {
    return typeof key === 'string' && Object.hasOwn(this.#object, key) && this.#object[key] !== undefined;
  }
  forEach(callback: (value: CelValue, key: string, map: this) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this);
  }
  *keys(): IterableIterator<string> {
    for (const key of Object.keys(this.#object)) {
      charge(1);
      if (this.#object[key] !== undefined) yield key;
    }
  }
  *entries(): IterableIterator<[string, CelValue]> {
    for (const key of this.keys()) yield [key, toCelValue(this.#object[key] ?? null)];
  }
  *values(): IterableIterator<CelValue> {
    for (const [, value] of this.entries()) yield value;
  }
  [Symbol.iterator](): IterableIterator<[string, CelValue]> {
    return this.entries();
  }
}

class JsonList {
  readonly [LIST_MARK] = MARK;
  readonly #items: readonly Json[];
  constructor(items: readonly Json[]) {
    this.#items = items;
  }
  get size(): number {
    return this.#items.length;
  }
  get(index: number): CelValue | undefined {
    charge(1);
    const value = this.#items[index];
    return value === undefined ? undefined : toCelValue(value);
  }
  *values(): IterableIterator<CelValue> {
    for (const item of this.#items) {
      charge(1);
      yield toCelValue(item);
    }
  }
  [Symbol.iterator](): IterableIterator<CelValue> {
    return this.values();
  }
}

/**
 * A CEL value as JSON. `toText` gives the text of what JSON has no form for (timestamps, durations); `maxBytes`
 * bounds the result while it is made, as a small expression can repeat a large event.
 * Errors: RangeError, with a text for the reader.
 */
export function fromCelValue(
  value: CelValue,
  maxBytes: number,
  toText: (value: CelValue) => string | undefined,
): Json {
  let bytes = 0;
  const grow = (by: number): void => {
    bytes += by;
    if (bytes > maxBytes) throw new RangeError(`its result is larger than ${maxBytes / 1024} KiB`);
  };
  const convert = (v: CelValue): Json => {
    grow(4);
    if (v === null || typeof v === 'boolean') return v;
    if (typeof v === 'string') return measured(v);
    if (typeof v === 'bigint') return fromInt(v);
    if (typeof v === 'number') return fromDouble(v);
    if (isCelUint(v)) return fromInt(v.value);
    if (isCelList(v)) return Array.from(v, convert);
    if (isCelMap(v)) return Object.fromEntries(Array.from(v, ([key, item]) => [mapKey(key), convert(item)]));
    const text = v instanceof Uint8Array ? undefined : toText(v);
    if (text !== undefined) return measured(text);
    throw new RangeError(
      `it gives ${v instanceof Uint8Array ? 'bytes' : 'a value'} that has no JSON form: use string(…)`,
    );
  };
  const measured = (text: string): string => {
    // The length first: the text may be far longer than what is worth encoding.
    grow(text.length > maxBytes ? text.length : Buffer.byteLength(text));
    return text;
  };
  const mapKey = (key: unknown): string => measured(isCelUint(key) ? String(key.value) : String(key));
  return convert(value);
}

/** An int as a JSON number, or as its digits where a double would change it. */
function fromInt(value: bigint): Json {
  const number = Number(value);
  return BigInt(number) === value ? number : value.toString();
}

function fromDouble(value: number): Json {
  if (Number.isFinite(value)) return value;
  throw new RangeError(`it gives ${value}, which is not a number that JSON has`);
}
