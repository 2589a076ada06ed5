import { isTerminal } from '../../core/states.ts';
import type { PruneResult } from '../../core/store.ts';
import type { Tx } from './db.ts';
import { findExecution, saveExecution } from './executions.ts';

/** Executions and tasks that one transaction removes, each with its attempts: some 0.1 ms each, for which others wait. */
const TASKS_AT_A_TIME = 25;

interface Prunable {
  readonly seq: number;
  readonly next_index: number;
  readonly event_uid: string | null;
}

interface PrunableEvent {
  readonly seq: number;
  readonly uid: string;
  readonly origin: string;
  readonly source: string;
  readonly id: string;
}

export function deleteExecution(tx: Tx, name: string): 'deleted' | 'running' | undefined {
  const execution = findExecution(tx, name);
  if (execution === undefined || execution.delete_time !== null) return undefined;
  if (!isTerminal(execution.state)) return 'running';
  execution.delete_time = tx.now;
  // Before any retention's end, and before any clock that goes back.
  execution.expire_time = 0;
  saveExecution(tx, execution);
  return 'deleted';
}

export function expiredExecutions(tx: Tx, limit: number): string[] {
  return tx.db
    .all<{ name: string }>(
      'SELECT name FROM executions WHERE expire_time <= ? ORDER BY expire_time, seq LIMIT ?+0',
      tx.now,
      limit,
    )
    .map(({ name }) => name);
}

/** Newest first. */
export function surplusExecutions(tx: Tx, job: string, keep: number, limit: number): string[] {
  return tx.db
    .all<{ name: string }>(
      `SELECT name FROM executions WHERE job = ? AND expire_time IS NOT NULL AND delete_time IS NULL
       ORDER BY seq DESC LIMIT ?+0 OFFSET ?`,
      job,
      limit,
      keep,
    )
    .map(({ name }) => name);
}

/** Never one that has not ended. Its event may be pruned afterwards, if no other execution names that. */
export function pruneExecutions(tx: Tx, names: readonly string[]): PruneResult {
  let room = TASKS_AT_A_TIME;
  let removed = 0;
  for (const name of names) {
    if (room <= 0) return { removed, more: true };
    const row = tx.db.get<Prunable>(
      'SELECT seq, next_index, event_uid FROM executions WHERE name = ? AND expire_time IS NOT NULL',
      name,
    );
    if (row === undefined) continue;
    if (row.next_index > room) {
      const rest = pruneTasks(tx, row.seq, room);
      room = 0;
      if (rest) return { removed, more: true };
    }
    tx.db.run('DELETE FROM executions WHERE seq = ?', row.seq);
    removed += 1;
    room -= 1 + row.next_index;
    if (row.event_uid !== null)
      tx.db.run('UPDATE events SET holds = holds - 1 WHERE uid = ? AND holds > 0', row.event_uid);
  }
  return { removed, more: false };
}

/** Some tasks of a large execution, with their attempts; true = there are more. Nobody sees it any more. */
function pruneTasks(tx: Tx, execution: number, count: number): boolean {
  const next = tx.db.get<{ idx: number }>(
    'SELECT idx FROM tasks WHERE execution = ? ORDER BY idx LIMIT 1 OFFSET ?',
    execution,
    count,
  );
  if (next === undefined) return false;
  tx.db.run('DELETE FROM tasks WHERE execution = ? AND idx < ?', execution, next.idx);
  tx.db.run(
    'UPDATE executions SET delete_time = coalesce(delete_time, ?), expire_time = 0 WHERE seq = ?',
    tx.now,
    execution,
  );
  return true;
}

/** Rows removed, of all three tables. */
export function pruneEvents(tx: Tx, olderThanMs: number, limit: number): number {
  const old = tx.db.all<PrunableEvent>(
    `SELECT seq, uid, origin, envelope ->> '$.source' AS source, envelope ->> '$.id' AS id FROM events
     WHERE decide_time IS NOT NULL AND holds = 0 AND receive_time < ? ORDER BY receive_time LIMIT ?+0`,
    tx.now - olderThanMs,
    limit,
  );
  for (const event of old) pruneEvent(tx, event);
  const keys = tx.db.run(
    `DELETE FROM event_keys WHERE (origin, source, id) IN (SELECT origin, source, id FROM event_keys
     WHERE expires_at <= ? ORDER BY expires_at LIMIT ?+0)`,
    tx.now,
    limit,
  );
  const state = tx.db.run(
    `DELETE FROM source_state WHERE (origin, key) IN (SELECT origin, key FROM source_state
     WHERE expires_at <= ? ORDER BY expires_at LIMIT ?+0)`,
    tx.now,
    limit,
  );
  return old.length + keys + state;
}

/** Whoever sends the same again gets the first answer again, as long as the identity is known. */
function pruneEvent(tx: Tx, { seq, uid, origin, source, id }: PrunableEvent): void {
  tx.db.run(
    `UPDATE event_keys SET answer = (
       SELECT json_group_array(json_object('trigger', trigger_name, 'outcome', outcome, 'reason', reason,
         'clause', clause, 'execution', execution, 'decideTime', decide_time))
       FROM decisions WHERE event_seq = ?)
     WHERE origin = ? AND source = ? AND id = ? AND event_uid = ? AND expires_at > ?`,
    seq,
    origin,
    source,
    id,
    uid,
    tx.now,
  );
  tx.db.run('DELETE FROM events WHERE seq = ?', seq);
}

export function whichEventsExist(tx: Tx, uids: readonly string[]): ReadonlySet<string> {
  const rows = tx.db.all<{ uid: string }>(
    'SELECT uid FROM events WHERE uid IN (SELECT value FROM json_each(?))',
    JSON.stringify(uids),
  );
  return new Set(rows.map(({ uid }) => uid));
}
