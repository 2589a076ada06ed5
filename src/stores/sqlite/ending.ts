import type { CloudEvent } from '../../core/event.ts';
import type { HaltReason } from '../../core/execution.ts';
import { assertMove } from '../../core/states.ts';
import { formatDuration } from '../../lib/duration.ts';
import type { Tx } from './db.ts';
import { insertEvent } from './inbox.ts';
import { notifyEnd } from './notifications.ts';
import { causeOf, endOf, specOf } from './rows.ts';
import type { ExecutionRow } from './rows.ts';

/** The execution ends with its last task; after a cancel or a halt, with its last container. The caller saves it. */
export function endIfDone(tx: Tx, execution: ExecutionRow): void {
  const { cancel_request_time: cancelTime, halt_reason: halt, running } = execution;
  if (cancelTime === null && halt === null) return endByTasks(tx, execution);
  if (running > 0) return;
  // What never got a row counts as cancelled from here on.
  execution.cancelled += execution.task_count - execution.next_index;
  if (halt === null) endCancelled(tx, execution);
  // It came too late to stop anything.
  else if (execution.cancelled === 0) endByTasks(tx, execution);
  else endExecution(tx, execution, 'FAILED', halt, haltMessage(execution, halt));
}

function endByTasks(tx: Tx, execution: ExecutionRow): void {
  const { to_run: count, succeeded, failed, cancelled } = execution;
  if (succeeded + failed + cancelled < count) return;
  if (failed > 0) endExecution(tx, execution, 'FAILED', execution.fail_reason, failedMessage(execution));
  else if (cancelled > 0) endExecution(tx, execution, 'CANCELLED', 'CANCELLED', 'A task was cancelled.');
  else endExecution(tx, execution, 'SUCCEEDED', null, succeededMessage(execution));
}

function succeededMessage({ to_run: count }: ExecutionRow): string {
  return count === 1 ? 'The task succeeded.' : `All ${count} tasks succeeded.`;
}

function failedMessage({ failed, fail_message: first }: ExecutionRow): string | null {
  if (failed <= 1) return first;
  return failed === 2
    ? `${first} 1 other task failed too.`
    : `${first} ${failed - 1} other tasks failed too.`;
}

function endCancelled(tx: Tx, execution: ExecutionRow): void {
  if (execution.succeeded === execution.to_run) {
    const message = `${succeededMessage(execution)} A cancel was asked for after everything had succeeded.`;
    endExecution(tx, execution, 'SUCCEEDED', null, message);
    return;
  }
  endExecution(tx, execution, 'CANCELLED', 'CANCELLED', `Cancelled by ${execution.cancel_by ?? 'someone'}.`);
}

function haltMessage(execution: ExecutionRow, halt: HaltReason): string {
  const { deadlineMs = 0, maxFailedTasks = 0 } = specOf(execution);
  const { to_run: count, succeeded, failed, cancelled, fail_message: first } = execution;
  if (halt === 'NEVER_FITS') return first ?? '';
  if (halt === 'TOO_MANY_FAILED') {
    const others =
      cancelled === 1 ? 'The other task was cancelled' : `The other ${cancelled} tasks were cancelled`;
    const limit = maxFailedTasks === 0 ? 'failFast' : `maxFailedTasks is ${maxFailedTasks}`;
    return `${failedMessage(execution) ?? ''} ${others}: ${limit}.`;
  }
  const had = failed === 0 ? '' : `, ${failed} had failed`;
  const message = `Not done within its deadline of ${formatDuration(deadlineMs)}: ${succeeded} of ${count} ${count === 1 ? 'task' : 'tasks'} had succeeded${had}, ${cancelled} ${cancelled === 1 ? 'was' : 'were'} cancelled.`;
  return first === null ? message : `${message} ${first}`;
}

function endExecution(
  tx: Tx,
  execution: ExecutionRow,
  state: 'SUCCEEDED' | 'FAILED' | 'CANCELLED',
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
  notifyEnd(tx, execution);
}

/**
 * The only way back from the executor to routing: an event like any other, in the transaction of the end, which there is
 * once. So its identity is not remembered. No kind of source lets a trigger listen to ends, so there is nothing left to
 * decide on it: to leave that to routing would cost every execution a read and a write more.
 */
function announceEnd(tx: Tx, execution: ExecutionRow): void {
  const { uid, name, job, state, rerun_of: rerunOf } = execution;
  const event: CloudEvent = {
    specversion: '1.0',
    id: uid,
    source: `/jobs/${job}`,
    type: `dev.tappet.execution.v1.${state.toLowerCase()}`,
    time: new Date(tx.now).toISOString(),
    subject: name,
    datacontenttype: 'application/json',
    data: Object.assign(
      {},
      endOf(execution),
      { cause: { ...causeOf(execution) } },
      rerunOf === null ? {} : { rerunOf },
    ),
  };
  const uidOfEvent = tx.ids.uid();
  insertEvent(
    tx,
    'execution',
    { uid: uidOfEvent, trigger: null, event, claims: null, verdict: null },
    tx.now,
  );
}
