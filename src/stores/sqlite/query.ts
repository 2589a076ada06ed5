import type { Decision } from '../../core/decision.ts';
import type { StoredEvent } from '../../core/event.ts';
import type { Attempt, Execution, Task } from '../../core/execution.ts';
import { isTerminal } from '../../core/states.ts';
import type {
  AttemptSpan,
  DecisionFilter,
  EventFilter,
  ExecutionFilter,
  Page,
  PageParams,
  StoreCounts,
} from '../../core/store.ts';
import { pageStart, toPage } from './cursors.ts';
import type { Tx } from './db.ts';
import type { SqlValue } from './driver.ts';
import { findExecution } from './executions.ts';
import { SELECT_ATTEMPT } from './executor.ts';
import { toAttempt, toDecision, toEvent, toExecution, toTask } from './rows.ts';
import type { AttemptRow, DecisionRow, EventRow, ExecutionRow, TaskRow } from './rows.ts';
import { HALT_WORDS } from './stopping.ts';

interface Where {
  readonly sql: string;
  readonly params: readonly SqlValue[];
}

/**
 * `terms` in the order of how much they narrow. The first that is asked for finds the rows by its index, newest
 * first; the unary plus keeps SQLite from choosing another index and sorting what that finds.
 */
function where(
  terms: readonly (readonly [column: string, value: SqlValue | undefined])[],
  always = 'TRUE',
): Where {
  const asked = terms.flatMap(([column, value]) => (value === undefined ? [] : [{ column, value }]));
  const parts = asked.map(({ column }, i) => `${i === 0 ? '' : '+'}${column} = ?`);
  return { sql: [always, ...parts].join(' AND '), params: asked.map(({ value }) => value) };
}

export function getEvent(tx: Tx, uid: string): StoredEvent | undefined {
  const row = tx.db.get<EventRow>('SELECT * FROM events WHERE uid = ?', uid);
  return row && toEvent(row);
}

export function listEvents(tx: Tx, filter: EventFilter, page: PageParams): Page<StoredEvent> {
  const [before] = pageStart(page, ['number']) ?? [Number.MAX_SAFE_INTEGER];
  const rows =
    filter.trigger === undefined
      ? eventRows(tx, filter, before, page.size + 1)
      : eventRowsOfTrigger(tx, { ...filter, trigger: filter.trigger }, before, page.size + 1);
  return toPage(rows, page.size, toEvent, ({ seq }) => [seq]);
}

function eventRows(tx: Tx, filter: EventFilter, before: number, limit: number): EventRow[] {
  const { sql, params } = where([
    ['origin', filter.origin],
    ['type', filter.type],
  ]);
  return tx.db.all<EventRow>(
    `SELECT * FROM events WHERE ${sql} AND seq < ? ORDER BY seq DESC LIMIT ?+0`,
    ...params,
    before,
    limit,
  );
}

/**
 * Two indexes, each newest first, whose numbers SQLite merges as it reads them: what came for the trigger alone (most
 * of it stands in both), and what it decided on. The rows by number afterwards, as a join of the two would be sorted.
 */
function eventRowsOfTrigger(
  tx: Tx,
  { trigger, origin, type }: EventFilter & { readonly trigger: string },
  before: number,
  limit: number,
): EventRow[] {
  const own = where([
    ['trigger_name', trigger],
    ['origin', origin],
    ['type', type],
  ]);
  const decided = where([
    ['d.trigger_name', trigger],
    ['e.origin', origin],
    ['e.type', type],
  ]);
  const found = tx.db.all<Pick<EventRow, 'seq'>>(
    `SELECT seq FROM events WHERE ${own.sql} AND seq < ?
     UNION
     SELECT d.event_seq FROM decisions d JOIN events e ON e.seq = d.event_seq
     WHERE ${decided.sql} AND d.event_seq < ?
     ORDER BY 1 DESC LIMIT ?+0`,
    ...own.params,
    before,
    ...decided.params,
    before,
    limit,
  );
  return found.flatMap(({ seq }) => tx.db.get<EventRow>('SELECT * FROM events WHERE seq = ?', seq) ?? []);
}

export function listDecisions(tx: Tx, filter: DecisionFilter, page: PageParams): Page<Decision> {
  const start = pageStart(page, ['number', 'string']);
  const { sql, params } = where([
    ['d.event_seq', filter.event === undefined ? undefined : eventSeq(tx, filter.event)],
    ['d.trigger_name', filter.trigger],
  ]);
  const rows = tx.db.all<DecisionRow>(
    `SELECT e.uid AS event_uid, d.* FROM decisions d JOIN events e ON e.seq = d.event_seq
     WHERE ${sql} ${start === null ? '' : 'AND (d.event_seq, d.trigger_name) < (?, ?)'}
     ORDER BY d.event_seq DESC, d.trigger_name DESC LIMIT ?+0`,
    ...params,
    ...(start ?? []),
    page.size + 1,
  );
  return toPage(rows, page.size, toDecision, (row) => [row.event_seq, row.trigger_name]);
}

/** -1, which no row has, where there is no such event. */
function eventSeq(tx: Tx, uid: string): number {
  return tx.db.get<{ seq: number }>('SELECT seq FROM events WHERE uid = ?', uid)?.seq ?? -1;
}

/** What readers may see of executions. */
function visibleExecution(tx: Tx, name: string): ExecutionRow | undefined {
  const row = findExecution(tx, name);
  return row?.delete_time === null ? row : undefined;
}

export function getExecution(tx: Tx, name: string): Execution | undefined {
  const row = visibleExecution(tx, name);
  return row && toExecution(row);
}

export function listExecutions(tx: Tx, filter: ExecutionFilter, page: PageParams): Page<Execution> {
  const [before] = pageStart(page, ['number']) ?? [Number.MAX_SAFE_INTEGER];
  const { sql, params } = executionsWhere(filter);
  const rows = tx.db.all<ExecutionRow>(
    `SELECT s.spec, s.context, s.labels, e.* FROM executions e JOIN execution_specs s ON s.execution = e.seq
     WHERE ${sql} AND e.seq < ? ORDER BY e.seq DESC LIMIT ?+0`,
    ...params,
    before,
    page.size + 1,
  );
  return toPage(rows, page.size, toExecution, ({ seq }) => [seq]);
}

/** Job with state is asked for most, and few of a job's executions have failed: that pair has an index of its own. */
function executionsWhere({ event, trigger, job, state }: ExecutionFilter): Where {
  const visible = 'e.delete_time IS NULL';
  if (job !== undefined && state !== undefined && event === undefined && trigger === undefined) {
    return { sql: `${visible} AND e.job = ? AND e.state = ?`, params: [job, state] };
  }
  const terms = [
    ['e.event_uid', event],
    ['e.trigger_name', trigger],
    ['e.job', job],
    ['e.state', state],
  ] as const;
  return where(terms, visible);
}

export function getTask(tx: Tx, name: string, index: number): Task | undefined {
  const execution = visibleExecution(tx, name);
  if (execution === undefined) return undefined;
  const row = tx.db.get<TaskRow>('SELECT * FROM tasks WHERE execution = ? AND idx = ?', execution.seq, index);
  if (row !== undefined) return toTask(row, name);
  // Below `next_index` only what a re-run leaves out has no row.
  const waits = index >= execution.next_index && index < execution.task_count;
  return waits ? unstartedTask(execution, index) : undefined;
}

/** A task gets its row when it starts; until then what its execution says is all there is to say. */
function unstartedTask(execution: ExecutionRow, index: number): Task {
  const { cancel_request_time: cancelTime, halt_reason: halt, completion_time: endTime } = execution;
  const cancelled = cancelTime !== null || halt !== null || isTerminal(execution.state);
  return {
    execution: execution.name,
    index,
    state: cancelled ? 'CANCELLED' : 'PENDING',
    attempts: 0,
    retries: 0,
    infraFailures: 0,
    notBefore: null,
    startTime: null,
    completionTime: cancelled ? (cancelTime ?? endTime ?? execution.update_time) : null,
    message: cancelled ? `${halt === null ? 'Cancelled' : HALT_WORDS[halt]} before it started.` : null,
  };
}

export function listTasks(tx: Tx, name: string, page: PageParams): Page<Task> {
  const [after] = pageStart(page, ['number']) ?? [-1];
  const execution = visibleExecution(tx, name);
  if (execution === undefined) return { items: [], nextCursor: null };
  const rows = tx.db.all<TaskRow>(
    'SELECT * FROM tasks WHERE execution = ? AND idx > ? ORDER BY idx LIMIT ?+0',
    execution.seq,
    after,
    page.size + 1,
  );
  // What has no row yet comes after all that have one.
  const first = Math.max(after + 1, execution.next_index);
  const count = Math.max(0, Math.min(page.size + 1 - rows.length, execution.task_count - first));
  const unstarted = Array.from({ length: count }, (_, i) => unstartedTask(execution, first + i));
  return toPage(
    [...rows.map((row) => toTask(row, name)), ...unstarted],
    page.size,
    (task) => task,
    ({ index }) => [index],
  );
}

export function listAttempts(tx: Tx, name: string, index: number): Attempt[] {
  return tx.db
    .all<AttemptRow>(
      `${SELECT_ATTEMPT} WHERE e.name = ? AND e.delete_time IS NULL AND a.idx = ? ORDER BY a.attempt`,
      name,
      index,
    )
    .map(toAttempt);
}

export function listSpans(tx: Tx, name: string, page: PageParams): Page<AttemptSpan> {
  const start = pageStart(page, ['number', 'number']) ?? [-1, -1];
  const execution = visibleExecution(tx, name);
  if (execution === undefined) return { items: [], nextCursor: null };
  const rows = tx.db.all<AttemptSpanRow>(
    `SELECT idx, attempt, state, create_time, end_time FROM attempts
     WHERE execution = ? AND (idx, attempt) > (?, ?) ORDER BY idx, attempt LIMIT ?+0`,
    execution.seq,
    ...start,
    page.size + 1,
  );
  return toPage(rows, page.size, toSpan, ({ idx, attempt }) => [idx, attempt]);
}

type AttemptSpanRow = Pick<AttemptRow, 'idx' | 'attempt' | 'state' | 'create_time' | 'end_time'>;
const toSpan = ({ idx, attempt, state, create_time, end_time }: AttemptSpanRow): AttemptSpan => ({
  index: idx,
  attempt,
  state,
  createTime: create_time,
  endTime: end_time,
});

export function counts(tx: Tx): StoreCounts {
  const count = (sql: string): number => tx.db.get<{ n: number }>(`SELECT count(*) AS n FROM ${sql}`)?.n ?? 0;
  return {
    undecidedEvents: count('events WHERE decide_time IS NULL'),
    pendingExecutions: count(`executions WHERE state = 'PENDING'`),
    runningExecutions: count(`executions WHERE state = 'RUNNING'`),
    runningAttempts: count('attempts WHERE end_time IS NULL'),
  };
}
