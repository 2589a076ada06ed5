import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import type { Document, YAMLError } from 'yaml';
import { errorText, TappetError } from '../core/errors.ts';
import { blankJsonComments } from '../lib/json-comments.ts';
import { pathText } from '../lib/path-text.ts';
import type { PathSegment } from './positions.ts';
import { Positions } from './positions.ts';
import type { Place, Problems } from './problems.ts';
import { quickJson } from './quick-json.ts';
import { quickYaml } from './quick-yaml.ts';

const MAX_FILE_BYTES = 16 * 1024 * 1024;
const EXTENSIONS = /\.(json|ya?ml)$/i;
/** A schema beside the configuration is for editors. */
const NOT_CONFIG = /\.schema\.json$/i;

/** One parsed file. */
export interface ConfigDocument {
  /** As the user would write it. */
  readonly file: string;
  readonly value: unknown;
  /** Where a path stands: at its value, at its key where that is asked for or the value is a map or a list, or as near as it comes. */
  place(path: readonly PathSegment[], at?: 'key'): Place;
}

export interface ConfigFiles {
  /** Absolute; relative paths in the configuration start here. */
  readonly folder: string;
  readonly documents: readonly ConfigDocument[];
  /** Whether all files could be parsed: else a name that is missed may stand in one that could not. */
  readonly complete: boolean;
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
  const folder = resolve(info.isDirectory() ? path : dirname(path));
  return { folder, documents, complete: documents.length === files.length };
}

/** Whether a file of this name in a folder is part of the configuration. */
export function isConfigName(name: string): boolean {
  return EXTENSIONS.test(name) && !NOT_CONFIG.test(name) && !name.startsWith('.');
}

async function filesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw unreadable(folder, error);
  });
  const files = names.filter(isConfigName).sort();
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

/** Most files are right and plain: the parser that knows places looks at a file only when a place is asked for. */
function parseFile(file: string, text: string, problems: Problems): ConfigDocument | undefined {
  const isJson = /\.json$/i.test(file);
  const value = isJson ? quickJson(text) : quickYaml(text);
  if (value === undefined) return parseWithPlaces(file, text, isJson, problems);
  let located: Located | undefined;
  const place: ConfigDocument['place'] = (path, at) => {
    located ??= locate(file, text, isJson);
    return located.place(path, at);
  };
  return { file, value, place };
}

function parseWithPlaces(
  file: string,
  text: string,
  isJson: boolean,
  problems: Problems,
): ConfigDocument | undefined {
  const { document, positions, place, placeAt } = locate(file, text, isJson);
  for (const { path, offset } of positions.twins()) {
    const message = 'this name stands twice here: remove or rename one of both';
    problems.addAt(placeAt(offset), pathText(path), message);
  }
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
  return { file, value, place };
}

interface Located {
  readonly document: Document;
  readonly positions: Positions;
  readonly place: ConfigDocument['place'];
  readonly placeAt: (offset: number) => Place;
}

function locate(file: string, text: string, isJson: boolean): Located {
  const lines = new LineCounter();
  const document = parseDocument(isJson ? blankJsonComments(text) : text, {
    lineCounter: lines,
    prettyErrors: false,
    version: '1.2',
    // Told as `twins` instead: as a fault of the file they would hide every other mistake in it.
    uniqueKeys: false,
  });
  const positions = new Positions(document);
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col };
  };
  return { document, positions, placeAt, place: (path, at) => placeAt(positions.offsetOf(path, at)) };
}

function toValue(document: Document): unknown {
  try {
    // More aliases than this are an attack ("billion laughs"), not a configuration.
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return new Error(errorText(error));
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
