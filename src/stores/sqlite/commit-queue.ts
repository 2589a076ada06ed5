import type { Clock } from '../../core/clock.ts';
import { TappetError } from '../../core/errors.ts';
import { isBusy, isStoreFailure, operationError, unavailable } from './db.ts';
import type { Db, Tx } from './db.ts';

/** SQLite's writer lock is held for milliseconds: short enough to be quick, long enough not to burn a core. */
const BUSY_PAUSE_MS = 5;
/** Longer than any commit or checkpoint of a healthy neighbour; then callers are told to come again. */
const BUSY_LIMIT_MS = 10_000;

type Settle = () => void;

interface Operation {
  /** Runs the statements; returns what tells the caller, to be called after the commit. */
  readonly perform: (tx: Tx) => Settle;
  readonly reject: (error: unknown) => void;
}

export interface CommitQueueOptions {
  readonly clock: Clock;
  /** Calls its argument at the end of the event-loop turn. */
  readonly schedule: (flush: () => void) => void;
  /** The open database, made anew where it was lost. Throws where that fails. */
  readonly database: () => Db;
  /** The connection is not to be used again if the error says so. */
  readonly failed: (error: unknown) => void;
  readonly transaction: (db: Db) => Tx;
}

/**
 * Group commit: the write calls of one event-loop turn share one transaction, in the order of the calls, and their
 * promises settle after its COMMIT. An operation that throws undoes only itself and rejects only its caller.
 *
 * States: `idle` (nothing waits) → `scheduled` (a flush is ordered for the end of the turn) → `idle`, or `busy`
 * (another process writes: all that waits is tried again after a pause) → `idle`. `closed` is a flag beside them:
 * what waits is still committed.
 */
export class CommitQueue {
  readonly #options: CommitQueueOptions;
  #state: 'idle' | 'scheduled' | 'busy' = 'idle';
  #closed = false;
  #waiting: Operation[] = [];
  #busyMs = 0;
  readonly #onIdle: (() => void)[] = [];

  constructor(options: CommitQueueOptions) {
    this.#options = options;
  }

  /**
   * Runs `operation` in the next commit. It may run twice, so it must have no effect but through its `tx`.
   * Errors: STORE_UNAVAILABLE, and what the operation throws.
   */
  write<T>(operation: (tx: Tx) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) {
        reject(new TappetError('STORE_UNAVAILABLE', 'The store is closed.'));
        return;
      }
      const perform = (tx: Tx): Settle => {
        const value = operation(tx);
        return () => resolve(value);
      };
      this.#waiting.push({ perform, reject });
      if (this.#state !== 'idle') return;
      this.#state = 'scheduled';
      // `close` may have flushed before the turn ends.
      this.#options.schedule(() => this.#flushIf('scheduled'));
    });
  }

  /** Takes no more operations, and commits what waits without waiting for the end of the turn. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#waiting.length === 0) return;
    const idle = new Promise<void>((resolve) => this.#onIdle.push(resolve));
    if (this.#state === 'scheduled') this.#flush();
    await idle;
  }

  #flushIf(state: 'scheduled' | 'busy'): void {
    if (this.#state === state) this.#flush();
  }

  #flush(): void {
    if (this.#waiting.length > 0 && !this.#commitAll()) {
      this.#state = 'busy';
      this.#busyMs += BUSY_PAUSE_MS;
      this.#options.clock.setTimer(BUSY_PAUSE_MS, () => this.#flushIf('busy'));
      return;
    }
    this.#state = 'idle';
    this.#busyMs = 0;
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  /** false: another process writes, try again. Else every operation that waited has been answered. */
  #commitAll(): boolean {
    const batch = this.#waiting;
    let settles: readonly Settle[];
    try {
      settles = this.#transact(batch);
    } catch (error) {
      if (isBusy(error) && this.#busyMs < BUSY_LIMIT_MS) return false;
      this.#options.failed(error);
      settles = batch.map((operation) => () => operation.reject(unavailable(error)));
    }
    this.#waiting = [];
    for (const settle of settles) settle();
    return true;
  }

  /**
   * First without savepoints, which cost a page copy each: if nothing throws, the outcome is the same. If an
   * operation throws, everything is undone, nobody has heard anything yet, and the batch runs again with them.
   */
  #transact(batch: readonly Operation[]): readonly Settle[] {
    const db = this.#options.database();
    try {
      return this.#run(db, (tx) => batch.map((operation) => operation.perform(tx)));
    } catch (error) {
      if (error instanceof CommitFailed) throw error.cause;
      if (isStoreFailure(error)) throw error;
    }
    try {
      return this.#run(db, (tx) => batch.map((operation) => performAlone(tx, operation)));
    } catch (error) {
      throw error instanceof CommitFailed ? error.cause : error;
    }
  }

  #run(db: Db, body: (tx: Tx) => readonly Settle[]): readonly Settle[] {
    db.run('BEGIN IMMEDIATE');
    try {
      const settles = body(this.#options.transaction(db));
      commit(db);
      return settles;
    } catch (error) {
      rollback(db);
      throw error;
    }
  }
}

/** Tells a failure of COMMIT, which concerns all, from one of a statement, whatever its code. */
class CommitFailed extends Error {}

function commit(db: Db): void {
  try {
    db.run('COMMIT');
  } catch (error) {
    throw new CommitFailed('COMMIT failed', { cause: error });
  }
}

/** The error that led here is the one to report; a connection whose ROLLBACK fails is given up for it anyway. */
function rollback(db: Db): void {
  try {
    db.rollback();
  } catch {
    return;
  }
}

function performAlone(tx: Tx, operation: Operation): Settle {
  tx.db.run('SAVEPOINT operation');
  try {
    const settle = operation.perform(tx);
    tx.db.run('RELEASE operation');
    return settle;
  } catch (error) {
    if (isStoreFailure(error) || !tx.db.inTransaction) throw error;
    tx.db.run('ROLLBACK TO operation');
    tx.db.run('RELEASE operation');
    return () => operation.reject(operationError(error));
  }
}
