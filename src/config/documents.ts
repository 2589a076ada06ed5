import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Document, Node, Pair, YAMLError } from 'yaml';
import { errorText, TappetError } from '../core/errors.ts';
import { blankJsonComments } from '../lib/json-comments.ts';
import { pathText } from './problems.ts';
import type { Place, Problems } from './problems.ts';

const MAX_FILE_BYTES = 16 * 1024 * 1024;
const EXTENSIONS = /\.(json|ya?ml)$/i;
/** A schema beside the configuration is for editors. */
const NOT_CONFIG = /\.schema\.json$/i;

export type PathSegment = string | number;

/** One parsed file. */
export interface ConfigDocument {
  /** As the user would write it. */
  readonly file: string;
  readonly value: unknown;
  /** Where a path stands: at its value, at its key where that is asked for or the value is a map or a list, or as near as it comes. */
  place(path: readonly PathSegment[], at?: 'key'): Place;
  has(path: readonly PathSegment[]): boolean;
}

export interface ConfigFiles {
  /** Absolute; relative paths in the configuration start here. */
  readonly folder: string;
  readonly documents: readonly ConfigDocument[];
}

/**
 * Reads a file, or every `*.json`, `*.yaml` and `*.yml` of a folder in the order of their names. What cannot be
 * parsed goes to `problems`. Errors: CONFIG_INVALID where nothing can be read at all.
 */
export async function readDocuments(path: string, problems: Problems): Promise<ConfigFiles> {
  const info = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  const files = info.isDirectory() ? await filesOf(path) : [path];
  const documents: ConfigDocument[] = [];
  for (const file of files) {
    const document = parseFile(file, await readText(file), problems);
    if (document !== undefined) documents.push(document);
  }
  return { folder: resolve(info.isDirectory() ? path : dirname(path)), documents };
}

async function filesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw unreadable(folder, error);
  });
  const files = names
    .filter((name) => EXTENSIONS.test(name) && !NOT_CONFIG.test(name) && !name.startsWith('.'))
    .sort();
  if (files.length === 0) throw invalid(`${folder}: the folder holds no *.json, *.yaml or *.yml file`);
  return files.map((name) => join(folder, name));
}

async function readText(file: string): Promise<string> {
  try {
    const info = await stat(file);
    if (!info.isFile()) throw invalid(`${file}: this is not a file`);
    if (info.size > MAX_FILE_BYTES) throw invalid(`${file}: larger than 16 MiB`);
    return (await readFile(file, 'utf8')).replace(/^\uFEFF/, '');
  } catch (error) {
    if (error instanceof TappetError) throw error;
    throw unreadable(file, error);
  }
}

function invalid(message: string, cause?: unknown): TappetError {
  return new TappetError('CONFIG_INVALID', message, { errors: [] }, cause);
}

function unreadable(path: string, error: unknown): TappetError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT')
    return invalid(`${path}: there is no such file or folder; name one with --config`, error);
  if (code === 'EACCES') return invalid(`${path}: this user may not read it`, error);
  return invalid(`${path}: it cannot be read (${errorText(error)})`, error);
}

function parseFile(file: string, text: string, problems: Problems): ConfigDocument | undefined {
  const isJson = /\.json$/i.test(file);
  const lines = new LineCounter();
  const source = isJson ? blankJsonComments(text) : text;
  const document = parseDocument(source, {
    lineCounter: lines,
    prettyErrors: false,
    version: '1.2',
    // Found by `reportTwins` instead: as a fault of the file they would hide every other mistake in it.
    uniqueKeys: false,
  });
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col };
  };
  reportTwins(document.contents, [], (path, key) => {
    const offset = startOf(key) ?? 0;
    problems.addAt(
      placeAt(offset),
      pathText(path),
      'this name stands twice here: remove or rename one of both',
    );
  });
  // What else a parser finds after a slip mostly comes from it.
  const [slip] = [...document.errors].sort((a, b) => a.pos[0] - b.pos[0]);
  if (slip !== undefined) {
    problems.addAt(placeAt(slip.pos[0]), '', syntaxMessage(slip, isJson));
    return undefined;
  }
  const value = toValue(document);
  if (value instanceof Error) {
    problems.addAt(placeAt(0), '', value.message);
    return undefined;
  }
  return {
    file,
    value,
    place: (path, at) => placeAt(offsetOf(document, path, at === 'key')),
    has: (path) => document.hasIn(path),
  };
}

function toValue(document: Document): unknown {
  try {
    // More aliases than this are an attack ("billion laughs"), not a configuration.
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return new Error(errorText(error));
  }
}

/** Calls `report` for every name that stands in its map already. */
function reportTwins(
  node: unknown,
  path: readonly PathSegment[],
  report: (path: readonly PathSegment[], key: unknown) => void,
): void {
  if (isSeq(node)) {
    for (const [i, item] of node.items.entries()) reportTwins(item, [...path, i], report);
  }
  if (!isMap(node)) return;
  const seen = new Set<string>();
  for (const pair of node.items) {
    const name = keyText(pair);
    if (seen.has(name)) report([...path, name], pair.key);
    seen.add(name);
    reportTwins(pair.value, [...path, name], report);
  }
}

/** For what a writer gets wrong most; the parser's own words for the rest. */
const SLIPS: Readonly<Partial<Record<YAMLError['code'], string>>> = {
  MULTIPLE_DOCS: 'a second document begins here: remove the line "---", or make it a file of its own',
  TAB_AS_INDENT: 'a tab stands here: indent with spaces',
  BLOCK_AS_IMPLICIT_KEY:
    'a "key: value" stands within the value of another: put it on its own line, or in quotes',
  MULTILINE_IMPLICIT_KEY:
    'this is neither a value nor "key: value": a ":" is missing, or the line is indented wrongly',
  BAD_ALIAS: 'this "*name" or "&name" is not complete: put it in quotes if it is a text',
  BAD_SCALAR_START: 'a text cannot begin with this character: put it in quotes',
  BAD_DQ_ESCAPE: 'there is no such "\\" escape: write "\\\\" for the character itself',
};

function syntaxMessage({ code, message }: YAMLError, isJson: boolean): string {
  const not = `this is not valid ${isJson ? 'JSON' : 'YAML'}`;
  if (isJson && code === 'BLOCK_IN_FLOW') return `${not}: a comma is missing before it`;
  const open = /end with a ([}\]])/.exec(message)?.[1];
  if (open !== undefined) return `${not}: a "${open}" is missing before it`;
  if (message.startsWith('Missing closing')) return `${not}: a quote is opened and never closed`;
  return `${not}: ${SLIPS[code] ?? message}`;
}

/** The offset to point at for a path; 0 where the document is empty. */
function offsetOf(document: Document, path: readonly PathSegment[], atKey: boolean): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [i, segment] of path.entries()) {
    const container = isAlias(node) ? node.resolve(document) : node;
    if (isMap(container)) {
      const pair = container.items.findLast((item) => keyText(item) === String(segment));
      if (pair === undefined) return offset;
      node = pair.value;
      const byKey = (atKey && i === path.length - 1) || !isScalar(node) || node.value === null;
      const at = startOf(byKey ? pair.key : node);
      offset = at ?? offset;
    } else if (isSeq(container) && typeof segment === 'number') {
      node = container.items[segment];
      offset = startOf(node) ?? offset;
    } else return offset;
  }
  return offset;
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
