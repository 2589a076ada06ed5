import type { Origin } from '../../core/event.ts';
import type {
  AcceptedEvent,
  AcceptEvent,
  AcceptParams,
  AcceptResult,
  StateRow,
  StateWrite,
} from '../../core/store.ts';
import { idReused } from '../../core/identity.ts';
import type { Tx } from './db.ts';
import { jsonOrNull, toState } from './rows.ts';
import type { StateRowRow } from './rows.ts';

/** Every `expect` is held against what stood before the call; only then is anything written. */
export function acceptEvents(tx: Tx, { origin, events, state }: AcceptParams): AcceptResult {
  const conflict = state.find((write) => !holds(tx, origin, write));
  if (conflict !== undefined) return { outcome: 'conflict', key: conflict.key };
  const accepted = events.map((event) => acceptEvent(tx, origin, event));
  for (const write of state) writeState(tx, origin, write);
  return { outcome: 'stored', events: accepted };
}

export function acceptEvent(tx: Tx, origin: Origin, accept: AcceptEvent): AcceptedEvent {
  if (!claimIdentity(tx, origin, accept))
    return { uid: accept.uid, duplicateOf: countDuplicate(tx, origin, accept) };
  insertEvent(tx, origin, accept);
  return { uid: accept.uid };
}

/** Whatever its identity. `decideTime`: null = routing is to find it. */
export function insertEvent(
  tx: Tx,
  origin: Origin,
  { uid, trigger, event, claims, verdict }: Omit<AcceptEvent, 'rememberMs' | 'digest' | 'identity'>,
  decideTime: number | null = null,
): void {
  tx.db.run(
    `INSERT INTO events (uid, origin, trigger_name, type, receive_time, decide_time, claims, verdict, envelope)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    uid,
    origin,
    trigger,
    event.type,
    tx.now,
    decideTime,
    jsonOrNull(claims),
    jsonOrNull(verdict),
    JSON.stringify(event),
  );
}

/** One statement for the common case: a new identity, or an expired one that counts as absent. */
function claimIdentity(
  tx: Tx,
  origin: Origin,
  { uid, event, rememberMs, digest, identity = event }: AcceptEvent,
): boolean {
  const expires = Math.min(tx.now + rememberMs, Number.MAX_SAFE_INTEGER);
  const changes = tx.db.run(
    `INSERT INTO event_keys (origin, source, id, event_uid, expires_at, digest) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (origin, source, id) DO UPDATE
     SET event_uid = excluded.event_uid, expires_at = excluded.expires_at, digest = excluded.digest, answer = NULL
     WHERE expires_at <= ?`,
    origin,
    identity.source,
    identity.id,
    uid,
    expires,
    digest ?? null,
    tx.now,
  );
  return changes === 1;
}

/** Errors: ID_REUSED; what the call has written so far is rolled back. */
function countDuplicate(
  tx: Tx,
  origin: Origin,
  { uid, event, digest, identity = event }: AcceptEvent,
): string {
  const first = tx.db.get<{ event_uid: string; digest: string | null }>(
    'SELECT event_uid, digest FROM event_keys WHERE origin = ? AND source = ? AND id = ?',
    origin,
    identity.source,
    identity.id,
  );
  // Either is absent: nobody said what belongs to it (an event of a version before, or one fired without a key).
  const known = first?.digest ?? digest;
  if (digest !== undefined && known !== digest) throw idReused(identity.id);
  const firstUid = first?.event_uid ?? uid;
  tx.db.run('UPDATE events SET duplicates = duplicates + 1 WHERE uid = ?', firstUid);
  return firstUid;
}

function holds(tx: Tx, origin: Origin, { key, expect }: StateWrite): boolean {
  if (expect === undefined) return true;
  return (readState(tx, origin, key)?.version ?? null) === expect;
}

function writeState(tx: Tx, origin: Origin, { key, value, expires }: StateWrite): void {
  if (value === null) {
    tx.db.run('DELETE FROM source_state WHERE origin = ? AND key = ?', origin, key);
    return;
  }
  // From one sequence for all rows, so that a row deleted and made again never has an earlier version.
  tx.db.run(`UPDATE sequences SET value = value + 1 WHERE name = 'state'`);
  tx.db.run(
    `INSERT INTO source_state (origin, key, value, version, expires_at)
     VALUES (?, ?, ?, (SELECT value FROM sequences WHERE name = 'state'), ?)
     ON CONFLICT (origin, key) DO UPDATE
     SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at`,
    origin,
    key,
    JSON.stringify(value),
    expires ?? null,
  );
}

export function readState(tx: Tx, origin: Origin, key: string): StateRow | undefined {
  const row = tx.db.get<StateRowRow>(
    'SELECT key, value, version FROM source_state WHERE origin = ? AND key = ?',
    origin,
    key,
  );
  return row && toState(row);
}

export function scanState(
  tx: Tx,
  origin: Origin,
  prefix: string,
  after: string | null,
  limit: number,
): StateRow[] {
  const end = prefixEnd(prefix);
  const rows = tx.db.all<StateRowRow>(
    `SELECT key, value, version FROM source_state
     WHERE origin = ? AND key >= ? ${end === null ? '' : 'AND key < ?'} ${after === null ? '' : 'AND key > ?'}
     ORDER BY key LIMIT ?+0`,
    origin,
    prefix,
    ...(end === null ? [] : [end]),
    ...(after === null ? [] : [after]),
    limit,
  );
  return rows.map(toState);
}

/** The first text, in code point order, after all that start with `prefix`; null where there is none. */
function prefixEnd(prefix: string): string | null {
  const points = Array.from(prefix, (char) => char.codePointAt(0) ?? 0);
  for (;;) {
    const last = points.pop();
    if (last === undefined) return null;
    // Surrogates are no code points of a text: after U+D7FF comes U+E000.
    if (last < 0x10ffff) return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1);
  }
}
