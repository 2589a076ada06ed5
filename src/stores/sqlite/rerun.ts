import type { RerunParams, RerunResult } from '../../core/store.ts';
import { isTerminal } from '../../core/states.ts';
import type { Tx } from './db.ts';
import { executionBySeq, findExecution, insertExecution } from './executions.ts';
import { toExecution } from './rows.ts';
import type { ExecutionRow } from './rows.ts';

/** A repeated call (same uid) answers what is stored. Errors: CONFLICT where another execution has the name. */
export function rerunExecution(tx: Tx, params: RerunParams): RerunResult | undefined {
  const known = findExecution(tx, params.name);
  if (known?.uid === params.uid) return { outcome: 'created', execution: toExecution(known) };
  const old = findExecution(tx, params.of);
  if (old === undefined || old.delete_time !== null) return undefined;
  if (!isTerminal(old.state)) return { outcome: 'running' };
  const toRun = old.to_run - old.succeeded;
  if (toRun === 0) return { outcome: 'nothing' };
  const seq = insertAgain(tx, old, params, toRun);
  pinImage(tx, old.seq, seq);
  copyTasks(tx, old.seq, seq);
  if (old.event_uid !== null) tx.db.run('UPDATE events SET holds = holds + 1 WHERE uid = ?', old.event_uid);
  return { outcome: 'created', execution: toExecution(executionBySeq(tx, seq)) };
}

function insertAgain(tx: Tx, old: ExecutionRow, { of, uid, name, by }: RerunParams, toRun: number): number {
  const { job, jobGeneration, spec, context, cause, labels } = toExecution(old);
  const rerun = { of, by, toRun, nextIndex: old.next_index };
  return insertExecution(tx, { uid, name, job, jobGeneration, spec, context, cause, labels }, rerun);
}

/** A part of its tasks must not run another image than the part that succeeded. */
function pinImage(tx: Tx, from: number, to: number): void {
  tx.db.run(
    `UPDATE executions SET (image_digest, image_repo_digest) =
     (SELECT image_digest, image_repo_digest FROM executions WHERE seq = ?) WHERE seq = ?`,
    from,
    to,
  );
}

/** Rows from the start, as of tasks that wait for a retry; 10,000 of them take some 50 ms. */
function copyTasks(tx: Tx, from: number, to: number): void {
  tx.db.run(
    `INSERT INTO tasks (execution, idx, state, attempts, retries, infra_failures, not_before)
     SELECT ?, idx, 'PENDING', 0, 0, 0, ? FROM tasks
     WHERE execution = ? AND state IN ('FAILED', 'CANCELLED') ORDER BY idx`,
    to,
    tx.now,
    from,
  );
}
