import { parse } from 'yaml';
import type { Json, JsonObject } from '../core/json.ts';

/** Deeper is no configuration; the reader calls itself. */
const MAX_DEPTH = 30;
/** Tabs, carriage returns and whatever a parser may take for a break or a blank. */
const UNUSUAL = /[^\n\x20-\x7e\u00a1-\u167f\u3001-\ud7ff]/;
const ENTRY = /^([A-Za-z_][\w./-]{0,200}|"[^"\\]{0,200}"|'[^']{0,200}'):(?: +((?:[^ ].*)?))?$/;
const DOUBLE_QUOTED = /^("(?:[^"\\]|\\["\\/bfnrt])*")(?: +#.*)?$/;
const SINGLE_QUOTED = /^'((?:[^']|'')*)'(?: +#.*)?$/;
const PLAIN = /^(?:[A-Za-z0-9_$/(+~]|[-.][A-Za-z0-9]|\.\.?\/)/;
/** Plain words that may be a number, null, true or false. */
const MAY_BE_OTHER = /^(?:[-+]?[.\d]\S*|~|null|true|false)$/i;

interface Line {
  readonly indent: number;
  readonly text: string;
}

/**
 * The value of a YAML text in its plainest form: maps and lists by indentation, texts on one line, comments. Undefined
 * for anything else (flow collections, anchors, block texts, mistakes): that is for the whole parser, which needs
 * twenty times as long.
 */
export function quickYaml(text: string): Json | undefined {
  if (UNUSUAL.test(text)) return undefined;
  try {
    return new Reader(text).read();
  } catch (error) {
    if (error instanceof NotPlain) return undefined;
    throw error;
  }
}

class NotPlain extends Error {}

class Reader {
  readonly #lines: Line[] = [];
  readonly #others = new Map<string, Json>();
  #at = 0;

  constructor(text: string) {
    for (const line of text.replace(/^---\n/, '').split('\n')) {
      const written = line.trimStart();
      if (written !== '' && !written.startsWith('#'))
        this.#lines.push({ indent: line.length - written.length, text: written.trimEnd() });
    }
  }

  read(): Json {
    const value = this.#block(0, 0);
    return this.#at === this.#lines.length ? value : notPlain();
  }

  /** What begins at the next line, whose indent is `indent`. */
  #block(indent: number, depth: number): Json {
    const next = this.#lines[this.#at];
    if (next === undefined || next.indent !== indent || depth > MAX_DEPTH) return notPlain();
    return isItem(next) ? this.#list(indent, depth) : this.#map(indent, depth);
  }

  #map(indent: number, depth: number): JsonObject {
    const map: JsonObject = {};
    for (;;) {
      const line = this.#lines[this.#at];
      if (line === undefined || line.indent < indent) return map;
      const [, key = '', rest] = ENTRY.exec(line.text) ?? notPlain();
      const name = nameOf(key);
      if (line.indent > indent || Object.hasOwn(map, name)) return notPlain();
      this.#at++;
      map[name] = this.#value(rest ?? '', indent, depth, true);
    }
  }

  #list(indent: number, depth: number): Json[] {
    const list: Json[] = [];
    for (;;) {
      const line = this.#lines[this.#at];
      if (line === undefined || line.indent < indent || !isItem(line)) return list;
      if (line.indent > indent) return notPlain();
      const rest = line.text.slice(1).trimStart();
      const inner = { indent: indent + line.text.length - rest.length, text: rest };
      if (isItem(inner) || ENTRY.test(rest)) {
        // A map or list that begins on the line of its dash, as if it had a line of its own.
        this.#lines[this.#at] = inner;
        list.push(this.#block(inner.indent, depth + 1));
      } else {
        this.#at++;
        list.push(this.#value(rest, indent, depth, false));
      }
    }
  }

  /** `inMap`: there a list may stand at the indent of its name. */
  #value(rest: string, indent: number, depth: number, inMap: boolean): Json {
    const next = this.#lines[this.#at];
    const nested = next !== undefined && next.indent > indent;
    if (rest === '' || rest.startsWith('#')) {
      if (nested) return this.#block(next.indent, depth + 1);
      return inMap && next?.indent === indent && isItem(next) ? this.#list(indent, depth + 1) : null;
    }
    // The text goes on in the next line.
    if (nested) return notPlain();
    return this.#scalar(rest);
  }

  #scalar(rest: string): Json {
    const [, double] = DOUBLE_QUOTED.exec(rest) ?? [];
    if (double !== undefined) return String(JSON.parse(double));
    const [, single] = SINGLE_QUOTED.exec(rest) ?? [];
    if (single !== undefined) return single.replaceAll("''", "'");
    if (rest === '{}') return {};
    if (rest === '[]') return [];
    const comment = rest.indexOf(' #');
    const text = comment === -1 ? rest : rest.slice(0, comment).trimEnd();
    if (!PLAIN.test(text) || text.includes(': ') || text.endsWith(':')) return notPlain();
    return MAY_BE_OTHER.test(text) ? this.#other(text) : text;
  }

  /** Numbers and the like by the parser itself, so that there is one rule for them. */
  #other(text: string): Json {
    const known = this.#others.get(text);
    if (known !== undefined) return known;
    const value: Json = parse(text);
    this.#others.set(text, value);
    return value;
  }
}

const isItem = ({ text }: Line): boolean => text === '-' || text.startsWith('- ');

function nameOf(key: string): string {
  const name = /^["']/.test(key) ? key.slice(1, -1) : key;
  return name === '__proto__' || MAY_BE_OTHER.test(key) ? notPlain() : name;
}

function notPlain(): never {
  throw new NotPlain();
}
