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

/**
 * `to_run`: how many tasks an execution runs. One that runs again what did not succeed in `rerun_of` has rows of those
 * tasks from the start, and `next_index` as that one had it, so that nothing else knows of re-runs.
 */
const RETRIES = `
ALTER TABLE executions ADD COLUMN to_run INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN rerun_of TEXT;
ALTER TABLE executions ADD COLUMN rerun_by TEXT;
ALTER TABLE executions ADD COLUMN deadline INTEGER;
ALTER TABLE executions ADD COLUMN halt_reason TEXT;
UPDATE executions SET to_run = task_count;
-- What has been halted or has ended leaves it.
CREATE INDEX executions_overdue ON executions (deadline)
  WHERE deadline IS NOT NULL AND halt_reason IS NULL AND cancel_request_time IS NULL AND completion_time IS NULL;
`;

/** Of an attempt as it was last measured; of an execution the sums over its attempts that ran and have ended. */
const USAGE = `
ALTER TABLE attempts ADD COLUMN wall_ms INTEGER;
ALTER TABLE attempts ADD COLUMN cpu_ms INTEGER;
ALTER TABLE attempts ADD COLUMN peak_memory INTEGER;
ALTER TABLE attempts ADD COLUMN measure_time INTEGER;
ALTER TABLE attempts ADD COLUMN pulled_bytes INTEGER;
ALTER TABLE executions ADD COLUMN used_attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN used_wall_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN used_wall_unknown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN used_cpu_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN used_cpu_unknown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN used_peak_memory INTEGER;
ALTER TABLE executions ADD COLUMN used_peak_unknown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN used_log_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN used_pulled_bytes INTEGER NOT NULL DEFAULT 0;
-- Nobody measured what ran before: that is not known, which is not nothing.
UPDATE executions SET (used_attempts, used_wall_unknown, used_cpu_unknown, used_peak_unknown, used_log_bytes) = (
  SELECT count(*), count(*), count(*), count(*), coalesce(sum(coalesce(log_stdout, 0) + coalesce(log_stderr, 0)), 0)
  FROM attempts WHERE execution = executions.seq AND start_time IS NOT NULL AND end_time IS NOT NULL);
`;

/**
 * `need_*`: what a task of the execution takes of a host, out of its spec. `turn`, only of executions that have not
 * started and whose job has a `max_concurrent`: 0 = it waits for one, 1 = it has one; else NULL.
 */
const ADMISSION = `
ALTER TABLE executions ADD COLUMN turn INTEGER;
ALTER TABLE executions ADD COLUMN need_memory INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN need_cpu INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN need_time INTEGER NOT NULL DEFAULT 0;
UPDATE executions SET (need_memory, need_cpu, need_time) = (
  SELECT spec ->> '$.memoryBytes', CAST(round((spec ->> '$.cpu') * 1000) AS INTEGER),
         (spec ->> '$.timeoutMs') + (spec ->> '$.gracePeriodMs')
  FROM execution_specs WHERE execution = executions.seq)
  WHERE completion_time IS NULL;
ALTER TABLE definitions ADD COLUMN max_concurrent INTEGER;
CREATE INDEX executions_without_turn ON executions (job) WHERE turn = 0;
CREATE INDEX executions_with_turn ON executions (job) WHERE turn = 1;
CREATE INDEX executions_ended ON executions (job) WHERE expire_time IS NOT NULL AND delete_time IS NULL;
-- By size, each in the order of claims: what could start, behind many that could not, and what is too large for a host.
CREATE INDEX executions_by_size ON executions (need_memory, need_cpu, need_time, running) WHERE claimable = 1;
CREATE INDEX executions_wide ON executions (need_cpu) WHERE claimable = 1 AND need_cpu > 1000;
CREATE INDEX executions_late ON executions (deadline) WHERE claimable = 1 AND deadline IS NOT NULL;
`;

/** `pulled_images`: what pruning may remove. A row is written where Tappet's own pull brought an image that was not there. */
const IMAGES = `
ALTER TABLE executions ADD COLUMN image_digest TEXT;
ALTER TABLE executions ADD COLUMN image_repo_digest TEXT;
CREATE TABLE pulled_images (
  engine TEXT NOT NULL,
  digest TEXT NOT NULL,
  name TEXT NOT NULL,
  use_time INTEGER NOT NULL,
  PRIMARY KEY (engine, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX pulled_images_by_use ON pulled_images (engine, use_time);
`;

/**
 * `digest`: of the data that came with the identity, where its sender may not use it again for other data. `answer`:
 * the decisions on its event, written when that is pruned before the identity is forgotten.
 */
const IDENTITIES = `
ALTER TABLE event_keys ADD COLUMN digest TEXT;
ALTER TABLE event_keys ADD COLUMN answer TEXT;
CREATE INDEX event_keys_answered ON event_keys (event_uid) WHERE answer IS NOT NULL;
`;

/**
 * `notifications`: what a receiver is still to be told, and for a while what it was told. `lane`: of what must not overtake
 * one another, the job; only the oldest of a lane has a `due_time`, which is the end of its lease while it is tried.
 * `notified_jobs`: how the last execution ended of jobs that have somebody told of failures, and of a failing one since when.
 */
const NOTIFICATIONS = `
CREATE TABLE notifications (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  receiver TEXT NOT NULL,
  kind TEXT NOT NULL,
  execution TEXT NOT NULL,
  job TEXT NOT NULL,
  lane TEXT,
  body TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  due_time INTEGER,
  end_time INTEGER,
  last_status INTEGER,
  last_error TEXT
) STRICT;
CREATE INDEX notifications_due ON notifications (receiver, due_time) WHERE due_time IS NOT NULL;
CREATE INDEX notifications_in_lane ON notifications (receiver, lane) WHERE lane IS NOT NULL AND end_time IS NULL;
CREATE INDEX notifications_by_execution ON notifications (execution);
CREATE INDEX notifications_by_receiver ON notifications (receiver);
CREATE INDEX notifications_by_state ON notifications (state);
CREATE INDEX notifications_ended ON notifications (state, end_time) WHERE end_time IS NOT NULL;
CREATE TABLE notified_jobs (
  job TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  execution TEXT NOT NULL,
  time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`;

/** What a task handed back, of a job with `output`. */
const OUTPUTS = `
ALTER TABLE attempts ADD COLUMN output TEXT;
`;

export interface Migration {
  readonly name: string;
  readonly sql: string;
}
export const MIGRATIONS: readonly Migration[] = [
  { name: 'spine', sql: SPINE },
  { name: 'retries', sql: RETRIES },
  { name: 'usage', sql: USAGE },
  { name: 'admission', sql: ADMISSION },
  { name: 'images', sql: IMAGES },
  { name: 'identities', sql: IDENTITIES },
  { name: 'notifications', sql: NOTIFICATIONS },
  { name: 'outputs', sql: OUTPUTS },
];

/**
 * Only adds: rows are read by position, with `*` last, and a process of the version before may still be running. A table
 * whose columns move would be mistaken by it without an error.
 *
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
