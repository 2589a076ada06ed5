import type { Document, Node, Pair, YAMLMap } from 'yaml';
import { isAlias, isMap, isScalar, isSeq } from 'yaml';

export type PathSegment = string | number;

/** Where things stand in a parsed text, as offsets into it. */
export class Positions {
  readonly #document: Document;
  /** A file may have ten thousand mistakes in one map. */
  readonly #pairs = new Map<YAMLMap, Map<string, Pair>>();

  constructor(document: Document) {
    this.#document = document;
  }

  /** At the value, at its key where that is asked for or the value is a map or a list, or as near as it comes. */
  offsetOf(path: readonly PathSegment[], at?: 'key'): number {
    let node: unknown = this.#document.contents;
    let offset = startOf(node) ?? 0;
    for (const [i, segment] of path.entries()) {
      const container = isAlias(node) ? node.resolve(this.#document) : node;
      if (isMap(container)) {
        const pair = this.#pairsOf(container).get(String(segment));
        if (pair === undefined) return offset;
        node = pair.value;
        const byKey = (at === 'key' && i === path.length - 1) || !isScalar(node) || node.value === null;
        offset = startOf(byKey ? pair.key : node) ?? offset;
      } else if (isSeq(container) && typeof segment === 'number') {
        node = container.items[segment];
        offset = startOf(node) ?? offset;
      } else return offset;
    }
    return offset;
  }

  /** Every name that stands in its map already. */
  *twins(): Iterable<{ readonly path: readonly PathSegment[]; readonly offset: number }> {
    yield* twinsIn(this.#document.contents, []);
  }

  #pairsOf(map: YAMLMap): Map<string, Pair> {
    let pairs = this.#pairs.get(map);
    if (pairs === undefined) {
      pairs = new Map(map.items.map((pair) => [keyText(pair), pair]));
      this.#pairs.set(map, pairs);
    }
    return pairs;
  }
}

function* twinsIn(
  node: unknown,
  path: readonly PathSegment[],
): Iterable<{ readonly path: readonly PathSegment[]; readonly offset: number }> {
  if (isSeq(node)) {
    for (const [i, item] of node.items.entries()) yield* twinsIn(item, [...path, i]);
  }
  if (!isMap(node)) return;
  const seen = new Set<string>();
  for (const pair of node.items) {
    const name = keyText(pair);
    const at = [...path, name];
    if (seen.has(name)) yield { path: at, offset: startOf(pair.key) ?? 0 };
    seen.add(name);
    yield* twinsIn(pair.value, at);
  }
}

function keyText(pair: Pair): string {
  return String(isScalar(pair.key) ? pair.key.value : pair.key);
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function isNode(node: unknown): node is Node {
  return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node);
}
