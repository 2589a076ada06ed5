import { isTerminal } from '../../core/states.ts';
import type { Tx } from './db.ts';
import { findExecution, saveExecution } from './executions.ts';

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
      'SELECT name FROM executions WHERE expire_time <= ? ORDER BY expire_time, seq LIMIT ?',
      tx.now,
      limit,
    )
    .map(({ name }) => name);
}

/** Never one that has not ended. Its event may be pruned afterwards, if no other execution names that. */
export function pruneExecutions(tx: Tx, names: readonly string[]): number {
  let removed = 0;
  for (const name of names) {
    const row = tx.db.get<{ event_uid: string | null }>(
      'DELETE FROM executions WHERE name = ? AND expire_time IS NOT NULL RETURNING event_uid',
      name,
    );
    if (row === undefined) continue;
    removed += 1;
    if (row.event_uid !== null) {
      tx.db.run('UPDATE events SET holds = holds - 1 WHERE uid = ? AND holds > 0', row.event_uid);
    }
  }
  return removed;
}

/** Rows removed, of all three tables. */
export function pruneEvents(tx: Tx, olderThanMs: number, limit: number): number {
  const events = tx.db.run(
    `DELETE FROM events WHERE seq IN (SELECT seq FROM events
     WHERE decide_time IS NOT NULL AND holds = 0 AND receive_time < ? ORDER BY receive_time LIMIT ?)`,
    tx.now - olderThanMs,
    limit,
  );
  const keys = tx.db.run(
    `DELETE FROM event_keys WHERE (origin, source, id) IN (SELECT origin, source, id FROM event_keys
     WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
    tx.now,
    limit,
  );
  const state = tx.db.run(
    `DELETE FROM source_state WHERE (origin, key) IN (SELECT origin, key FROM source_state
     WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`,
    tx.now,
    limit,
  );
  return events + keys + state;
}
