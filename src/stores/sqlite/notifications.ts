import { executionPath } from '../../core/api.ts';
import { MOST_COUNTED, tellsOfFailures } from '../../core/notify.ts';
import type {
  ClaimedNotification,
  ClaimNotifications,
  Notification,
  NotificationCounts,
  NotificationFilter,
  NotificationKind,
  NotificationState,
  PruneNotifications,
  SettleNotification,
} from '../../core/notify.ts';
import type { Page, PageParams } from '../../core/page.ts';
import { pageStart, toPage } from './cursors.ts';
import type { Tx } from './db.ts';
import type { SqlValue } from './driver.ts';
import { causeOf, endOf, specOf } from './rows.ts';
import type { ExecutionRow } from './rows.ts';

interface NotificationRow {
  readonly seq: number;
  readonly id: string;
  readonly receiver: string;
  readonly kind: NotificationKind;
  readonly execution: string;
  readonly job: string;
  readonly lane: string | null;
  readonly body: string;
  readonly state: NotificationState;
  readonly attempts: number;
  readonly create_time: number;
  readonly due_time: number | null;
  readonly end_time: number | null;
  readonly last_status: number | null;
  readonly last_error: string | null;
}

/** How the last execution of a job ended, and of failures in a row the first. */
interface JobState {
  readonly state: 'SUCCEEDED' | 'FAILED';
  readonly execution: string;
  readonly time: number;
}

/** In the transaction that ends the execution. Where nobody is to be told, it costs no statement. */
export function notifyEnd(tx: Tx, execution: ExecutionRow): void {
  const { notify } = specOf(execution);
  if (notify === undefined) return;
  if (tellsOfFailures(notify)) {
    const before = moveJob(tx, execution);
    if (before !== undefined) {
      const failed = execution.state === 'FAILED';
      const receivers = failed ? notify.onFailure : notify.onRecovery;
      insertAll(tx, execution, receivers, failed ? 'failed' : 'recovered', before);
    }
  }
  insertAll(tx, execution, notify.onCompletion, 'completed', null);
}

/** Gives what the job was before where that tells something new: null = it had not failed. A cancelled execution says nothing. */
function moveJob(tx: Tx, { job, name, state }: ExecutionRow): JobState | null | undefined {
  if (state !== 'FAILED' && state !== 'SUCCEEDED') return undefined;
  const before = tx.db.get<JobState>('SELECT state, execution, time FROM notified_jobs WHERE job = ?', job);
  if (before?.state === state) return undefined;
  tx.db.run(
    `INSERT INTO notified_jobs (job, state, execution, time) VALUES (?, ?, ?, ?) ON CONFLICT (job)
     DO UPDATE SET state = excluded.state, execution = excluded.execution, time = excluded.time`,
    job,
    state,
    name,
    tx.now,
  );
  if (state === 'FAILED') return null;
  return before;
}

function insertAll(
  tx: Tx,
  execution: ExecutionRow,
  receivers: readonly string[],
  kind: NotificationKind,
  failure: JobState | null,
): void {
  if (receivers.length === 0) return;
  const body = JSON.stringify(messageOf(tx, execution, kind, failure));
  for (const receiver of receivers) insert(tx, execution, { receiver, kind, body });
}

interface NewNotification {
  readonly receiver: string;
  readonly kind: NotificationKind;
  readonly body: string;
}

function insert(tx: Tx, { name, job }: ExecutionRow, { receiver, kind, body }: NewNotification): void {
  const lane = kind === 'completed' ? null : job;
  const behind = lane !== null && firstOfLane(tx, receiver, lane) !== undefined;
  tx.db.run(
    `INSERT INTO notifications (id, receiver, kind, execution, job, lane, body, state, attempts, create_time, due_time)
     VALUES (?, ?, ?, ?, ?, ?, ?, 'PENDING', 0, ?, ?)`,
    tx.ids.uid(),
    receiver,
    kind,
    name,
    job,
    lane,
    body,
    tx.now,
    behind ? null : tx.now,
  );
}

/** What is sent: small, and nothing in it that a reader of the API may not see. */
function messageOf(
  tx: Tx,
  execution: ExecutionRow,
  kind: NotificationKind,
  failure: JobState | null,
): object {
  const { name, start_time: startTime } = execution;
  const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  const { kind: _, ...cause } = causeOf(execution);
  return {
    type: `dev.tappet.execution.v1.${kind}`,
    timestamp: time(tx.now),
    data: {
      ...endOf(execution),
      ...cause,
      ...(execution.rerun_of === null ? {} : { rerunOf: execution.rerun_of }),
      createTime: time(execution.create_time),
      startTime: time(startTime),
      completionTime: time(execution.completion_time),
      ...(failure === null ? {} : { failed: { execution: failure.execution, time: time(failure.time) } }),
      links: { api: executionPath(name), page: `/executions/${name}` },
    },
  };
}

export function claimNotifications(
  tx: Tx,
  { leaseMs, limit, receivers, maxAgeMs }: ClaimNotifications,
): ClaimedNotification[] {
  // Receiver by receiver, so that a hundred thousand messages of one that hangs are not looked at.
  const due = tx.db.all<NotificationRow>(
    `WITH RECURSIVE waiting (receiver) AS (
       SELECT min(receiver) FROM notifications WHERE due_time IS NOT NULL
       UNION ALL
       SELECT (SELECT min(receiver) FROM notifications WHERE due_time IS NOT NULL AND receiver > waiting.receiver)
       FROM waiting WHERE receiver IS NOT NULL
     )
     SELECT notifications.* FROM waiting CROSS JOIN notifications ON seq = (
       SELECT seq FROM notifications WHERE receiver = waiting.receiver AND due_time IS NOT NULL AND due_time <= ?
       ORDER BY due_time, seq LIMIT 1
     ) WHERE waiting.receiver IN (SELECT value FROM json_each(?)) OR create_time <= ?`,
    tx.now,
    JSON.stringify(receivers),
    tx.now - maxAgeMs,
  );
  due.sort((a, b) => (a.due_time ?? 0) - (b.due_time ?? 0) || a.seq - b.seq);
  return due.slice(0, limit).map((row) => {
    const claimed = { ...row, attempts: row.attempts + 1, due_time: tx.now + leaseMs };
    tx.db.run(
      'UPDATE notifications SET attempts = ?, due_time = ? WHERE seq = ?',
      claimed.attempts,
      claimed.due_time,
      row.seq,
    );
    return { ...toNotification(claimed), body: row.body };
  });
}

export function settleNotification(tx: Tx, { id, attempt, outcome }: SettleNotification): boolean {
  const row = tx.db.get<NotificationRow>('SELECT * FROM notifications WHERE id = ?', id);
  if (row === undefined || row.state !== 'PENDING' || row.attempts !== attempt) return false;
  const pending = outcome.state === 'PENDING';
  tx.db.run(
    `UPDATE notifications SET state = ?, due_time = ?, end_time = ?, last_status = ?, last_error = ? WHERE seq = ?`,
    outcome.state,
    pending ? tx.now + outcome.afterMs : null,
    pending ? null : tx.now,
    outcome.status,
    outcome.state === 'DELIVERED' ? null : outcome.error,
    row.seq,
  );
  if (!pending && row.lane !== null) wakeLane(tx, row.receiver, row.lane);
  return true;
}

/** The one that may be sent; those behind it wait. */
function firstOfLane(tx: Tx, receiver: string, lane: string): number | undefined {
  return tx.db.get<{ seq: number }>(
    'SELECT seq FROM notifications WHERE receiver = ? AND lane = ? AND end_time IS NULL ORDER BY seq LIMIT 1',
    receiver,
    lane,
  )?.seq;
}

function wakeLane(tx: Tx, receiver: string, lane: string): void {
  const next = firstOfLane(tx, receiver, lane);
  if (next !== undefined)
    tx.db.run('UPDATE notifications SET due_time = ? WHERE seq = ? AND due_time IS NULL', tx.now, next);
}

export function listNotifications(
  tx: Tx,
  { execution, receiver, state }: NotificationFilter,
  page: PageParams,
): Page<Notification> {
  const [before] = pageStart(page, ['number']) ?? [Number.MAX_SAFE_INTEGER];
  const terms: readonly (readonly [string, SqlValue | undefined])[] = [
    ['execution', execution],
    ['receiver', receiver],
    ['state', state],
  ];
  const asked = terms.flatMap(([column, value]) => (value === undefined ? [] : [{ column, value }]));
  // By the index of the first, which finds the newest first.
  const sql = asked.map(({ column }, i) => `${i === 0 ? '' : '+'}${column} = ? AND `).join('');
  const rows = tx.db.all<NotificationRow>(
    `SELECT * FROM notifications WHERE ${sql}seq < ? ORDER BY seq DESC LIMIT ?+0`,
    ...asked.map(({ value }) => value),
    before,
    page.size + 1,
  );
  return toPage(rows, page.size, toNotification, ({ seq }) => [seq]);
}

export function notificationCounts(tx: Tx): NotificationCounts {
  const count = (state: NotificationState): number =>
    tx.db.get<{ n: number }>(
      'SELECT count(*) AS n FROM (SELECT 1 FROM notifications WHERE state = ? LIMIT ?+0)',
      state,
      MOST_COUNTED,
    )?.n ?? 0;
  const oldest = tx.db.get<{ create_time: number }>(
    `SELECT create_time FROM notifications WHERE state = 'PENDING' ORDER BY seq LIMIT 1`,
  );
  return {
    pending: count('PENDING'),
    givenUp: count('GIVEN_UP'),
    oldestPendingTime: oldest?.create_time ?? null,
  };
}

export function pruneNotifications(
  tx: Tx,
  { deliveredForMs, givenUpForMs, limit }: PruneNotifications,
): number {
  const prune = (state: NotificationState, keptMs: number): number =>
    tx.db.run(
      `DELETE FROM notifications WHERE seq IN (SELECT seq FROM notifications
       WHERE state = ? AND end_time <= ? ORDER BY end_time LIMIT ?+0)`,
      state,
      tx.now - keptMs,
      limit,
    );
  return prune('DELIVERED', deliveredForMs) + prune('GIVEN_UP', givenUpForMs);
}

function toNotification(row: NotificationRow): Notification {
  return {
    id: row.id,
    receiver: row.receiver,
    kind: row.kind,
    execution: row.execution,
    job: row.job,
    state: row.state,
    attempts: row.attempts,
    createTime: row.create_time,
    nextTime: row.due_time,
    endTime: row.end_time,
    lastStatus: row.last_status,
    lastError: row.last_error,
  };
}

/** Nobody is told of it (any more): what it was before says nothing once somebody is told again. */
export function forgetJob(tx: Tx, job: string): void {
  tx.db.run('DELETE FROM notified_jobs WHERE job = ?', job);
}
