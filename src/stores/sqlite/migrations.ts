import { TappetError } from '../../core/errors.ts';
import type { Db } from './db.ts';

/**
 * Forward only, each once, in order; a released one is never edited. `user_version` says how many were applied.
 * Every table is STRICT, so that a row type in `rows.ts` is what a row is. Times are epoch milliseconds.
 *
 * `seq` is the order of arrival and the rowid: an index on `(type)` is therefore one on `(type, seq)`.
 * What a list page needs stands in an index; what never changes after the insert stands apart from what does
 * (`execution_specs`), because an update rewrites its whole row.
 */
const SPINE = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE sequences (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO sequences VALUES ('state', 0);

CREATE TABLE events (
  seq INTEGER PRIMARY KEY,
  uid TEXT NOT NULL UNIQUE,
  origin TEXT NOT NULL,
  trigger_name TEXT,
  type TEXT NOT NULL,
  receive_time INTEGER NOT NULL,
  decide_time INTEGER,
  duplicates INTEGER NOT NULL DEFAULT 0,
  holds INTEGER NOT NULL DEFAULT 0,
  claims TEXT,
  verdict TEXT,
  envelope TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_origin ON events (origin);
CREATE INDEX events_by_trigger ON events (trigger_name) WHERE trigger_name IS NOT NULL;
CREATE INDEX events_by_type ON events (type);
CREATE INDEX events_undecided ON events (seq) WHERE decide_time IS NULL;
CREATE INDEX events_prunable ON events (receive_time) WHERE decide_time IS NOT NULL AND holds = 0;

CREATE TABLE event_keys (
  origin TEXT NOT NULL,
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  event_uid TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (origin, source, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_keys_expiry ON event_keys (expires_at);

CREATE TABLE source_state (
  origin TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  version INTEGER NOT NULL,
  expires_at INTEGER,
  PRIMARY KEY (origin, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX source_state_expiry ON source_state (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE decisions (
  event_seq INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
  trigger_name TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT NOT NULL,
  clause TEXT,
  read_values TEXT,
  execution TEXT,
  decide_time INTEGER NOT NULL,
  PRIMARY KEY (event_seq, trigger_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX decisions_by_trigger ON decisions (trigger_name, event_seq);

CREATE TABLE definitions (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  etag TEXT NOT NULL,
  uid TEXT NOT NULL,
  generation INTEGER NOT NULL,
  creator TEXT NOT NULL,
  create_time INTEGER NOT NULL,
  update_time INTEGER NOT NULL,
  delete_time INTEGER,
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE owners (
  owner TEXT PRIMARY KEY,
  lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE engines (
  engine TEXT PRIMARY KEY,
  owner TEXT,
  epoch INTEGER NOT NULL,
  lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE executions (
  seq INTEGER PRIMARY KEY,
  uid TEXT NOT NULL,
  name TEXT NOT NULL UNIQUE,
  job TEXT NOT NULL,
  job_generation INTEGER NOT NULL,
  cause_kind TEXT NOT NULL,
  event_uid TEXT,
  trigger_name TEXT,
  principal TEXT,
  task_count INTEGER NOT NULL,
  parallelism INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  message TEXT,
  running INTEGER NOT NULL DEFAULT 0,
  succeeded INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  cancelled INTEGER NOT NULL DEFAULT 0,
  retried INTEGER NOT NULL DEFAULT 0,
  next_index INTEGER NOT NULL DEFAULT 0,
  claimable INTEGER NOT NULL,
  wake_time INTEGER,
  fail_reason TEXT,
  fail_message TEXT,
  cancel_by TEXT,
  create_time INTEGER NOT NULL,
  update_time INTEGER NOT NULL,
  start_time INTEGER,
  completion_time INTEGER,
  cancel_request_time INTEGER,
  delete_time INTEGER,
  expire_time INTEGER,
  version INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE INDEX executions_by_job ON executions (job);
CREATE INDEX executions_by_job_state ON executions (job, state);
CREATE INDEX executions_by_state ON executions (state);
CREATE INDEX executions_by_trigger ON executions (trigger_name) WHERE trigger_name IS NOT NULL;
CREATE INDEX executions_by_event ON executions (event_uid) WHERE event_uid IS NOT NULL;
CREATE INDEX executions_claimable ON executions (running) WHERE claimable = 1;
CREATE INDEX executions_waking ON executions (wake_time) WHERE wake_time IS NOT NULL;
CREATE INDEX executions_expiring ON executions (expire_time) WHERE expire_time IS NOT NULL;

CREATE TABLE execution_specs (
  execution INTEGER PRIMARY KEY REFERENCES executions (seq) ON DELETE CASCADE,
  spec TEXT NOT NULL,
  context TEXT NOT NULL,
  labels TEXT NOT NULL
) STRICT;

CREATE TABLE tasks (
  execution INTEGER NOT NULL REFERENCES executions (seq) ON DELETE CASCADE,
  idx INTEGER NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  retries INTEGER NOT NULL,
  infra_failures INTEGER NOT NULL,
  not_before INTEGER,
  start_time INTEGER,
  completion_time INTEGER,
  message TEXT,
  PRIMARY KEY (execution, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_waiting ON tasks (execution, not_before) WHERE state = 'PENDING';

CREATE TABLE attempts (
  execution INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  state TEXT NOT NULL,
  container_name TEXT NOT NULL,
  engine TEXT NOT NULL,
  owner TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  start_time INTEGER,
  deadline INTEGER,
  stop_reason TEXT,
  stop_request_time INTEGER,
  end_time INTEGER,
  reason TEXT,
  message TEXT,
  exit_code INTEGER,
  signal TEXT,
  image_digest TEXT,
  rendered TEXT,
  log_stdout INTEGER,
  log_stderr INTEGER,
  PRIMARY KEY (execution, idx, attempt),
  FOREIGN KEY (execution, idx) REFERENCES tasks (execution, idx) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
-- Unique: the last guard against two containers of one task at a time.
CREATE UNIQUE INDEX attempts_open ON attempts (execution, idx) WHERE end_time IS NULL;
`;

export interface Migration {
  readonly name: string;
  readonly sql: string;
}
export const MIGRATIONS: readonly Migration[] = [{ name: 'spine', sql: SPINE }];

/**
 * Brings the schema forward in one transaction, so that a crash leaves the old schema or the new one.
 * Errors: DATA_FOLDER_UNUSABLE where the file is a newer Tappet's; SQLite's own, SQLITE_BUSY among them.
 */
export function migrate(db: Db, path: string, migrations: readonly Migration[] = MIGRATIONS): void {
  if (schemaVersion(db, path, migrations.length) === migrations.length) return;
  db.run('BEGIN IMMEDIATE');
  try {
    // Asked again under the lock: another process may have migrated since.
    const from = schemaVersion(db, path, migrations.length);
    for (const migration of migrations.slice(from)) db.exec(migration.sql);
    db.exec(`PRAGMA user_version = ${migrations.length}`);
    db.run('COMMIT');
  } catch (error) {
    db.rollback();
    throw error;
  }
}

function schemaVersion(db: Db, path: string, known: number): number {
  const version = db.get<{ user_version: number }>('PRAGMA user_version')?.user_version ?? 0;
  if (version <= known) return version;
  throw new TappetError(
    'DATA_FOLDER_UNUSABLE',
    `The database ${path} was written by a newer Tappet (its schema is ${version}, this version knows ${known}).`,
    { path, fix: 'Start that newer version, or restore a backup that was made before the upgrade.' },
  );
}
