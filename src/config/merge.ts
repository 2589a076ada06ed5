import type { Json, JsonObject } from '../core/json.ts';
import { suggest } from '../lib/nearest.ts';
import type { ConfigDocument, PathSegment } from './documents.ts';
import type { Place, Problems } from './problems.ts';
import { placeText } from './problems.ts';

const MAPS = ['issuers', 'jobs', 'triggers'] as const;
const KNOWN = ['$schema', 'server', ...MAPS];

/** The union of all files. */
export interface Merged {
  readonly server: Json | undefined;
  readonly issuers: JsonObject;
  readonly jobs: JsonObject;
  readonly triggers: JsonObject;
}

/** Puts the files together; a name that stands in two of them is an error that names both places. */
export function mergeDocuments(documents: readonly ConfigDocument[], problems: Problems): Merged {
  problems.locateWith((path, at) => locate(documents, path, at));
  const merged = { server: undefined as Json | undefined, issuers: {}, jobs: {}, triggers: {} };
  const owners = new Map<string, Place>();
  for (const document of documents) {
    const top = document.value;
    if (!isObject(top)) {
      problems.addAt(document.place([]), '', 'must be a map with "jobs" and "triggers"');
      continue;
    }
    for (const key of Object.keys(top)) checkKey(key, document, problems);
    if (top['server'] !== undefined && owned(document, ['server'], owners, problems))
      merged.server = top['server'];
    for (const section of MAPS)
      addSection(section, top[section], merged[section], document, owners, problems);
  }
  return merged;
}

function checkKey(key: string, document: ConfigDocument, problems: Problems): void {
  if (KNOWN.includes(key)) return;
  problems.addAt(document.place([key], 'key'), key, `unknown key "${key}": ${suggest(key, KNOWN.slice(1))}`);
}

function addSection(
  section: (typeof MAPS)[number],
  values: Json | undefined,
  into: JsonObject,
  document: ConfigDocument,
  owners: Map<string, Place>,
  problems: Problems,
): void {
  // A section whose entries are all commented out is null in YAML.
  if (values === undefined || values === null) return;
  if (!isObject(values)) {
    problems.addAt(document.place([section]), section, 'must be a map from name to settings');
    return;
  }
  for (const [name, value] of Object.entries(values)) {
    if (owned(document, [section, name], owners, problems)) into[name] = value;
  }
}

/** Whether this file is the first to have it; the second is told where the first stands. */
function owned(
  document: ConfigDocument,
  path: string[],
  owners: Map<string, Place>,
  problems: Problems,
): boolean {
  const key = path.join('.');
  const first = owners.get(key);
  const place = document.place(path, 'key');
  if (first === undefined) owners.set(key, place);
  else problems.addAt(place, key, `stands in ${placeText(first)} already: remove or rename one of both`);
  return first === undefined;
}

function locate(documents: readonly ConfigDocument[], path: readonly PathSegment[], at?: 'key'): Place {
  for (let length = Math.min(2, path.length); length > 0; length--) {
    const document = documents.find((candidate) => candidate.has(path.slice(0, length)));
    if (document !== undefined) return document.place(path, at);
  }
  return documents[0]?.place([]) ?? { file: '', line: 1, column: 1 };
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
