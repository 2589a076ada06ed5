import { TappetError } from '../../core/errors.ts';
import type { AttemptReason, AttemptResult, Task } from '../../core/execution.ts';
import { countsWith, nextStep } from '../../core/retry.ts';
import type { NextStep } from '../../core/retry.ts';
import { assertMove, isTerminal } from '../../core/states.ts';
import type { FinishParams, FinishResult } from '../../core/store.ts';
import type { Tx } from './db.ts';
import { endIfDone } from './ending.ts';
import { executionBySeq, saveExecution } from './executions.ts';
import { requireAttempt } from './executor.ts';
import { specOf, toAttempt, toExecution, toTask } from './rows.ts';
import type { AttemptRow, ExecutionRow, TaskRow } from './rows.ts';
import { haltAfterFailures } from './stopping.ts';
import { addUsage, usageColumns } from './usage.ts';

export function finishAttempt(tx: Tx, params: FinishParams): FinishResult {
  return finishRow(tx, requireAttempt(tx, params.key, params.epoch), params);
}

type RowEnd = Omit<FinishParams, 'key' | 'epoch'> & {
  /** Nothing follows it, though it may be an end that is tried again. */
  readonly final?: true;
};

/** For who knows that nobody else leads the attempt. */
export function finishRow(tx: Tx, row: AttemptRow, params: RowEnd): FinishResult {
  let attempt = row;
  const execution = executionBySeq(tx, attempt.execution);
  const task = requireTask(tx, attempt);
  const repeated = isTerminal(attempt.state);
  // Nobody may have heard of what the first call did.
  let turnPassedOn = repeated;
  if (!repeated) {
    attempt = endAttempt(tx, row, params);
    addUsage(execution, attempt);
    const { maxRetries, retry } = specOf(execution);
    const step = nextStep({
      result: params.result,
      maxRetries,
      policy: retry,
      random: params.random,
      retries: task.retries,
      infraFailures: failuresBefore(tx, row, task, params.result),
      cancelRequested: execution.cancel_request_time !== null || execution.halt_reason !== null,
      final: params.final,
      now: tx.now,
    });
    moveTask(tx, execution, task, params.result, step);
    if (step.task === 'FAILED') haltAfterFailures(tx, execution);
    endIfDone(tx, execution);
    ({ turnPassedOn } = saveExecution(tx, execution));
  }
  return {
    attempt: toAttempt(attempt),
    task: toTask(task, execution.name),
    execution: toExecution(execution),
    repeated,
    turnPassedOn,
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
function endAttempt(tx: Tx, row: AttemptRow, params: RowEnd): AttemptRow {
  const { result, logBytes } = params;
  assertMove('attempt', row.state, result.state);
  const ended: AttemptRow = {
    ...row,
    state: result.state,
    reason: result.reason,
    message: result.message,
    exit_code: result.exitCode,
    signal: result.signal,
    end_time: result.endTime,
    output: result.state === 'SUCCEEDED' ? (result.output ?? null) : null,
    log_stdout: logBytes?.stdout ?? null,
    log_stderr: logBytes?.stderr ?? null,
    ...usageColumns(params, row),
  };
  tx.db.run(
    `UPDATE attempts SET state = ?, reason = ?, message = ?, exit_code = ?, signal = ?, end_time = ?,
     log_stdout = ?, log_stderr = ?, wall_ms = ?, cpu_ms = ?, peak_memory = ?, measure_time = ?, pulled_bytes = ?,
     output = ? WHERE execution = ? AND idx = ? AND attempt = ?`,
    ended.state,
    ended.reason,
    ended.message,
    ended.exit_code,
    ended.signal,
    ended.end_time,
    ended.log_stdout,
    ended.log_stderr,
    ended.wall_ms,
    ended.cpu_ms,
    ended.peak_memory,
    ended.measure_time,
    ended.pulled_bytes,
    ended.output,
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
  else endTask(tx, execution, task, result, step);
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
  step: Exclude<NextStep, { task: 'PENDING' }>,
): void {
  task.completion_time = tx.now;
  execution[COUNTER[step.task]] += 1;
  if (step.task !== 'FAILED' || execution.fail_reason !== null) return;
  const noRetry = step.byRule === true ? ', which "retry" of its job does not try again' : '';
  execution.fail_reason = result.reason;
  execution.fail_message = `Task ${task.idx} failed${afterRetries(task)}: ${whatHappened(result)}${noRetry}.`;
}

/** The attempt's own words, in the middle of a sentence. */
function whatHappened({ message }: AttemptResult): string {
  const words = message.replace(/\.$/, '');
  // An abbreviation stays as it is.
  return /^[A-Z][a-z ]/.test(words) ? words.charAt(0).toLowerCase() + words.slice(1) : words;
}

function afterRetries({ retries }: Pick<Task, 'retries'>): string {
  if (retries === 0) return '';
  return retries === 1 ? ' after 1 retry' : ` after ${retries} retries`;
}
