import { TappetError } from '../../core/errors.ts';
import type { Execution, NewExecution } from '../../core/execution.ts';
import { needOf } from '../../core/admission.ts';
import { isTerminal } from '../../core/states.ts';
import type { Tx } from './db.ts';
import { isUniqueViolation } from './db.ts';
import { toExecution } from './rows.ts';
import type { ExecutionRow } from './rows.ts';
import { giveTurns, queueUp } from './turns.ts';

const SELECT = `SELECT s.spec, s.context, s.labels, e.*
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

/** What stands in the line of what may start, without what only its start needs. */
export interface InLine {
  readonly seq: number;
  readonly running: number;
  readonly need_memory: number;
  readonly need_cpu: number;
  readonly need_time: number;
}
export type NamedInLine = InLine & { readonly name: string };
const IN_LINE_COLUMNS = 'seq, running, need_memory, need_cpu, need_time';
const NAMED = `SELECT ${IN_LINE_COLUMNS}, name FROM executions`;

/**
 * The execution that may start a task now and has the fewest running, then the oldest. Most claims find that it does not
 * fit, and to read all of it takes as long as everything else that they do.
 */
export function nextClaimable(tx: Tx, maxParallelism: number): NamedInLine | undefined {
  return tx.db.get<NamedInLine>(
    `${NAMED} WHERE claimable = 1 AND (parallelism > 0 OR running < ?) ORDER BY running, seq LIMIT 1`,
    maxParallelism,
  );
}

/** undefined: it may not start a task now. */
export function findClaimable(tx: Tx, name: string): NamedInLine | undefined {
  return tx.db.get<NamedInLine>(`${NAMED} WHERE name = ? AND claimable = 1`, name);
}

/** What a task takes, in the order of the index of sizes. */
export type Size = Pick<InLine, 'need_memory' | 'need_cpu' | 'need_time'>;
const IN_LINE = `SELECT ${IN_LINE_COLUMNS} FROM executions WHERE claimable = 1`;

/**
 * Of each size up to so much memory, the smallest first, who comes first in the order of `nextClaimable`: what can start
 * is found behind any number of executions that cannot. `most` bounds the sizes, of which there are about as many as jobs.
 */
export function firstOfSizes(tx: Tx, maxParallelism: number, memoryBytes: number, most: number): InLine[] {
  const found: InLine[] = [];
  let last: Size = { need_memory: -1, need_cpu: 0, need_time: 0 };
  while (found.length < most) {
    const first = tx.db.get<InLine>(
      `${IN_LINE} AND (need_memory, need_cpu, need_time) > (?, ?, ?) AND need_memory <= ?
       AND (parallelism > 0 OR running < ?) ORDER BY need_memory, need_cpu, need_time, running, seq LIMIT 1`,
      last.need_memory,
      last.need_cpu,
      last.need_time,
      asStored(memoryBytes),
      maxParallelism,
    );
    if (first === undefined) break;
    found.push(first);
    last = first;
  }
  return found;
}

export function firstOfSize(tx: Tx, maxParallelism: number, size: Size): InLine | undefined {
  return tx.db.get<InLine>(
    `${IN_LINE} AND need_memory = ? AND need_cpu = ? AND need_time = ?
     AND (parallelism > 0 OR running < ?) ORDER BY running, seq LIMIT 1`,
    size.need_memory,
    size.need_cpu,
    size.need_time,
    maxParallelism,
  );
}

/** Infinity is no number of the store. */
function asStored(n: number): number {
  return Math.min(n, Number.MAX_SAFE_INTEGER);
}

/**
 * What may start, has nothing running and needs more memory, or more cores for a task, than there are; without what
 * asks for a core or less. (`+`: or the index of what has nothing running would be walked.)
 */
export function oversized(tx: Tx, memoryBytes: number, cpuMillis: number, limit: number): InLine[] {
  const large = `${IN_LINE} AND +running = 0 AND need_memory > ? LIMIT ?+0`;
  const wide = `${IN_LINE} AND +running = 0 AND need_cpu > 1000 AND need_cpu > ? LIMIT ?+0`;
  const found = [
    ...tx.db.all<InLine>(large, asStored(memoryBytes), limit),
    ...tx.db.all<InLine>(wide, asStored(cpuMillis), limit),
  ];
  return [...new Map(found.map((row) => [row.seq, row])).values()].slice(0, limit);
}

/** Those to be halted, the most overdue first. */
export function overdueExecutions(tx: Tx, limit: number): ExecutionRow[] {
  return tx.db.all<ExecutionRow>(
    `${SELECT} WHERE e.deadline <= ? AND e.halt_reason IS NULL AND e.cancel_request_time IS NULL
     AND e.completion_time IS NULL ORDER BY e.deadline LIMIT ?+0`,
    tx.now,
    limit,
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

/** What a new execution takes from the one whose tasks it runs again. */
export interface RerunPart {
  readonly of: string;
  readonly by: string;
  readonly toRun: number;
  /** Tasks from here on had not started; the others have rows. */
  readonly nextIndex: number;
}

/** Returns its `seq`; the caller counts it in its event's `holds`. Errors: CONFLICT where the name is taken. */
export function insertExecution(tx: Tx, execution: NewExecution, rerun?: RerunPart): number {
  const seq = insertRow(tx, execution, rerun);
  tx.db.run(
    'INSERT INTO execution_specs (execution, spec, context, labels) VALUES (?, ?, ?, ?)',
    seq,
    JSON.stringify(execution.spec),
    JSON.stringify(execution.context),
    JSON.stringify(execution.labels),
  );
  queueUp(tx, execution.job, seq);
  return seq;
}

function insertRow(tx: Tx, execution: NewExecution, rerun: RerunPart | undefined): number {
  const { uid, name, job, jobGeneration, cause, spec } = execution;
  const need = needOf(spec);
  try {
    return tx.db.insert(
      `INSERT INTO executions (uid, name, job, job_generation, cause_kind, event_uid, trigger_name, principal,
       task_count, parallelism, state, claimable, create_time, update_time,
       to_run, next_index, rerun_of, rerun_by, deadline, need_memory, need_cpu, need_time)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'PENDING', 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
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
      rerun?.toRun ?? spec.taskCount,
      rerun?.nextIndex ?? 0,
      rerun?.of ?? null,
      rerun?.by ?? null,
      spec.deadlineMs === undefined ? null : tx.now + spec.deadlineMs,
      need.memoryBytes,
      need.cpuMillis,
      need.timeMs,
    );
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw new TappetError('CONFLICT', `There is an execution named ${name} already.`, {}, error);
  }
}

/**
 * Writes every changeable column, with a new version and what claims need to know. One that has ended passes on its
 * turn; whether there was another to take it is answered.
 */
export function saveExecution(tx: Tx, row: ExecutionRow): { readonly turnPassedOn: boolean } {
  // Who runs is counted as running, and who has ended not at all.
  if (row.state !== 'PENDING') row.turn = null;
  refreshClaimable(tx, row);
  row.version += 1;
  row.update_time = tx.now;
  tx.db.run(
    `UPDATE executions SET state = ?, reason = ?, message = ?, running = ?, succeeded = ?, failed = ?,
     cancelled = ?, retried = ?, next_index = ?, claimable = ?, wake_time = ?, fail_reason = ?,
     fail_message = ?, cancel_by = ?, update_time = ?, start_time = ?, completion_time = ?,
     cancel_request_time = ?, delete_time = ?, expire_time = ?, version = ?, halt_reason = ?,
     turn = ?, used_attempts = ?, used_wall_ms = ?, used_wall_unknown = ?, used_cpu_ms = ?, used_cpu_unknown = ?,
     used_peak_memory = ?, used_peak_unknown = ?, used_log_bytes = ?, used_pulled_bytes = ? WHERE seq = ?`,
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
    row.halt_reason,
    row.turn,
    row.used_attempts,
    row.used_wall_ms,
    row.used_wall_unknown,
    row.used_cpu_ms,
    row.used_cpu_unknown,
    row.used_peak_memory,
    row.used_peak_unknown,
    row.used_log_bytes,
    row.used_pulled_bytes,
    row.seq,
  );
  return { turnPassedOn: isTerminal(row.state) && giveTurns(tx, row.job) > 0 };
}

/**
 * `claimable`: a task may start now. `wake_time`: none may now, but a retry falls due then. So a claim reads an
 * index of what can start, however many executions wait.
 */
export function refreshClaimable(tx: Tx, row: ExecutionRow): void {
  row.claimable = 0;
  row.wake_time = null;
  const room = row.parallelism === 0 || row.running < row.parallelism;
  const overdue = row.deadline !== null && row.deadline <= tx.now;
  const stopping = overdue || row.cancel_request_time !== null || row.halt_reason !== null;
  if (isTerminal(row.state) || stopping || !room || row.turn === 0) return;
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
  if (tx.db.get('SELECT seq FROM executions WHERE wake_time <= ? LIMIT 1', tx.now) === undefined) return;
  tx.db.run('UPDATE executions SET claimable = 1, wake_time = NULL WHERE wake_time <= ?', tx.now);
}

/**
 * Nothing starts past its deadline: what is overdue leaves the line, so that no claim walks it until it is halted.
 * Returns how many, at most `limit`. (Both look first: an update that finds nothing takes ten times as long, as it opens
 * every index that it might change.)
 */
export function retireOverdue(tx: Tx, limit: number): number {
  const overdue = 'SELECT seq FROM executions WHERE claimable = 1 AND deadline <= ? LIMIT ?+0';
  if (tx.db.get(overdue, tx.now, 1) === undefined) return 0;
  return tx.db.run(`UPDATE executions SET claimable = 0 WHERE seq IN (${overdue})`, tx.now, limit);
}
