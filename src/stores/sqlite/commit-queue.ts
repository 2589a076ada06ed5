import type { Clock } from '../../core/clock.ts';
import { TappetError } from '../../core/errors.ts';
import { BusyWait } from './busy-wait.ts';
import { isBusy, isStoreFailure, operationError, unavailable, unsure } from './db.ts';
import type { Db, Tx } from './db.ts';

/** How long an operation that nobody waits for outside waits for others to share its commit. */
export const PATIENCE_MS = 5;

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
  /** Patient operations are held back so long for others; 0 = never. */
  readonly patienceMs: number;
  /** The open database, made anew where it was lost. Throws where that fails. */
  readonly database: () => Db;
  /** The connection is not to be used again if the error says so. */
  readonly failed: (error: unknown) => void;
  /** Resolves when the disk has all that was committed; undefined where there is no disk to wait for. */
  readonly sync: () => Promise<void> | undefined;
  readonly transaction: (db: Db) => Tx;
}

/**
 * Group commit: the write calls of one event-loop turn share one transaction, in the order of the calls, and their
 * promises settle when the disk has it. An operation that throws undoes only itself and rejects only its caller.
 *
 * SQLite's own way of waiting for the disk (synchronous=FULL) stops the event loop at every COMMIT. Here COMMIT only
 * writes, the same sync is asked for beside the event loop, and what comes meanwhile goes into the next commit: nobody
 * hears of a commit before it is as durable as FULL makes it.
 *
 * States: `idle` (nothing waits) → `held` (only patient operations wait, a timer runs) or `scheduled` (a flush is ordered
 * for the end of the turn) → `syncing` (committed, the disk is at work; one at a time, since two only slow each other) →
 * `idle`, or `scheduled` where something came meanwhile. From `scheduled` also `busy` (another process writes: all that
 * waits is tried again after a pause). `closed` is a flag beside them: what waits is still committed.
 *
 * What a crash leaves: until COMMIT nothing; after it, whole or not at all, a commit that nobody has heard of.
 */
export class CommitQueue {
  readonly #options: CommitQueueOptions;
  #state: 'idle' | 'held' | 'scheduled' | 'syncing' | 'busy' = 'idle';
  #closed = false;
  /** The last commit was of several: others will come. Where there are none, to wait for them would only take time. */
  #crowded = false;
  #waiting: Operation[] = [];
  readonly #busy: BusyWait;
  #cancelHold: () => void = () => undefined;
  /** Of the commit under way, when it has been answered: why its sync failed, if it did. */
  #syncing: Promise<TappetError | undefined> | undefined;
  /** As of the last commit: another process's commits change it. */
  #dataVersion: number | undefined;
  readonly #onIdle: (() => void)[] = [];

  constructor(options: CommitQueueOptions) {
    this.#options = options;
    this.#busy = new BusyWait(options.clock);
  }

  /**
   * Runs `operation` in the next commit. It may run twice, so it must have no effect but through its `tx`. `patient`:
   * nobody waits for it outside, so that it may wait a little for others to share its commit, if there are others.
   * Errors: STORE_UNAVAILABLE, and what the operation throws.
   */
  write<T>(operation: (tx: Tx) => T, patient = false): Promise<T> {
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
      if (patient && this.#crowded && this.#options.patienceMs > 0) this.#hold();
      else this.#order();
    });
  }

  /** Resolves when the disk has all that a reader can see now. Errors: STORE_UNAVAILABLE where that is not known. */
  async durable(): Promise<void> {
    const failure = await this.#syncing;
    if (failure !== undefined) throw failure;
  }

  /** Takes no more operations, and commits what waits without waiting for the end of the turn. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#state === 'held' || this.#state === 'scheduled') this.#flush();
    if (this.#state !== 'idle') await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  #hold(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'held';
    const { clock, patienceMs } = this.#options;
    this.#cancelHold = clock.setTimer(patienceMs, () => this.#flushIf('held'));
  }

  #order(): void {
    if (this.#state === 'held') this.#cancelHold();
    else if (this.#state !== 'idle') return;
    this.#state = 'scheduled';
    // `close` may have flushed before the turn ends.
    this.#options.schedule(() => this.#flushIf('scheduled'));
  }

  #flushIf(state: 'held' | 'scheduled' | 'busy'): void {
    if (this.#state === state) this.#flush();
  }

  #flush(): void {
    this.#cancelHold();
    const batch = this.#waiting;
    const committed = this.#commit(batch);
    if (committed === 'busy') {
      this.#state = 'busy';
      this.#busy.pause(() => this.#flushIf('busy'));
      return;
    }
    this.#waiting = [];
    this.#busy.end();
    this.#crowded = batch.length > 1;
    const syncing = committed.toSync ? this.#options.sync() : undefined;
    if (syncing === undefined) return this.#answer(committed.settles);
    this.#state = 'syncing';
    this.#syncing = syncing.then(
      () => {
        this.#answer(committed.settles);
        return undefined;
      },
      (error: unknown) => {
        this.#options.failed(error);
        const failure = unsure(error);
        this.#answer(batch.map((operation) => () => operation.reject(failure)));
        return failure;
      },
    );
  }

  #answer(settles: readonly Settle[]): void {
    this.#syncing = undefined;
    this.#state = 'idle';
    for (const settle of settles) settle();
    if (this.#waiting.length > 0) return this.#order();
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  /** `busy`: another process writes, try again. */
  #commit(
    batch: readonly Operation[],
  ): 'busy' | { readonly settles: readonly Settle[]; readonly toSync: boolean } {
    try {
      const db = this.#options.database();
      const before = db.totalChanges;
      const { settles, version } = this.#transact(db, batch);
      // A claim that found nothing has nothing for the disk; unless it rests on what another process has just written.
      const toSync = db.totalChanges !== before || version !== this.#dataVersion;
      this.#dataVersion = version;
      return { settles, toSync };
    } catch (error) {
      if (isBusy(error) && !this.#busy.tooLong()) return 'busy';
      this.#options.failed(error);
      const refusal = unavailable(error);
      return { settles: batch.map((operation) => () => operation.reject(refusal)), toSync: false };
    }
  }

  /**
   * First without savepoints, which cost a page copy each: if nothing throws, the outcome is the same. If an
   * operation throws, everything is undone, nobody has heard anything yet, and the batch runs again with them.
   */
  #transact(db: Db, batch: readonly Operation[]): Committed {
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

  #run(db: Db, body: (tx: Tx) => readonly Settle[]): Committed {
    db.run('BEGIN IMMEDIATE');
    try {
      const settles = body(this.#options.transaction(db));
      // Asked here, where SQLite holds its locks already.
      const version = db.dataVersion;
      commit(db);
      return { settles, version };
    } catch (error) {
      rollback(db);
      throw error;
    }
  }
}

interface Committed {
  readonly settles: readonly Settle[];
  /** Of the data that it was made on. */
  readonly version: number;
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
    tx.memo.forget();
    return () => operation.reject(operationError(error));
  }
}
