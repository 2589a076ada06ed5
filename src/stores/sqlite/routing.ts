import type { Decision } from '../../core/decision.ts';
import type { StoredEvent } from '../../core/event.ts';
import type { ExecutionState } from '../../core/states.ts';
import type { DecideParams, EventOutcome, NewDecision } from '../../core/store.ts';
import type { Tx } from './db.ts';
import { insertExecution } from './executions.ts';
import { jsonOrNull, toDecision, toEvent } from './rows.ts';
import type { DecisionRow, EventRow } from './rows.ts';

export function undecidedEvents(tx: Tx, limit: number): StoredEvent[] {
  return tx.db
    .all<EventRow>('SELECT * FROM events WHERE decide_time IS NULL ORDER BY seq LIMIT ?+0', limit)
    .map(toEvent);
}

/** Its executions hold the event: it is not pruned before them. */
export function decide(tx: Tx, { event, decisions }: DecideParams): 'decided' | 'gone' {
  const causes = decisions.flatMap(({ execution }) => execution?.cause ?? []);
  const row = tx.db.get<{ seq: number }>(
    'SELECT seq FROM events WHERE uid = ? AND decide_time IS NULL',
    event,
  );
  if (row === undefined) return 'gone';
  tx.db.run(
    'UPDATE events SET decide_time = ?, holds = holds + ? WHERE seq = ?',
    tx.now,
    causes.filter((cause) => cause.kind === 'event' && cause.event === event).length,
    row.seq,
  );
  for (const decision of decisions) insertDecision(tx, row.seq, decision);
  return 'decided';
}

function insertDecision(tx: Tx, eventSeq: number, decision: NewDecision): void {
  if (decision.execution !== undefined) insertExecution(tx, decision.execution);
  tx.db.run(
    `INSERT INTO decisions
     (event_seq, trigger_name, outcome, reason, clause, read_values, execution, decide_time)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    eventSeq,
    decision.trigger,
    decision.outcome,
    decision.reason,
    decision.clause ?? null,
    jsonOrNull(decision.values),
    decision.execution?.name ?? null,
    tx.now,
  );
}

export function eventOutcome(tx: Tx, uid: string): EventOutcome | undefined {
  const event = tx.db.get<{ seq: number; decide_time: number | null }>(
    'SELECT seq, decide_time FROM events WHERE uid = ?',
    uid,
  );
  if (event === undefined) return keptAnswer(tx, uid);
  const executions = tx.db.all<{ name: string; state: ExecutionState }>(
    'SELECT name, state FROM executions WHERE event_uid = ? ORDER BY seq',
    uid,
  );
  return {
    decided: event.decide_time !== null,
    decisions: decisionsOf(tx, event.seq),
    executions: Object.fromEntries(executions.map(({ name, state }) => [name, state])),
  };
}

/** Of an event that was pruned; see `pruneEvent`. */
function keptAnswer(tx: Tx, uid: string): EventOutcome | undefined {
  const key = tx.db.get<{ answer: string }>(
    'SELECT answer FROM event_keys WHERE event_uid = ? AND answer IS NOT NULL',
    uid,
  );
  if (key === undefined) return undefined;
  const kept = JSON.parse(key.answer) as Omit<Decision, 'event' | 'values'>[];
  const decisions = kept.map((decision) => ({ event: uid, values: null, ...decision }));
  return { decided: true, decisions, executions: {} };
}

function decisionsOf(tx: Tx, eventSeq: number): Decision[] {
  return tx.db
    .all<DecisionRow>(
      `SELECT e.uid AS event_uid, d.* FROM decisions d JOIN events e ON e.seq = d.event_seq
       WHERE d.event_seq = ? ORDER BY d.trigger_name`,
      eventSeq,
    )
    .map(toDecision);
}
