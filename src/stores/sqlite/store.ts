import type { Clock } from '../../core/clock.ts';
import { TappetError, errorText, isTappetError } from '../../core/errors.ts';
import type { Ids } from '../../core/ids.ts';
import type { EngineLease, HeldLease, Store } from '../../core/store.ts';
import type { WriteWatch } from '../../core/write-watch.ts';
import { BUSY_PAUSE_MS, BusyWait } from './busy-wait.ts';
import * as claims from './claims.ts';
import { CommitQueue } from './commit-queue.ts';
import { isBusy, isStoreFailure, Memo, operationError, unavailable } from './db.ts';
import type { Db, Tx } from './db.ts';
import * as definitions from './definitions.ts';
import { openConnection, openWal } from './driver.ts';
import type { OpenConnection, OpenWal } from './driver.ts';
import * as engines from './engines.ts';
import * as executions from './executions.ts';
import * as executor from './executor.ts';
import * as finish from './finish.ts';
import { forgetEngine } from './forget-engine.ts';
import * as images from './images.ts';
import * as inbox from './inbox.ts';
import * as maintenance from './maintenance.ts';
import * as notifications from './notifications.ts';
import { OwnerLocks } from './owner-lock.ts';
import * as query from './query.ts';
import * as rerun from './rerun.ts';
import * as routing from './routing.ts';
import { PROBE, Session, unusable } from './session.ts';
import * as usage from './usage.ts';
import * as stopping from './stopping.ts';

export interface SqliteStoreOptions {
  /** A file, whose folder is made if it is missing, or `:memory:`. */
  readonly path: string;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Calls its argument at the end of the event-loop turn; `setImmediate` if absent. */
  readonly schedule?: (flush: () => void) => void;
  /** How long what nobody waits for outside (a start, an end) waits for others to share its commit; 0 if absent. */
  readonly patienceMs?: number;
  /** Opens a connection; better-sqlite3's if absent. */
  readonly connect?: OpenConnection;
  /** Opens the log of a database to sync it; the file itself if absent. */
  readonly wal?: OpenWal;
  /** Hears how commits go. */
  readonly watch?: WriteWatch;
}

/** A neighbour that looks whether a name's owner lives holds its lock for less than a millisecond. */
const LOCK_TRIES = 5;

const endOfTurn = (flush: () => void): void => void setImmediate(flush);

/** The store port on one SQLite file. Writes go through the commit queue; reads run at once, between commits. */
export class SqliteStore implements Store {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #ids: Ids;
  readonly #session: Session;
  readonly #queue: CommitQueue;
  readonly #locks: OwnerLocks;
  readonly #watch: WriteWatch | undefined;
  #instance: string | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: SqliteStoreOptions) {
    const {
      path,
      clock,
      ids,
      schedule = endOfTurn,
      patienceMs = 0,
      connect = openConnection,
      wal = openWal,
    } = options;
    this.#path = path;
    this.#clock = clock;
    this.#ids = ids;
    this.#watch = options.watch;
    this.#session = new Session(path, connect, wal);
    this.#locks = new OwnerLocks(path, connect);
    this.#queue = new CommitQueue({
      clock,
      schedule,
      patienceMs,
      database: () => this.#database(),
      failed: (error) => this.#failed(error),
      sync: () => this.#sync(),
      transaction: (db) => this.#transaction(db),
    });
  }

  async open(): Promise<void> {
    if (this.#closing !== null) throw new TappetError('STORE_UNAVAILABLE', 'The store is closed.');
    await this.#patiently(
      () => this.#openNow(),
      (error) => unusable(this.#path, 'another process has kept it locked for 10 s', error),
    );
  }

  #openNow(): void {
    try {
      this.#session.open();
      this.#instance = makeInstance(this.#session.current(), this.#ids);
      this.#locks.sweep();
    } catch (error) {
      if (isBusy(error)) throw error;
      this.#session.close();
      throw isTappetError(error, 'DATA_FOLDER_UNUSABLE')
        ? error
        : unusable(this.#path, errorText(error), error);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#queue.close();
    this.#session.close();
    this.#locks.releaseAll();
  }

  instance(): string {
    if (this.#instance === null) throw new TypeError('The store is not open yet.');
    return this.#instance;
  }

  /** Whether a commit reaches the disk now. Errors: STORE_UNAVAILABLE. */
  probe(): Promise<void> {
    return this.#write((tx) => void tx.db.run(PROBE));
  }

  // ---- inbox

  readonly acceptEvents: Store['acceptEvents'] = (params) =>
    this.#write((tx) => inbox.acceptEvents(tx, params));
  readonly readState: Store['readState'] = (origin, key) =>
    this.#peek((tx) => inbox.readState(tx, origin, key), 'one');
  readonly scanState: Store['scanState'] = (origin, prefix, after, limit) =>
    this.#peek((tx) => inbox.scanState(tx, origin, prefix, after, limit), 'one');

  // ---- routing

  readonly undecidedEvents: Store['undecidedEvents'] = (limit) =>
    this.#peek((tx) => routing.undecidedEvents(tx, limit), 'one');
  readonly decide: Store['decide'] = (params) => this.#patient((tx) => routing.decide(tx, params));
  readonly eventOutcome: Store['eventOutcome'] = (uid) =>
    this.#read((tx) => routing.eventOutcome(tx, uid), 'one');

  // ---- definitions

  readonly syncDefinitions: Store['syncDefinitions'] = (keys) =>
    this.#write((tx) => definitions.syncDefinitions(tx, keys));

  // ---- engines and owners

  async acquireEngine(
    engine: string,
    owner: string,
    leaseMs: number,
    silent?: HeldLease,
  ): Promise<EngineLease> {
    if (!(await this.#takeLock(owner))) {
      return this.#read((tx) => engines.describeEngine(tx, engine, owner));
    }
    const isDead = (other: string): boolean => this.#locks.isDead(other);
    return this.#write((tx) => engines.acquireEngine(tx, { engine, owner, leaseMs, isDead, silent }));
  }
  readonly renewEngine: Store['renewEngine'] = (engine, epoch, leaseMs) =>
    this.#write((tx) => engines.renewEngine(tx, engine, epoch, leaseMs));
  readonly releaseEngine: Store['releaseEngine'] = (engine, epoch) =>
    this.#write((tx) => engines.releaseEngine(tx, engine, epoch));
  readonly enginesInUse: Store['enginesInUse'] = () => this.#read(engines.enginesInUse);
  readonly forgetEngine: Store['forgetEngine'] = (params) =>
    this.#write((tx) => forgetEngine(tx, params, (owner) => this.#locks.isDead(owner)));

  // ---- executor

  readonly createExecution: Store['createExecution'] = (execution) =>
    this.#write((tx) => executions.createExecution(tx, execution));
  readonly claimAttempts: Store['claimAttempts'] = (params) =>
    this.#write((tx) => claims.claimAttempts(tx, params));
  readonly openAttempts: Store['openAttempts'] = (engine) =>
    this.#read((tx) => executor.openAttempts(tx, engine));
  readonly attemptRendered: Store['attemptRendered'] = (key, epoch, rendered) =>
    this.#write((tx) => executor.attemptRendered(tx, key, epoch, rendered));
  readonly attemptStarted: Store['attemptStarted'] = (params) =>
    this.#patient((tx) => executor.attemptStarted(tx, params));
  readonly imagePulled: Store['imagePulled'] = (params) =>
    this.#write((tx) => images.imagePulled(tx, params));
  readonly requestStop: Store['requestStop'] = (key, epoch, reason) =>
    this.#write((tx) => executor.requestStop(tx, key, epoch, reason));
  readonly attemptsMeasured: Store['attemptsMeasured'] = (params) =>
    this.#patient((tx) => usage.attemptsMeasured(tx, params));
  readonly stopRequests: Store['stopRequests'] = (engine) =>
    this.#read((tx) => executor.stopRequests(tx, engine));
  readonly finishAttempt: Store['finishAttempt'] = (params) =>
    this.#patient((tx) => finish.finishAttempt(tx, params));
  readonly cancelExecution: Store['cancelExecution'] = (name, by) =>
    this.#write((tx) => stopping.cancelExecution(tx, name, by));
  readonly rerunExecution: Store['rerunExecution'] = (params) =>
    this.#write((tx) => rerun.rerunExecution(tx, params));
  readonly haltOverdue: Store['haltOverdue'] = (limit) =>
    this.#write((tx) => stopping.haltOverdue(tx, limit));

  // ---- readers

  readonly getEvent: Store['getEvent'] = (uid) => this.#read((tx) => query.getEvent(tx, uid));
  readonly listEvents: Store['listEvents'] = (filter, page) =>
    this.#read((tx) => query.listEvents(tx, filter, page));
  readonly listDecisions: Store['listDecisions'] = (filter, page) =>
    this.#read((tx) => query.listDecisions(tx, filter, page));
  readonly getExecution: Store['getExecution'] = (name) => this.#read((tx) => query.getExecution(tx, name));
  readonly listExecutions: Store['listExecutions'] = (filter, page) =>
    this.#read((tx) => query.listExecutions(tx, filter, page));
  readonly getTask: Store['getTask'] = (execution, index) =>
    this.#read((tx) => query.getTask(tx, execution, index));
  readonly listTasks: Store['listTasks'] = (execution, page) =>
    this.#read((tx) => query.listTasks(tx, execution, page));
  readonly listAttempts: Store['listAttempts'] = (execution, index) =>
    this.#read((tx) => query.listAttempts(tx, execution, index));
  readonly listSpans: Store['listSpans'] = (execution, page) =>
    this.#read((tx) => query.listSpans(tx, execution, page));
  readonly counts: Store['counts'] = () => this.#read((tx) => query.counts(tx));

  // ---- notifications

  readonly claimNotifications: Store['claimNotifications'] = (params) =>
    this.#patient((tx) => notifications.claimNotifications(tx, params));
  readonly settleNotification: Store['settleNotification'] = (params) =>
    this.#patient((tx) => notifications.settleNotification(tx, params));
  readonly listNotifications: Store['listNotifications'] = (filter, page) =>
    this.#read((tx) => notifications.listNotifications(tx, filter, page));
  readonly notificationCounts: Store['notificationCounts'] = () =>
    this.#read(notifications.notificationCounts);
  readonly pruneNotifications: Store['pruneNotifications'] = (params) =>
    this.#write((tx) => notifications.pruneNotifications(tx, params));

  // ---- maintenance

  readonly deleteExecution: Store['deleteExecution'] = (name) =>
    this.#write((tx) => maintenance.deleteExecution(tx, name));
  readonly expiredExecutions: Store['expiredExecutions'] = (limit) =>
    this.#read((tx) => maintenance.expiredExecutions(tx, limit));
  readonly surplusExecutions: Store['surplusExecutions'] = (job, keep, limit) =>
    this.#read((tx) => maintenance.surplusExecutions(tx, job, keep, limit));
  readonly pruneExecutions: Store['pruneExecutions'] = (names) =>
    this.#write((tx) => maintenance.pruneExecutions(tx, names));
  readonly unusedImages: Store['unusedImages'] = (engine, unusedForMs, limit) =>
    this.#read((tx) => images.unusedImages(tx, engine, unusedForMs, limit));
  readonly imagesInUse: Store['imagesInUse'] = (after, limit) =>
    this.#read((tx) => images.imagesInUse(tx, after, limit));
  readonly imageUsed: Store['imageUsed'] = (engine, digest) =>
    this.#write((tx) => images.imageUsed(tx, engine, digest));
  readonly imageRemoved: Store['imageRemoved'] = (engine, digest) =>
    this.#write((tx) => images.imageRemoved(tx, engine, digest));
  readonly pruneEvents: Store['pruneEvents'] = (olderThanMs, limit) =>
    this.#write((tx) => maintenance.pruneEvents(tx, olderThanMs, limit));
  readonly whichEventsExist: Store['whichEventsExist'] = (uids) =>
    this.#read((tx) => maintenance.whichEventsExist(tx, uids));

  #write<T>(operation: (tx: Tx) => T): Promise<T> {
    return this.#queue.write(operation);
  }

  #failed(error: unknown): void {
    this.#session.failed(error);
    this.#watch?.failed(unavailable(error));
  }

  #sync(): Promise<void> | undefined {
    const syncing = this.#session.sync();
    const watch = this.#watch;
    if (watch === undefined) return syncing;
    return syncing?.then(() => watch.worked());
  }

  /** For what the gateway does by itself; in a turn with a call from outside it shares that one's commit all the same. */
  #patient<T>(operation: (tx: Tx) => T): Promise<T> {
    return this.#queue.write(operation, true);
  }

  /** What is told is on the disk, too. */
  async #read<T>(body: (tx: Tx) => T, statements: 'one' | 'many' = 'many'): Promise<T> {
    const value = await this.#peek(body, statements);
    await this.#queue.durable();
    return value;
  }

  /**
   * One snapshot for all statements of the call. It runs before this returns, so no commit is open then. Its sync may
   * still be under way: good for what only leads to a later write, which is on the disk only if all before it is.
   */
  #peek<T>(body: (tx: Tx) => T, statements: 'one' | 'many' = 'many'): Promise<T> {
    return this.#patiently(() => {
      if (this.#closing !== null) throw new TappetError('STORE_UNAVAILABLE', 'The store is closed.');
      return this.#snapshot(this.#database(), body, statements);
    }, unavailable);
  }

  #snapshot<T>(db: Db, body: (tx: Tx) => T, statements: 'one' | 'many'): T {
    try {
      // One statement is a snapshot by itself.
      if (statements === 'one') return body(this.#transaction(db));
      db.run('BEGIN');
      const value = body(this.#transaction(db));
      db.run('COMMIT');
      return value;
    } catch (error) {
      if (db.inTransaction) db.rollback();
      if (!isStoreFailure(error)) throw operationError(error);
      if (isBusy(error)) throw error;
      this.#failed(error);
      throw unavailable(error);
    }
  }

  /** Tries again while another process holds the file, by timer: SQLite's own wait would stop the event loop. */
  async #patiently<T>(attempt: () => T, tooLong: (error: unknown) => Error): Promise<T> {
    const busy = new BusyWait(this.#clock);
    for (;;) {
      try {
        return attempt();
      } catch (error) {
        if (!isBusy(error)) throw error;
        if (busy.tooLong()) throw tooLong(error);
        await new Promise<void>((resolve) => busy.pause(resolve));
      }
    }
  }

  async #takeLock(owner: string): Promise<boolean> {
    for (let tries = 1; !this.#locks.take(owner); tries++) {
      if (tries === LOCK_TRIES) return false;
      await this.#pause();
    }
    return true;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.#clock.setTimer(BUSY_PAUSE_MS, resolve));
  }

  /** Errors: STORE_UNAVAILABLE where it was never opened, or was lost and cannot be opened again. */
  #database(): Db {
    if (this.#instance === null) throw new TappetError('STORE_UNAVAILABLE', 'The store is not open yet.');
    return this.#session.current();
  }

  #transaction(db: Db): Tx {
    return { db, now: this.#clock.now(), ids: this.#ids, instance: this.instance(), memo: new Memo() };
  }
}

function makeInstance(db: Db, ids: Ids): string {
  db.run(`INSERT INTO meta VALUES ('instance', ?) ON CONFLICT (name) DO NOTHING`, `tappet-${ids.suffix(6)}`);
  const row = db.get<{ value: string }>(`SELECT value FROM meta WHERE name = 'instance'`);
  if (row === undefined) throw new TypeError('The instance is missing from the database.');
  return row.value;
}
