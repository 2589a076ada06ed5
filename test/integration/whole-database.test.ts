import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { migratedBytes } from '../support/migrated.ts';
import { addOldExecutions } from '../../bench/old-executions.mjs';
import { tempFolder } from '../support/temp-folder.ts';
import { databaseFaults } from '../support/whole-database.ts';

/** What the tests of a full disk and of retention judge a database by must see each half of a row. */
it.each([
  ['a row without the one it belongs to', 'DELETE FROM tasks WHERE idx = 1'],
  ['an execution without its spec', 'DELETE FROM execution_specs WHERE execution = 1'],
  ['an execution without its event', "DELETE FROM events WHERE uid = 'old-event-1'"],
  ['an identity without its event', "DELETE FROM events WHERE uid = 'old-event-1'"],
  ['an event that counts its executions wrongly', 'UPDATE events SET holds = holds - 1'],
  ['an execution that counts its running tasks wrongly', 'UPDATE executions SET running = 1'],
  ['an end with an attempt that runs on', 'UPDATE attempts SET end_time = NULL'],
])('%s is seen, and of a whole database nothing is said', (what, damage) => {
  const dir = tempFolder();
  const path = join(dir, 'tappet.db');
  writeFileSync(path, migratedBytes());
  mkdirSync(join(dir, 'logs'));
  addOldExecutions(dir, 8, { shapeOf: (i) => ({ tasks: 1 + (i % 2), event: i % 3 }) });
  expect(databaseFaults(path)).toEqual([]);
  const db = new Database(path);
  db.pragma('foreign_keys = OFF');
  expect(db.prepare(damage).run().changes).toBeGreaterThan(0);
  db.close();
  expect(databaseFaults(path).join('\n')).toContain(what);
});
