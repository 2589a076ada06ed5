import type { HaltReason, StopReason } from '../../core/execution.ts';
import { isTerminal } from '../../core/states.ts';
import type { CancelResult } from '../../core/store.ts';
import type { Tx } from './db.ts';
import { endIfDone } from './ending.ts';
import { findExecution, overdueExecutions, saveExecution } from './executions.ts';
import { specOf, toExecution } from './rows.ts';
import type { ExecutionRow } from './rows.ts';

/** What became of a task that did not get to run, as the beginning of a sentence. */
export const HALT_WORDS: Readonly<Record<HaltReason, string>> = {
  TOO_MANY_FAILED: 'Cancelled because other tasks had failed',
  DEADLINE_EXCEEDED: 'Cancelled at the deadline of the execution',
  NEVER_FITS: 'Cancelled because no task of the job fits on the host',
};

/** A repeated request, while containers are still stopping, changes nothing and answers `changed: true` again. */
export function cancelExecution(tx: Tx, name: string, by: string): CancelResult | undefined {
  const execution = findExecution(tx, name);
  if (execution === undefined || execution.delete_time !== null) return undefined;
  if (isTerminal(execution.state)) return { execution: toExecution(execution), changed: false };
  if (execution.cancel_request_time === null && execution.halt_reason === null) {
    execution.cancel_request_time = tx.now;
    execution.cancel_by = by;
    stopAll(tx, execution, 'cancel', `Cancelled by ${by}`);
    endIfDone(tx, execution);
    saveExecution(tx, execution);
  }
  return { execution: toExecution(execution), changed: true };
}

/** More tasks have failed than the job allows: no other starts. The caller looks whether that is the end, and saves. */
export function haltAfterFailures(tx: Tx, execution: ExecutionRow): void {
  const { maxFailedTasks } = specOf(execution);
  if (maxFailedTasks === undefined || execution.failed <= maxFailedTasks) return;
  if (execution.cancel_request_time !== null || execution.halt_reason !== null) return;
  execution.halt_reason = 'TOO_MANY_FAILED';
  stopAll(tx, execution, 'failures', HALT_WORDS.TOO_MANY_FAILED);
}

export function haltOverdue(tx: Tx, limit: number): number {
  const overdue = overdueExecutions(tx, limit);
  for (const execution of overdue) {
    execution.halt_reason = 'DEADLINE_EXCEEDED';
    stopAll(tx, execution, 'deadline', HALT_WORDS.DEADLINE_EXCEEDED);
    endIfDone(tx, execution);
    saveExecution(tx, execution);
  }
  return overdue.length;
}

/** No task of it fits on the host, and none runs. */
export function haltUnfit(tx: Tx, execution: ExecutionRow, why: string): void {
  execution.halt_reason = 'NEVER_FITS';
  execution.fail_message = why;
  stopAll(tx, execution, 'failures', HALT_WORDS.NEVER_FITS);
  endIfDone(tx, execution);
  saveExecution(tx, execution);
}

/** Tasks without a row are counted when the execution ends. */
function stopAll(tx: Tx, execution: ExecutionRow, reason: StopReason, why: string): void {
  execution.cancelled += cancelWaitingTasks(tx, execution.seq, why);
  stopRunningAttempts(tx, execution.seq, reason);
}

function cancelWaitingTasks(tx: Tx, execution: number, why: string): number {
  return tx.db.run(
    `UPDATE tasks SET state = 'CANCELLED', not_before = NULL, completion_time = ?,
     message = CASE attempts WHEN 0 THEN ? ELSE ? END WHERE execution = ? AND state = 'PENDING'`,
    tx.now,
    `${why} before it started.`,
    `${why} while it waited for its next attempt.`,
    execution,
  );
}

/** An attempt that is being stopped for another reason keeps that. */
function stopRunningAttempts(tx: Tx, execution: number, reason: StopReason): void {
  tx.db.run(
    `UPDATE attempts SET stop_reason = ?, stop_request_time = ?
     WHERE execution = ? AND end_time IS NULL AND stop_reason IS NULL`,
    reason,
    tx.now,
    execution,
  );
}
