import type { Tx } from './db.ts';

/**
 * Turns: of a job with `maxConcurrentExecutions` at most so many executions are under way, the others wait, the oldest
 * first. One that has not started has a turn (`turn` 1, then it is claimed like any other) or waits for one (0); one
 * that runs is counted as running. A turn passes on in the transaction in which its execution ends.
 */

/** A new execution takes its place in the line of its job, if that has one. */
export function queueUp(tx: Tx, job: string, seq: number): void {
  if (limitOf(tx, job) === null) return;
  tx.db.run('UPDATE executions SET turn = 0, claimable = 0 WHERE seq = ?', seq);
  giveTurns(tx, job);
}

/** Gives the job's free turns to those that have waited longest. Returns how many took one. */
export function giveTurns(tx: Tx, job: string): number {
  const limit = limitOf(tx, job);
  if (limit === null) return 0;
  const free = limit - underWay(tx, job, limit);
  if (free <= 0) return 0;
  const next = tx.db.all<{ seq: number }>(
    'SELECT seq FROM executions WHERE job = ? AND turn = 0 ORDER BY seq LIMIT ?+0',
    job,
    free,
  );
  // One that is overdue keeps its turn until it is halted, but a claim may be under way that must not start it.
  const sql = 'UPDATE executions SET turn = 1, claimable = (deadline IS NULL OR deadline > ?) WHERE seq = ?';
  for (const { seq } of next) tx.db.run(sql, tx.now, seq);
  return next.length;
}

/** The job has another limit, or none any more: all that have not started stand in line anew. */
export function limitChanged(tx: Tx, job: string, limit: number | null): void {
  if (limit === null) {
    for (const turn of [0, 1])
      tx.db.run('UPDATE executions SET turn = NULL, claimable = 1 WHERE job = ? AND turn = ?', job, turn);
    return;
  }
  tx.db.run(`UPDATE executions SET turn = 0, claimable = 0 WHERE job = ? AND state = 'PENDING'`, job);
  giveTurns(tx, job);
}

/** A job that was deleted keeps its limit for what is still there of it. */
function limitOf(tx: Tx, job: string): number | null {
  const sql = `SELECT max_concurrent FROM definitions WHERE kind = 'job' AND name = ?`;
  return tx.memo.get(
    `limit ${job}`,
    () => tx.db.get<{ max_concurrent: number | null }>(sql, job)?.max_concurrent ?? null,
  );
}

/** Not counted beyond `most`. */
function underWay(tx: Tx, job: string, most: number): number {
  const running = tx.db.all(
    `SELECT seq FROM executions WHERE job = ? AND state = 'RUNNING' LIMIT ?+0`,
    job,
    most,
  ).length;
  return (
    running + tx.db.all('SELECT seq FROM executions WHERE job = ? AND turn = 1 LIMIT ?+0', job, most).length
  );
}
