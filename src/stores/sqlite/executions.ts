import { TappetError } from '../../core/errors.ts';
import type { Execution, NewExecution } from '../../core/execution.ts';
import { isTerminal } from '../../core/states.ts';
import type { Tx } from './db.ts';
import { isUniqueViolation } from './db.ts';
import { toExecution } from './rows.ts';
import type { ExecutionRow } from './rows.ts';

const SELECT = `SELECT e.*, s.spec, s.context, s.labels
  FROM executions e JOIN execution_specs s ON s.execution = e.seq`;

/** Deleted ones too: for operations on what is there, not for readers. */
export function findExecution(tx: Tx, name: string): ExecutionRow | undefined {
  return tx.db.get<ExecutionRow>(`${SELECT} WHERE e.name = ?`, name);
}

export function executionBySeq(tx: Tx, seq: number): ExecutionRow {
  const row = tx.db.get<ExecutionRow>(`${SELECT} WHERE e.seq = ?`, seq);
  if (row === undefined) throw new TappetError('INTERNAL', `Execution row ${seq} is missing.`);
  return row;
}

/** The execution that may start a task now and has the fewest running, then the oldest. */
export function nextClaimable(tx: Tx, maxParallelism: number): ExecutionRow | undefined {
  return tx.db.get<ExecutionRow>(
    `${SELECT} WHERE e.claimable = 1 AND (e.parallelism > 0 OR e.running < ?)
     ORDER BY e.running, e.seq LIMIT 1`,
    maxParallelism,
  );
}

/** A repeated call (same uid) answers what is stored. Errors: CONFLICT where another execution has the name. */
export function createExecution(tx: Tx, execution: NewExecution): Execution {
  const known = findExecution(tx, execution.name);
  if (known?.uid === execution.uid) return toExecution(known);
  const seq = insertExecution(tx, execution);
  const { cause } = execution;
  if (cause.kind === 'event') tx.db.run('UPDATE events SET holds = holds + 1 WHERE uid = ?', cause.event);
  return toExecution(executionBySeq(tx, seq));
}

/** Returns its `seq`; the caller counts it in its event's `holds`. Errors: CONFLICT where the name is taken. */
export function insertExecution(tx: Tx, execution: NewExecution): number {
  const seq = insertRow(tx, execution);
  tx.db.run(
    'INSERT INTO execution_specs (execution, spec, context, labels) VALUES (?, ?, ?, ?)',
    seq,
    JSON.stringify(execution.spec),
    JSON.stringify(execution.context),
    JSON.stringify(execution.labels),
  );
  return seq;
}

function insertRow(tx: Tx, { uid, name, job, jobGeneration, cause, spec }: NewExecution): number {
  try {
    return tx.db.insert(
      `INSERT INTO executions (uid, name, job, job_generation, cause_kind, event_uid, trigger_name, principal,
       task_count, parallelism, state, claimable, create_time, update_time)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'PENDING', 1, ?, ?)`,
      uid,
      name,
      job,
      jobGeneration,
      cause.kind,
      cause.kind === 'event' ? cause.event : null,
      cause.kind === 'event' ? cause.trigger : null,
      cause.kind === 'api' ? cause.principal : null,
      spec.taskCount,
      spec.parallelism,
      tx.now,
      tx.now,
    );
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw new TappetError('CONFLICT', `There is an execution named ${name} already.`, {}, error);
  }
}

/** Writes every changeable column, with a new version and what claims need to know. */
export function saveExecution(tx: Tx, row: ExecutionRow): void {
  refreshClaimable(tx, row);
  row.version += 1;
  row.update_time = tx.now;
  tx.db.run(
    `UPDATE executions SET state = ?, reason = ?, message = ?, running = ?, succeeded = ?, failed = ?,
     cancelled = ?, retried = ?, next_index = ?, claimable = ?, wake_time = ?, fail_reason = ?,
     fail_message = ?, cancel_by = ?, update_time = ?, start_time = ?, completion_time = ?,
     cancel_request_time = ?, delete_time = ?, expire_time = ?, version = ? WHERE seq = ?`,
    row.state,
    row.reason,
    row.message,
    row.running,
    row.succeeded,
    row.failed,
    row.cancelled,
    row.retried,
    row.next_index,
    row.claimable,
    row.wake_time,
    row.fail_reason,
    row.fail_message,
    row.cancel_by,
    row.update_time,
    row.start_time,
    row.completion_time,
    row.cancel_request_time,
    row.delete_time,
    row.expire_time,
    row.version,
    row.seq,
  );
}

/**
 * `claimable`: a task may start now. `wake_time`: none may now, but a retry falls due then. So a claim reads an
 * index of what can start, however many executions wait.
 */
export function refreshClaimable(tx: Tx, row: ExecutionRow): void {
  row.claimable = 0;
  row.wake_time = null;
  const room = row.parallelism === 0 || row.running < row.parallelism;
  if (isTerminal(row.state) || row.cancel_request_time !== null || !room) return;
  if (row.next_index < row.task_count) {
    row.claimable = 1;
    return;
  }
  const retry = nextRetryTime(tx, row.seq);
  if (retry !== null && retry <= tx.now) row.claimable = 1;
  else row.wake_time = retry;
}

function nextRetryTime(tx: Tx, execution: number): number | null {
  const row = tx.db.get<{ not_before: number }>(
    `SELECT not_before FROM tasks WHERE execution = ? AND state = 'PENDING' ORDER BY not_before LIMIT 1`,
    execution,
  );
  return row?.not_before ?? null;
}

/** Makes claimable what slept until a retry fell due. */
export function wakeExecutions(tx: Tx): void {
  tx.db.run('UPDATE executions SET claimable = 1, wake_time = NULL WHERE wake_time <= ?', tx.now);
}
