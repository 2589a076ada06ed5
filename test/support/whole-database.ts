import { execFileSync } from 'node:child_process';

/** Python's own SQLite reads: the reader must not be the writer's library. */
const READ = `
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(json.dumps([db.execute(query).fetchall() for query in json.load(sys.stdin)]))
`;

type Row = readonly (string | number | null)[];

/** The rows of each query, of a database that nobody writes to. Errors: a query fails. */
export function askDatabase(path: string, queries: readonly string[]): Row[][] {
  const out = execFileSync('python3', ['-c', READ, path], {
    input: JSON.stringify(queries),
    maxBuffer: 1 << 28,
  });
  return JSON.parse(out.toString()) as Row[][];
}

/** Each gives what is there without that which it needs, or says something else than what is there. */
const FAULTS: Readonly<Record<string, string>> = {
  'a damaged page': "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
  'a row without the one it belongs to': 'SELECT "table", rowid, parent FROM pragma_foreign_key_check',
  'an execution without its spec':
    'SELECT name FROM executions WHERE seq NOT IN (SELECT execution FROM execution_specs)',
  'an execution without its event':
    'SELECT name FROM executions WHERE event_uid IS NOT NULL AND event_uid NOT IN (SELECT uid FROM events)',
  'an identity without its event':
    'SELECT id FROM event_keys WHERE answer IS NULL AND event_uid NOT IN (SELECT uid FROM events)',
  'an event that counts its executions wrongly':
    'SELECT uid, holds FROM events WHERE holds <> (SELECT count(*) FROM executions WHERE event_uid = events.uid)',
  'an execution that counts its running tasks wrongly':
    'SELECT name, running FROM executions WHERE running <> (SELECT count(*) FROM attempts WHERE execution = seq AND end_time IS NULL)',
  'an end with an attempt that runs on':
    'SELECT name FROM executions JOIN attempts ON execution = seq WHERE completion_time IS NOT NULL AND end_time IS NULL',
};

/** What is not as it has to be, in words; empty where all is whole. `more`: as FAULTS. */
export function databaseFaults(path: string, more: Readonly<Record<string, string>> = {}): string[] {
  const faults = Object.entries({ ...FAULTS, ...more });
  const found = askDatabase(
    path,
    faults.map(([, query]) => query),
  );
  return faults.flatMap(([what], i) => (found[i] ?? []).map((row) => `${what}: ${row.join(' ')}`));
}
