import { isSameLease } from '../../core/engine-store.ts';
import { TappetError } from '../../core/errors.ts';
import type { EngineInUse, EngineLease, HeldLease } from '../../core/store.ts';
import type { Tx } from './db.ts';

interface EngineRow {
  readonly owner: string | null;
  readonly epoch: number;
  readonly lease_until: number;
}

export interface AcquireParams {
  readonly engine: string;
  readonly owner: string;
  readonly leaseMs: number;
  /** Whether that owner's process is provably gone, whatever its lease says. */
  readonly isDead: (owner: string) => boolean;
  /** Seen for a whole lease. */
  readonly silent?: HeldLease | undefined;
}

export function acquireEngine(
  tx: Tx,
  { engine, owner, leaseMs, isDead, silent }: AcquireParams,
): EngineLease {
  const row = findEngine(tx, engine);
  const holder = row?.owner ?? null;
  const mine = holder === owner;
  if (row !== undefined && holder !== null && !mine) {
    const lease: HeldLease = { held: false, owner: holder, leaseUntil: row.lease_until };
    if (!isSameLease(silent, lease) && !isDead(holder)) return lease;
  }
  const epoch = mine ? (row?.epoch ?? 1) : (row?.epoch ?? 0) + 1;
  tx.db.run(
    `INSERT INTO engines (engine, owner, epoch, lease_until) VALUES (?, ?, ?, ?) ON CONFLICT (engine)
     DO UPDATE SET owner = excluded.owner, epoch = excluded.epoch,
       lease_until = excluded.lease_until + (lease_until = excluded.lease_until)`,
    engine,
    owner,
    epoch,
    tx.now + leaseMs,
  );
  tx.memo.forget();
  saveOwner(tx, owner, tx.now + leaseMs);
  if (holder !== null && !mine) forgetOwner(tx, holder);
  return { held: true, epoch };
}

/** Who holds the engine, for an owner whose name another process uses. */
export function describeEngine(tx: Tx, engine: string, owner: string): EngineLease {
  const row = findEngine(tx, engine);
  return { held: false, owner: row?.owner ?? owner, leaseUntil: row?.lease_until ?? tx.now };
}

export function renewEngine(tx: Tx, engine: string, epoch: number, leaseMs: number): void {
  const owner = requireEpoch(tx, engine, epoch);
  // Who waits must see that it was renewed, also where the clock was set back by just as much.
  const until = tx.now + leaseMs;
  tx.db.run('UPDATE engines SET lease_until = ? + (lease_until = ?) WHERE engine = ?', until, until, engine);
  tx.memo.forget();
  saveOwner(tx, owner, until);
}

/** The epoch stays, so that the next owner's is higher; without an owner, no write passes under it any more. */
export function releaseEngine(tx: Tx, engine: string, epoch: number): void {
  const row = findEngine(tx, engine);
  if (row === undefined || row.owner === null || row.epoch !== epoch) return;
  tx.db.run('UPDATE engines SET owner = NULL, lease_until = ? WHERE engine = ?', tx.now, engine);
  tx.memo.forget();
  forgetOwner(tx, row.owner);
}

export function enginesInUse(tx: Tx): EngineInUse[] {
  return tx.db.all<EngineInUse>(
    'SELECT engine, COUNT(*) AS openAttempts FROM attempts WHERE end_time IS NULL GROUP BY engine ORDER BY engine',
  );
}

/** Ends every owner's right to the engine: what is written under an epoch until now is refused from here on. */
export function raiseEpoch(tx: Tx, engine: string): void {
  const owner = findEngine(tx, engine)?.owner ?? null;
  tx.db.run(
    'UPDATE engines SET owner = NULL, epoch = epoch + 1, lease_until = ? WHERE engine = ?',
    tx.now,
    engine,
  );
  if (owner !== null) forgetOwner(tx, owner);
}

/** Somebody who may be alive is in charge of it. */
export function isHeld(tx: Tx, engine: string, isDead: AcquireParams['isDead']): boolean {
  const row = findEngine(tx, engine);
  return row !== undefined && row.owner !== null && row.lease_until > tx.now && !isDead(row.owner);
}

/** Returns the owner. Errors: STALE_EPOCH. */
export function requireEpoch(tx: Tx, engine: string, epoch: number): string {
  const row = tx.memo.get(`engine ${engine}`, () => findEngine(tx, engine));
  if (row !== undefined && row.owner !== null && row.epoch === epoch) return row.owner;
  const holder = row?.owner ?? null;
  const now = holder === null ? 'nobody holds it' : `${holder} holds it in epoch ${row?.epoch ?? 0}`;
  throw new TappetError(
    'STALE_EPOCH',
    `Epoch ${epoch} of engine ${engine} is over: ${now}. This gateway must not touch its containers.`,
  );
}

function findEngine(tx: Tx, engine: string): EngineRow | undefined {
  return tx.db.get<EngineRow>('SELECT owner, epoch, lease_until FROM engines WHERE engine = ?', engine);
}

function saveOwner(tx: Tx, owner: string, leaseUntil: number): void {
  tx.db.run(
    `INSERT INTO owners (owner, lease_until) VALUES (?, ?)
     ON CONFLICT (owner) DO UPDATE SET lease_until = excluded.lease_until`,
    owner,
    leaseUntil,
  );
}

/** An owner's row lives as long as it holds an engine. */
function forgetOwner(tx: Tx, owner: string): void {
  tx.db.run(
    'DELETE FROM owners WHERE owner = ? AND NOT EXISTS (SELECT 1 FROM engines WHERE engines.owner = owners.owner)',
    owner,
  );
}
