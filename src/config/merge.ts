import type { Json } from '../core/json.ts';
import { suggest } from '../lib/nearest.ts';
import type { ConfigFiles } from './documents.ts';
import type { Problems, Report } from './problems.ts';
import { placeText } from './problems.ts';
import { isMap } from './raw.ts';

const MAPS = ['issuers', 'connections', 'notifications', 'jobs', 'triggers'] as const;
const KNOWN = ['$schema', 'server', ...MAPS];

type Section = (typeof MAPS)[number];

/** A job, a trigger, an issuer, a connection or the server as it was written, with where to report what is wrong with it. */
export interface Entry {
  readonly name: string;
  readonly path: readonly string[];
  readonly value: Json;
  readonly report: Report;
}

/** The union of all files. What stands twice is in here twice, so that the mistakes in both are told. */
export interface Merged {
  readonly server: readonly Entry[];
  readonly issuers: readonly Entry[];
  readonly connections: readonly Entry[];
  readonly notifications: readonly Entry[];
  readonly jobs: readonly Entry[];
  readonly triggers: readonly Entry[];
  /** As written, also those with errors; undefined = not all are known, as a part could not be read. */
  readonly jobNames: ReadonlySet<string> | undefined;
  readonly issuerNames: ReadonlySet<string> | undefined;
  readonly connectionNames: ReadonlySet<string> | undefined;
  readonly receiverNames: ReadonlySet<string> | undefined;
}

/** Puts the files together; a name that stands in two of them is an error that names both places. */
export function mergeDocuments({ documents, complete }: ConfigFiles, problems: Problems): Merged {
  const entries: Record<Section | 'server', Entry[]> = {
    server: [],
    issuers: [],
    connections: [],
    notifications: [],
    jobs: [],
    triggers: [],
  };
  const unread = new Set<Section>(complete ? [] : MAPS);
  for (const document of documents) {
    const report = problems.in(document);
    const top = document.value;
    if (!isMap(top)) {
      report.add([], 'must be a map with "jobs" and "triggers"');
      for (const section of MAPS) unread.add(section);
      continue;
    }
    for (const key of Object.keys(top)) checkKey(key, report);
    const server = top['server'];
    if (server !== undefined)
      entries.server.push({ name: 'server', path: ['server'], value: server, report });
    for (const section of MAPS) {
      const found = entriesOf(section, top[section], report);
      if (found === undefined) unread.add(section);
      else entries[section].push(...found);
    }
  }
  for (const section of Object.values(entries)) reportTwice(section);
  const namesOf = (section: Section): ReadonlySet<string> | undefined =>
    unread.has(section) ? undefined : new Set(entries[section].map(({ name }) => name));
  return {
    ...entries,
    jobNames: namesOf('jobs'),
    issuerNames: namesOf('issuers'),
    connectionNames: namesOf('connections'),
    receiverNames: namesOf('notifications'),
  };
}

function checkKey(key: string, report: Report): void {
  if (KNOWN.includes(key)) return;
  report.addKey([key], `unknown key "${key}": ${suggest(key, KNOWN.slice(1))}`);
}

function entriesOf(section: Section, values: Json | undefined, report: Report): Entry[] | undefined {
  // A section whose entries are all commented out is null in YAML.
  if (values === undefined || values === null) return [];
  if (isMap(values))
    return Object.entries(values).map(([name, value]) => ({ name, path: [section, name], value, report }));
  report.add([section], 'must be a map from name to settings');
  return undefined;
}

/** Of two entries of one name, the second is told where the first stands. */
function reportTwice(entries: readonly Entry[]): void {
  const owners = new Map<string, Entry>();
  for (const entry of entries) {
    const first = owners.get(entry.name);
    if (first === undefined) owners.set(entry.name, entry);
    else {
      const there = placeText(first.report.place(first.path, 'key'));
      entry.report.addKey(entry.path, `stands in ${there} already: remove or rename one of both`);
    }
  }
}
