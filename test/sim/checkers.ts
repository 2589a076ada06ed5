import type { Decision } from '../../src/core/decision.ts';
import type { StoredEvent } from '../../src/core/event.ts';
import type { Execution } from '../../src/core/execution.ts';
import type { Page, PageParams, QueryStore } from '../../src/core/store.ts';
import type { SourceHealth } from '../../src/inbox/source-host.ts';
import { SCHEDULES, TRIGGERS, expectedOutcomes, messageEvent } from './scenario.ts';
import type { Schedule } from './scenario.ts';
import type { Message } from './sender.ts';

/**
 * `lost`: acknowledged or due, and no event, decision or execution of it. `duplicated`: more than one for an identity.
 * `unexpected`: nobody sent it, it was not due, or its answer is another than the model's. `stuck`: not settled after quiet.
 */
export type FindingKind = 'lost' | 'duplicated' | 'unexpected' | 'stuck';
export interface Finding {
  readonly kind: FindingKind;
  readonly what: string;
}

export interface Outcome {
  readonly store: QueryStore;
  readonly health: readonly SourceHealth[];
  readonly messages: readonly Message[];
  /** When the gateway first ran, and now. */
  readonly start: number;
  readonly now: number;
  /** Each time that the clock was set: what it showed before and after. */
  readonly clockSet: readonly { readonly from: number; readonly to: number }[];
}

const LATE_MS = 3_600_000;
/** For a database that is held by another, and a little more. */
const STORE_WAITS_MS = 11_000;
const MISSED_MAX = 100;

interface Rows {
  readonly events: readonly StoredEvent[];
  /** By event uid. */
  readonly decisions: ReadonlyMap<string, readonly Decision[]>;
  readonly executions: readonly Execution[];
}

/** Reads everything that is stored and holds it against what was sent and what was due. */
export async function check(outcome: Outcome): Promise<Finding[]> {
  const rows = await readAll(outcome.store);
  return [
    ...checkSettled(outcome, rows),
    ...checkOnce(rows),
    ...checkExecutions(rows),
    ...outcome.messages.flatMap((message) => checkMessage(message, rows)),
    ...checkStrangers(outcome.messages, rows),
    ...SCHEDULES.flatMap((schedule) => checkSchedule(schedule, outcome, rows)),
  ];
}

async function readAll(store: QueryStore): Promise<Rows> {
  const events = await all((page) => store.listEvents({}, page));
  const decisions = new Map<string, Decision[]>();
  for (const name of TRIGGERS.keys()) {
    for (const decision of await all((page) => store.listDecisions({ trigger: name }, page))) {
      decisions.set(decision.event, [...(decisions.get(decision.event) ?? []), decision]);
    }
  }
  const executions = await all((page) => store.listExecutions({}, page));
  // Lists are newest first.
  return { events: events.toReversed(), decisions, executions };
}

async function all<T>(list: (page: PageParams) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = [];
  let page = await list({ size: 1000 });
  items.push(...page.items);
  while (page.nextCursor !== null) {
    page = await list({ size: 1000, cursor: page.nextCursor });
    items.push(...page.items);
  }
  return items;
}

function checkSettled({ health, messages }: Outcome, { events }: Rows): Finding[] {
  const stuck = (what: string): Finding => ({ kind: 'stuck', what });
  return [
    ...health
      .filter(({ state }) => state !== 'running')
      .map(({ name, state }) => stuck(`source ${name} is ${state}`)),
    ...messages.filter(({ acked }) => !acked).map(({ n }) => stuck(`message ${n} was never acknowledged`)),
    ...events
      .filter(({ decideTime }) => decideTime === null)
      .map((event) => stuck(`${label(event)} is undecided`)),
  ];
}

const label = (event: StoredEvent): string => `${event.origin} ${event.event.source} ${event.event.id}`;

/** One event per identity, one execution per event and trigger. */
function checkOnce({ events, executions }: Rows): Finding[] {
  const started = executions.map(({ cause }) =>
    cause.kind === 'event'
      ? `execution of ${cause.event} by ${cause.trigger}`
      : `execution by ${cause.principal}`,
  );
  return repeated([...events.map(label), ...started]).map((what) => ({ kind: 'duplicated', what }));
}

function repeated(keys: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts].filter(([, count]) => count > 1).map(([key, count]) => `${key}: ${count} times`);
}

/** A decision and its execution are one transaction: each names the other. */
function checkExecutions({ decisions, executions }: Rows): Finding[] {
  const byName = new Map(executions.map((execution) => [execution.name, execution]));
  const findings: Finding[] = [];
  for (const decision of [...decisions.values()].flat()) {
    const wanted = decision.outcome === 'matched';
    const there = decision.execution !== null && byName.delete(decision.execution);
    const what = `${decision.trigger} on ${decision.event}: ${decision.outcome}, execution ${decision.execution}`;
    if (wanted && !there) findings.push({ kind: 'lost', what });
    if (!wanted && there) findings.push({ kind: 'unexpected', what });
  }
  for (const name of byName.keys())
    findings.push({ kind: 'unexpected', what: `execution ${name} without a decision` });
  return findings;
}

function checkMessage({ n, endpoint, acked }: Message, rows: Rows): Finding[] {
  const { id } = messageEvent(n);
  const event = rows.events.find((one) => one.origin === endpoint.origin && one.event.id === id);
  if (event === undefined)
    return acked ? [{ kind: 'lost', what: `message ${n} was acknowledged and is not stored` }] : [];
  if (event.decideTime === null) return [];
  const decisions = rows.decisions.get(event.uid) ?? [];
  const given = Object.fromEntries(decisions.map(({ trigger, outcome }) => [trigger, outcome]));
  const wanted = expectedOutcomes(endpoint, n);
  const findings: Finding[] = [];
  for (const name of new Set([...Object.keys(given), ...Object.keys(wanted)])) {
    if (given[name] === wanted[name]) continue;
    const kind = given[name] === undefined ? 'lost' : 'unexpected';
    findings.push({ kind, what: `message ${n}: ${name} answered ${given[name]}, not ${wanted[name]}` });
  }
  return findings;
}

function checkStrangers(messages: readonly Message[], { events }: Rows): Finding[] {
  const known = new Set(messages.map(({ n, endpoint }) => `${endpoint.origin} /sender message-${n}`));
  const schedules = new Set(SCHEDULES.map(({ name }) => `trigger/${name}`));
  return events
    .filter((event) => !schedules.has(event.origin) && !known.has(label(event)))
    .map((event) => ({ kind: 'unexpected', what: `${label(event)}: nobody sent it` }));
}

/** A fired slot, and how far back the slots reach that it says were missed. */
interface Covered {
  readonly from: number;
  readonly slot: number;
}

/** Every slot since the first start has an event, or is named as missed by one; each event was due, and late or not. */
function checkSchedule(schedule: Schedule, outcome: Outcome, rows: Rows): Finding[] {
  const { name, periodMs } = schedule;
  const { start, now } = outcome;
  const events = rows.events.filter(({ origin }) => origin === `trigger/${name}`);
  const covered = events.map(coverOf);
  return [
    ...events.flatMap((event, i) => checkSlot(schedule, event, covered[i] ?? coverOf(event), outcome, rows)),
    ...gaps(covered, periodMs, start, now).map((slot): Finding => {
      return { kind: 'lost', what: `${name}: the slot ${new Date(slot).toISOString()} has no event` };
    }),
  ];
}

function coverOf({ event }: StoredEvent): Covered {
  const { missedSince } = event.data as { missedSince: string | null };
  const slot = Date.parse(event.id);
  return { from: missedSince === null ? slot : Date.parse(missedSince), slot };
}

function checkSlot(
  { name, periodMs }: Schedule,
  event: StoredEvent,
  cover: Covered,
  { clockSet }: Outcome,
  rows: Rows,
): Finding[] {
  const { receiveTime } = event;
  const late = receiveTime - cover.slot;
  // It may have waited for the disk while the clock was set back from behind its slot.
  const waited = clockSet.filter(({ from, to }) => cover.slot <= from && to <= receiveTime);
  const wasDue = waited.some(({ from, to }) => to < from);
  // Or set ahead, which made it no later: it had been fired.
  const wasFired = waited.some(
    ({ from, to }) => from - cover.slot <= LATE_MS && receiveTime - to <= STORE_WAITS_MS,
  );
  const missed = Math.min((cover.slot - cover.from) / periodMs, MISSED_MAX + 1);
  const outcome = rows.decisions.get(event.uid)?.[0]?.outcome;
  const wanted = late <= LATE_MS || (wasFired && outcome === 'matched') ? 'matched' : 'late';
  const wrong = (what: string): Finding => ({
    kind: 'unexpected',
    what: `${name} ${event.event.id}: ${what}`,
  });
  return [
    ...(cover.slot % periodMs === 0 && (late >= 0 || wasDue) ? [] : [wrong('was not due')]),
    ...((event.event.data as { missed: number }).missed === missed ? [] : [wrong(`missed is not ${missed}`)]),
    ...(event.decideTime === null || outcome === wanted ? [] : [wrong(`${outcome}, not ${wanted}`)]),
  ];
}

/** The first slot of each stretch in (start, now] that nothing covers. */
function gaps(covered: readonly Covered[], periodMs: number, start: number, now: number): number[] {
  const found: number[] = [];
  let next = (Math.floor(start / periodMs) + 1) * periodMs;
  for (const { from, slot } of covered.toSorted((a, b) => a.from - b.from)) {
    if (from > next && next <= now) found.push(next);
    next = Math.max(next, slot + periodMs);
  }
  if (next <= now) found.push(next);
  return found;
}
