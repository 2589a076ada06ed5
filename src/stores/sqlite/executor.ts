import { TappetError } from '../../core/errors.ts';
import type { Attempt, AttemptKey, RenderedSpec } from '../../core/execution.ts';
import { containerName } from '../../core/execution.ts';
import { assertMove, isTerminal } from '../../core/states.ts';
import type { AttemptStarted, Claim, ClaimParams } from '../../core/store.ts';
import type { Tx } from './db.ts';
import { requireEpoch } from './engines.ts';
import { executionBySeq, saveExecution } from './executions.ts';
import { imageStarted } from './images.ts';
import { specOf, toAttempt, toExecution } from './rows.ts';
import type { AttemptRow, ExecutionRow } from './rows.ts';

export const SELECT_ATTEMPT = `SELECT e.name AS execution_name, a.*
  FROM attempts a JOIN executions e ON e.seq = a.execution`;

/** undefined: its retry is not due after all (the clock went back); the execution then sleeps until it is. */
export function claimOne(
  tx: Tx,
  execution: ExecutionRow,
  params: ClaimParams,
  owner: string,
): Claim | undefined {
  const next = startTask(tx, execution);
  let attempt: Attempt | undefined;
  if (next !== undefined) {
    const key = { execution: execution.name, ...next };
    attempt = insertAttempt(tx, execution.seq, key, params, owner);
    if (execution.state === 'PENDING') {
      assertMove('execution', execution.state, 'RUNNING');
      execution.state = 'RUNNING';
    }
    execution.start_time ??= tx.now;
    execution.running += 1;
  }
  saveExecution(tx, execution);
  return attempt && { attempt, execution: toExecution(execution) };
}

interface TaskAttempt {
  readonly index: number;
  readonly attempt: number;
}

/** A retry that is due goes before a task that has not started. */
function startTask(tx: Tx, execution: ExecutionRow): TaskAttempt | undefined {
  const retry = tx.db.get<{ idx: number; attempts: number }>(
    `SELECT idx, attempts FROM tasks WHERE execution = ? AND state = 'PENDING' AND not_before <= ?
     ORDER BY not_before, idx LIMIT 1`,
    execution.seq,
    tx.now,
  );
  if (retry !== undefined) {
    tx.db.run(
      `UPDATE tasks SET state = 'RUNNING', attempts = attempts + 1, not_before = NULL,
       start_time = coalesce(start_time, ?) WHERE execution = ? AND idx = ?`,
      tx.now,
      execution.seq,
      retry.idx,
    );
    return { index: retry.idx, attempt: retry.attempts };
  }
  if (execution.next_index >= execution.task_count) return undefined;
  const index = execution.next_index;
  execution.next_index += 1;
  tx.db.run(
    `INSERT INTO tasks (execution, idx, state, attempts, retries, infra_failures, start_time)
     VALUES (?, ?, 'RUNNING', 1, 0, 0, ?)`,
    execution.seq,
    index,
    tx.now,
  );
  return { index, attempt: 0 };
}

/** What of an attempt is not known yet at its claim. */
const NOT_YET = {
  startTime: null,
  deadline: null,
  stopReason: null,
  stopRequestTime: null,
  endTime: null,
  reason: null,
  message: null,
  exitCode: null,
  signal: null,
  imageDigest: null,
  rendered: null,
  usage: null,
  logBytes: null,
} as const;

/** Returns what a reader of the row would find, without reading it. */
function insertAttempt(
  tx: Tx,
  execution: number,
  key: AttemptKey,
  { engine, epoch }: ClaimParams,
  owner: string,
): Attempt {
  const name = containerName(tx.instance, key);
  tx.db.run(
    `INSERT INTO attempts (execution, idx, attempt, state, container_name, engine, owner, epoch, create_time)
     VALUES (?, ?, ?, 'STARTING', ?, ?, ?, ?, ?)`,
    execution,
    key.index,
    key.attempt,
    name,
    engine,
    owner,
    epoch,
    tx.now,
  );
  return { state: 'STARTING', containerName: name, engine, createTime: tx.now, ...key, ...NOT_YET };
}

function readAttempt(tx: Tx, execution: number, { index, attempt }: TaskAttempt): Attempt {
  const row = tx.db.get<AttemptRow>(
    `${SELECT_ATTEMPT} WHERE a.execution = ? AND a.idx = ? AND a.attempt = ?`,
    execution,
    index,
    attempt,
  );
  if (row === undefined) throw new TappetError('INTERNAL', `Attempt ${attempt} of task ${index} is missing.`);
  return toAttempt(row);
}

export function openAttempts(tx: Tx, engine: string): Claim[] {
  const rows = tx.db.all<AttemptRow>(
    `${SELECT_ATTEMPT} WHERE a.end_time IS NULL AND a.engine = ? ORDER BY a.execution, a.idx`,
    engine,
  );
  return rows.map((row) => ({
    attempt: toAttempt(row),
    execution: toExecution(executionBySeq(tx, row.execution)),
  }));
}

export function stopRequests(tx: Tx, engine: string): Attempt[] {
  return tx.db
    .all<AttemptRow>(
      `${SELECT_ATTEMPT} WHERE a.end_time IS NULL AND a.engine = ? AND a.stop_reason IS NOT NULL
       ORDER BY a.execution, a.idx`,
      engine,
    )
    .map(toAttempt);
}

/** The attempt, if the caller still holds its engine. Errors: NOT_FOUND, STALE_EPOCH. */
export function requireAttempt(tx: Tx, key: AttemptKey, epoch: number): AttemptRow {
  const row = tx.db.get<AttemptRow>(
    `${SELECT_ATTEMPT} WHERE e.name = ? AND a.idx = ? AND a.attempt = ?`,
    key.execution,
    key.index,
    key.attempt,
  );
  if (row === undefined) {
    throw new TappetError(
      'NOT_FOUND',
      `There is no attempt ${key.attempt} of task ${key.index} in execution ${key.execution}.`,
    );
  }
  requireEpoch(tx, row.engine, epoch);
  return row;
}

export function attemptRendered(tx: Tx, key: AttemptKey, epoch: number, rendered: RenderedSpec): void {
  const row = requireAttempt(tx, key, epoch);
  tx.db.run(
    'UPDATE attempts SET rendered = ? WHERE execution = ? AND idx = ? AND attempt = ?',
    JSON.stringify(rendered),
    row.execution,
    row.idx,
    row.attempt,
  );
}

export function attemptStarted(tx: Tx, params: AttemptStarted): Attempt {
  const { key, epoch, startTime, imageDigest, imageRepoDigest = null, pulledBytes = null } = params;
  const row = requireAttempt(tx, key, epoch);
  if (row.state === 'RUNNING') return toAttempt(row);
  assertMove('attempt', row.state, 'RUNNING');
  const deadline = startTime + timeoutOf(tx, row.execution);
  tx.db.run(
    `UPDATE attempts SET state = 'RUNNING', start_time = ?, deadline = ?, image_digest = ?, pulled_bytes = ?
     WHERE execution = ? AND idx = ? AND attempt = ?`,
    startTime,
    deadline,
    imageDigest,
    pulledBytes,
    row.execution,
    row.idx,
    row.attempt,
  );
  const { execution, engine } = row;
  if (imageDigest !== null)
    imageStarted(tx, { execution, engine, digest: imageDigest, repoDigest: imageRepoDigest });
  const changed = { start_time: startTime, deadline, image_digest: imageDigest, pulled_bytes: pulledBytes };
  return toAttempt({ ...row, state: 'RUNNING', ...changed });
}

function timeoutOf(tx: Tx, execution: number): number {
  const row = tx.db.get<{ spec: string }>('SELECT spec FROM execution_specs WHERE execution = ?', execution);
  if (row === undefined)
    throw new TappetError('INTERNAL', `The spec of execution row ${execution} is missing.`);
  return specOf(row).timeoutMs;
}

export function requestStop(tx: Tx, key: AttemptKey, epoch: number, reason: 'timeout'): Attempt {
  const row = requireAttempt(tx, key, epoch);
  if (isTerminal(row.state) || row.stop_reason !== null) return toAttempt(row);
  tx.db.run(
    `UPDATE attempts SET stop_reason = ?, stop_request_time = ?
     WHERE execution = ? AND idx = ? AND attempt = ?`,
    reason,
    tx.now,
    row.execution,
    row.idx,
    row.attempt,
  );
  return readAttempt(tx, row.execution, key);
}
