import type { Decision } from '../../core/decision.ts';
import type { StoredEvent } from '../../core/event.ts';
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
export function decide(tx: Tx, { event, decisions }: DecideParams): EventOutcome | undefined {
  const causes = decisions.flatMap(({ execution }) => execution?.cause ?? []);
  const row = tx.db.get<{ seq: number }>(
    'SELECT seq FROM events WHERE uid = ? AND decide_time IS NULL',
    event,
  );
  if (row === undefined) return undefined;
  tx.db.run(
    'UPDATE events SET decide_time = ?, holds = holds + ? WHERE seq = ?',
    tx.now,
    causes.filter((cause) => cause.kind === 'event' && cause.event === event).length,
    row.seq,
  );
  const told = decisions.map((decision) =>
    insertDecision(tx, row.seq, asRead(event, decision, tx.now), decision),
  );
  return { decided: true, decisions: told.toSorted((a, b) => (a.trigger < b.trigger ? -1 : 1)) };
}

/**
 * What a read of it gives: calls are answered with it, and are spared the read. A reason may quote half a character of
 * the event, which SQLite would keep as bytes that are no text.
 */
function asRead(event: string, decision: NewDecision, decideTime: number): Decision {
  const { trigger, outcome, reason, clause, values, execution } = decision;
  return {
    event,
    trigger,
    outcome,
    reason: reason.toWellFormed(),
    clause: clause?.toWellFormed() ?? null,
    values: values ?? null,
    execution: execution?.name ?? null,
    decideTime,
  };
}

function insertDecision(tx: Tx, eventSeq: number, decision: Decision, { execution }: NewDecision): Decision {
  if (execution !== undefined) insertExecution(tx, execution);
  tx.db.run(
    `INSERT INTO decisions
     (event_seq, trigger_name, outcome, reason, clause, read_values, execution, decide_time)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    eventSeq,
    decision.trigger,
    decision.outcome,
    decision.reason,
    decision.clause,
    jsonOrNull(decision.values),
    decision.execution,
    decision.decideTime,
  );
  return decision;
}

/** With each decision on the event; one row without a decision where there is none. */
type OutcomeRow = { readonly decided: 0 | 1 } & (DecisionRow | { readonly trigger_name: null });

/**
 * Each answer to a duplicate reads this: one statement needs no transaction. Nor does the second one, where the event is
 * not there: pruning removes an event in the transaction that keeps its answer, and no event comes back. So what the
 * first no longer sees has its answer before the second reads, or has none any more, or was not there yet.
 */
export function eventOutcome(tx: Tx, uid: string): EventOutcome | undefined {
  const rows = tx.db.all<OutcomeRow>(
    `SELECT e.decide_time IS NOT NULL AS decided, e.uid AS event_uid, d.*
     FROM events e LEFT JOIN decisions d ON d.event_seq = e.seq
     WHERE e.uid = ? ORDER BY d.trigger_name`,
    uid,
  );
  const [first] = rows;
  if (first === undefined) return keptAnswer(tx, uid);
  const decisions = rows.flatMap((row) => (row.trigger_name === null ? [] : toDecision(row)));
  return { decided: first.decided === 1, decisions };
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
  return { decided: true, decisions };
}
