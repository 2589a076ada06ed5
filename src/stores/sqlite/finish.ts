import { TappetError } from '../../core/errors.ts';
import type { AttemptReason, AttemptResult, Task } from '../../core/execution.ts';
import { countsWith, nextStep } from '../../core/retry.ts';
import type { NextStep } from '../../core/retry.ts';
import { assertMove, isTerminal } from '../../core/states.ts';
import type { CancelResult, FinishParams, FinishResult } from '../../core/store.ts';
import type { Tx } from './db.ts';
import { executionBySeq, findExecution, saveExecution } from './executions.ts';
import { requireAttempt } from './executor.ts';
import { acceptEvent } from './inbox.ts';
import { causeOf, countersOf, specOf, toAttempt, toExecution, toTask } from './rows.ts';
import type { AttemptRow, ExecutionRow, TaskRow } from './rows.ts';

const DAY_MS = 24 * 60 * 60_000;

export function finishAttempt(tx: Tx, params: FinishParams): FinishResult {
  const row = requireAttempt(tx, params.key, params.epoch);
  let attempt = row;
  const execution = executionBySeq(tx, attempt.execution);
  const task = requireTask(tx, attempt);
  const repeated = isTerminal(attempt.state);
  if (!repeated) {
    attempt = endAttempt(tx, row, params);
    const step = nextStep({
      result: params.result,
      maxRetries: specOf(execution).maxRetries,
      retries: task.retries,
      infraFailures: failuresBefore(tx, row, task, params.result),
      cancelRequested: execution.cancel_request_time !== null,
      now: tx.now,
    });
    moveTask(tx, execution, task, params.result, step);
    endIfDone(tx, execution);
    saveExecution(tx, execution);
  }
  return {
    attempt: toAttempt(attempt),
    task: toTask(task, execution.name),
    execution: toExecution(execution),
    repeated,
  };
}

/** Of those that count with this one. */
function failuresBefore(
  tx: Tx,
  { execution, idx, attempt }: AttemptRow,
  task: TaskRow,
  { reason }: AttemptResult,
): number {
  if (task.infra_failures === 0) return 0;
  const before = tx.db.all<{ reason: AttemptReason }>(
    `SELECT reason FROM attempts WHERE execution = ? AND idx = ? AND attempt < ? AND state = 'FAILED'`,
    execution,
    idx,
    attempt,
  );
  return before.filter((row) => countsWith(row.reason, reason)).length;
}

function requireTask(tx: Tx, { execution, idx }: AttemptRow): TaskRow {
  const row = tx.db.get<TaskRow>('SELECT * FROM tasks WHERE execution = ? AND idx = ?', execution, idx);
  if (row === undefined) throw new TappetError('INTERNAL', `Task ${idx} of its attempt is missing.`);
  return row;
}

/** Returns the row as it is then. */
function endAttempt(tx: Tx, row: AttemptRow, { result, logBytes }: FinishParams): AttemptRow {
  assertMove('attempt', row.state, result.state);
  const ended: AttemptRow = {
    ...row,
    state: result.state,
    reason: result.reason,
    message: result.message,
    exit_code: result.exitCode,
    signal: result.signal,
    end_time: result.endTime,
    log_stdout: logBytes?.stdout ?? null,
    log_stderr: logBytes?.stderr ?? null,
  };
  tx.db.run(
    `UPDATE attempts SET state = ?, reason = ?, message = ?, exit_code = ?, signal = ?, end_time = ?,
     log_stdout = ?, log_stderr = ? WHERE execution = ? AND idx = ? AND attempt = ?`,
    ended.state,
    ended.reason,
    ended.message,
    ended.exit_code,
    ended.signal,
    ended.end_time,
    ended.log_stdout,
    ended.log_stderr,
    row.execution,
    row.idx,
    row.attempt,
  );
  return ended;
}

/** Changes the two rows as objects too; the caller saves the execution. */
function moveTask(
  tx: Tx,
  execution: ExecutionRow,
  task: TaskRow,
  result: AttemptResult,
  step: NextStep,
): void {
  assertMove('task', task.state, step.task);
  task.state = step.task;
  task.message = step.task === 'SUCCEEDED' ? null : result.message;
  execution.running -= 1;
  if (step.task === 'PENDING') planRetry(execution, task, step);
  else endTask(tx, execution, task, result, step.task);
  tx.db.run(
    `UPDATE tasks SET state = ?, retries = ?, infra_failures = ?, not_before = ?, completion_time = ?,
     message = ? WHERE execution = ? AND idx = ?`,
    task.state,
    task.retries,
    task.infra_failures,
    task.not_before,
    task.completion_time,
    task.message,
    execution.seq,
    task.idx,
  );
}

function planRetry(execution: ExecutionRow, task: TaskRow, step: NextStep & { task: 'PENDING' }): void {
  task.not_before = step.notBefore;
  if (step.counts === 'infra') {
    task.infra_failures += 1;
    return;
  }
  if (task.retries === 0) execution.retried += 1;
  task.retries += 1;
}

const COUNTER = { SUCCEEDED: 'succeeded', FAILED: 'failed', CANCELLED: 'cancelled' } as const;

function endTask(
  tx: Tx,
  execution: ExecutionRow,
  task: TaskRow,
  result: AttemptResult,
  state: keyof typeof COUNTER,
): void {
  task.completion_time = tx.now;
  execution[COUNTER[state]] += 1;
  if (state !== 'FAILED' || execution.fail_reason !== null) return;
  execution.fail_reason = result.reason;
  execution.fail_message = `Task ${task.idx} failed: ${whatHappened(result)}${afterRetries(task)}.`;
}

function whatHappened(result: AttemptResult): string {
  const { reason, exitCode, signal, message } = result;
  if (reason === 'NON_ZERO_EXIT_CODE') return `exit code ${exitCode ?? 'unknown'}`;
  if (reason === 'SIGNALLED') return `ended by ${signal ?? 'a signal'}`;
  return message.replace(/\.$/, '');
}

function afterRetries({ retries }: Pick<Task, 'retries'>): string {
  if (retries === 0) return '';
  return retries === 1 ? ', after 1 retry' : `, after ${retries} retries`;
}

/** The execution ends with its last task; after a cancel, with its last container. */
function endIfDone(tx: Tx, execution: ExecutionRow): void {
  if (execution.cancel_request_time !== null) {
    if (execution.running === 0) endCancelled(tx, execution);
    return;
  }
  const { task_count: count, succeeded, failed, cancelled } = execution;
  if (succeeded + failed + cancelled < count) return;
  if (failed > 0) endExecution(tx, execution, 'FAILED', execution.fail_reason, failedMessage(execution));
  else if (cancelled > 0) endExecution(tx, execution, 'CANCELLED', 'CANCELLED', 'A task was cancelled.');
  else endExecution(tx, execution, 'SUCCEEDED', null, succeededMessage(execution));
}

function succeededMessage({ task_count: count }: ExecutionRow): string {
  return count === 1 ? 'The task succeeded.' : `All ${count} tasks succeeded.`;
}

function failedMessage({ failed, fail_message: first }: ExecutionRow): string | null {
  if (failed <= 1) return first;
  return failed === 2
    ? `${first} 1 other task failed too.`
    : `${first} ${failed - 1} other tasks failed too.`;
}

/** Tasks that never got a row count as cancelled from here on. */
function endCancelled(tx: Tx, execution: ExecutionRow): void {
  if (execution.succeeded === execution.task_count) {
    const message = `${succeededMessage(execution)} A cancel was asked for after everything had succeeded.`;
    endExecution(tx, execution, 'SUCCEEDED', null, message);
    return;
  }
  execution.cancelled += execution.task_count - execution.next_index;
  endExecution(tx, execution, 'CANCELLED', 'CANCELLED', `Cancelled by ${execution.cancel_by ?? 'someone'}.`);
}

function endExecution(
  tx: Tx,
  execution: ExecutionRow,
  state: keyof typeof COUNTER,
  reason: string | null,
  message: string | null,
): void {
  assertMove('execution', execution.state, state);
  execution.state = state;
  execution.reason = reason;
  execution.message = message;
  execution.completion_time = tx.now;
  execution.expire_time = tx.now + specOf(execution).retentionMs;
  announceEnd(tx, execution);
}

/** The only way back from the executor to routing: an event like any other, in the transaction of the end. */
function announceEnd(tx: Tx, execution: ExecutionRow): void {
  const { uid, name, job, state, reason, message } = execution;
  acceptEvent(tx, 'execution', {
    uid: tx.ids.uid(),
    trigger: null,
    event: {
      specversion: '1.0',
      id: uid,
      source: `/jobs/${job}`,
      type: `dev.tappet.execution.v1.${state.toLowerCase()}`,
      time: new Date(tx.now).toISOString(),
      subject: name,
      datacontenttype: 'application/json',
      data: {
        execution: name,
        job,
        state,
        reason,
        message,
        counters: { ...countersOf(execution) },
        cause: { ...causeOf(execution) },
      },
    },
    claims: null,
    verdict: null,
    rememberMs: DAY_MS,
  });
}

/** A repeated request, while containers are still stopping, changes nothing and answers `changed: true` again. */
export function cancelExecution(tx: Tx, name: string, by: string): CancelResult | undefined {
  const execution = findExecution(tx, name);
  if (execution === undefined || execution.delete_time !== null) return undefined;
  if (isTerminal(execution.state)) return { execution: toExecution(execution), changed: false };
  if (execution.cancel_request_time === null) {
    execution.cancel_request_time = tx.now;
    execution.cancel_by = by;
    execution.cancelled += cancelWaitingTasks(tx, execution);
    stopRunningAttempts(tx, execution.seq);
    endIfDone(tx, execution);
    saveExecution(tx, execution);
  }
  return { execution: toExecution(execution), changed: true };
}

function cancelWaitingTasks(tx: Tx, { seq, cancel_by: by }: ExecutionRow): number {
  return tx.db.run(
    `UPDATE tasks SET state = 'CANCELLED', not_before = NULL, completion_time = ?, message = ?
     WHERE execution = ? AND state = 'PENDING'`,
    tx.now,
    `Cancelled by ${by} while it waited for its next attempt.`,
    seq,
  );
}

/** An attempt that is being stopped for another reason keeps that. */
function stopRunningAttempts(tx: Tx, execution: number): void {
  tx.db.run(
    `UPDATE attempts SET stop_reason = 'cancel', stop_request_time = ?
     WHERE execution = ? AND end_time IS NULL AND stop_reason IS NULL`,
    tx.now,
    execution,
  );
}
