import { isCelList } from '@bufbuild/cel';
import type { CelList, CelValue } from '@bufbuild/cel';
import { charge } from './work.ts';

const LIST_MARK = Symbol.for('@bufbuild/cel/list');
const MARK = {};

/**
 * What `+` of lists gives. `map` and `filter` add their items one by one; the library nests a list in a list for
 * each, which takes quadratic time and overflows the stack at about 5,000 items. Here the longest list owns a
 * buffer that only grows, and shorter ones are views of its beginning.
 */
class GrowingList {
  readonly [LIST_MARK] = MARK;
  readonly size: number;
  readonly #buffer: CelValue[];
  constructor(buffer: CelValue[]) {
    this.#buffer = buffer;
    this.size = buffer.length;
  }
  get(index: number): CelValue | undefined {
    charge(1);
    return index >= 0 && index < this.size ? this.#buffer[index] : undefined;
  }
  *values(): IterableIterator<CelValue> {
    for (let i = 0; i < this.size; i++) {
      charge(1);
      const item = this.#buffer[i];
      if (item !== undefined) yield item;
    }
  }
  [Symbol.iterator](): IterableIterator<CelValue> {
    return this.values();
  }
  plus(other: Iterable<CelValue>): GrowingList {
    // Someone else has grown the buffer already: their items must not become ours.
    const last = this.size === this.#buffer.length;
    if (!last) charge(this.size >> 4);
    const buffer = last ? this.#buffer : this.#buffer.slice(0, this.size);
    for (const item of Array.from(other)) buffer.push(item);
    return new GrowingList(buffer);
  }
}

export function concatLists(left: CelList, right: CelList): CelList {
  charge(right.size);
  const start: unknown = left;
  const list: unknown =
    start instanceof GrowingList ? start.plus(right) : new GrowingList([...left, ...right]);
  if (isCelList(list)) return list;
  throw new TypeError('the CEL library no longer knows its own markers');
}
