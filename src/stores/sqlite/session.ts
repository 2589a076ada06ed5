import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { TappetError } from '../../core/errors.ts';
import { Db, HELD_FIX, isBusy, needsReopen, sqliteCode, unavailable } from './db.ts';
import type { OpenConnection, OpenWal, WalFile } from './driver.ts';
import { migrate } from './migrations.ts';

export const MEMORY = ':memory:';

/** Reading all pages takes about a second per 200 MB, during which nothing else happens: only small files. */
const CHECKED_BYTES = 64 * 1024 * 1024;
/** A burst may grow the log beyond its checkpoint; it is cut back to this afterwards. */
const WAL_KEPT_BYTES = 64 * 1024 * 1024;
/**
 * Pages in the log before they are written into the database file, 8 MiB: the same few pages are written at every commit,
 * and each goes over once only. On the event loop, so that more at a time keeps everybody longer: beside 64 calls at once
 * 4,000 take 10 ms, 2,000 take 6, and SQLite's own 1,000 take 4, which is six tenths more for the same pages.
 */
const CHECKPOINT_PAGES = 2_000;

/**
 * The one connection of a store. After a failed write to the disk the kernel may show pages as clean that never
 * reached it, so the connection is closed, and the next caller gets a fresh one whose file was checked.
 */
export class Session {
  readonly #path: string;
  readonly #connect: OpenConnection;
  readonly #openWal: OpenWal;
  #db: Db | null = null;
  /** The log of `#db`: made anew with it. */
  #wal: WalFile | undefined;

  constructor(path: string, connect: OpenConnection, openWal: OpenWal) {
    this.#path = path;
    this.#connect = connect;
    this.#openWal = openWal;
  }

  /** Errors: DATA_FOLDER_UNUSABLE; SQLite's and the file system's own, SQLITE_BUSY among them. */
  open(): void {
    if (this.#db !== null) return;
    if (this.#path !== MEMORY) makePrivateFile(this.#path);
    this.#db = this.#openDatabase(false);
  }

  /** Errors: STORE_UNAVAILABLE. */
  current(): Db {
    this.#db ??= this.#reopen();
    return this.#db;
  }

  /** When the disk has all that was committed; undefined in memory. Rejects with the file system's errors. */
  sync(): Promise<void> | undefined {
    return this.#wal?.sync();
  }

  /** Gives the connection up where `error` says that it cannot be trusted. */
  failed(error: unknown): void {
    if (!needsReopen(error)) return;
    this.close();
  }

  close(): void {
    const db = this.#db;
    this.#wal?.close();
    this.#db = null;
    this.#wal = undefined;
    try {
      db?.close();
    } catch {
      // Nothing was left to commit, and the file is looked at anew by whoever opens it next.
      return;
    }
  }

  #reopen(): Db {
    try {
      // A file that is gone is not begun anew: what was acknowledged would be forgotten without a word.
      return closeOnError(this.#openDatabase(this.#path !== MEMORY), verify);
    } catch (error) {
      if (isBusy(error)) throw error;
      throw unavailable(error);
    }
  }

  #openDatabase(mustExist: boolean): Db {
    return closeOnError(new Db(this.#connect(this.#path, mustExist)), (db) => {
      const mode = db.get<{ journal_mode: string }>('PRAGMA journal_mode = WAL')?.journal_mode;
      if (mode !== 'wal' && this.#path !== MEMORY) {
        throw unusable(this.#path, 'its file system cannot share memory between processes');
      }
      // NORMAL syncs the log before each checkpoint, but not at COMMIT: left at that, a power cut would take what was
      // acknowledged. The commit queue does that sync, beside the event loop, before it answers anyone.
      // 16 MiB of pages: in SQLite's own 2 a few thousand executions push each other out, and are read again and again.
      db.exec(`PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;
        PRAGMA journal_size_limit = ${WAL_KEPT_BYTES}; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
      migrate(db, this.#path);
      if (this.#path === MEMORY) return;
      this.#wal?.close();
      this.#wal = this.#openWal(this.#path);
      // Pages of the log that the kernel could not write count as clean, for this process and for the next: what an
      // earlier one left in the log is on the disk only when it was written anew, into the database file.
      emptyLog(db);
    });
  }
}

function closeOnError(db: Db, prepare: (db: Db) => void): Db {
  try {
    prepare(db);
    return db;
  } catch (error) {
    lookOnce(db);
    db.close();
    throw error;
  }
}

/** With one call in ten that fails, as many looks fail once in a hundred million times. */
const LOOKS = 8;

/**
 * A hole of SQLite's (seen in 3.53.2): where the first look at the log's index has failed, its close looks once more, and
 * if the index can then be opened for reading only, it takes the log for empty and deletes it, with all that was
 * committed. After a look that worked it does not.
 */
function lookOnce(db: Db): void {
  for (let looks = 0; looks < LOOKS; looks++) {
    try {
      db.get('SELECT count(*) AS n FROM sqlite_master');
      return;
    } catch {
      continue;
    }
  }
}

/** Syncs log and database. Errors: SQLITE_BUSY while another process reads or writes. */
function emptyLog(db: Db): void {
  const checkpoint = db.get<{ busy: number }>('PRAGMA wal_checkpoint(TRUNCATE)');
  if (checkpoint?.busy === 1)
    throw Object.assign(new Error('another process reads'), { code: 'SQLITE_BUSY' });
}

/** Changes a row, and with it nothing. */
export const PROBE =
  "INSERT INTO meta VALUES ('probe', '1') ON CONFLICT (name) DO UPDATE SET value = value + 1";

/** Proves that the disk takes a commit again, and that what is there is whole. */
function verify(db: Db): void {
  db.run(PROBE);
  emptyLog(db);
  const pages = db.get<{ page_count: number }>('PRAGMA page_count')?.page_count ?? 0;
  const pageSize = db.get<{ page_size: number }>('PRAGMA page_size')?.page_size ?? 0;
  if (pages * pageSize > CHECKED_BYTES) return;
  const found = db.get<{ quick_check: string }>('PRAGMA quick_check(1)')?.quick_check ?? 'nothing was read';
  if (found !== 'ok') throw notWhole(found);
}

/** SQLite's number of all errors of the disk; what kind it is stands in the bits above. */
const IOERR = 10;

/** A page that the disk did not give now stands among the damages, with the code of its error. */
function notWhole(found: string): Error {
  const code = Number(/error code=(\d+)/.exec(found)?.[1]);
  if ((code & 0xff) === IOERR)
    return Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_READ' });
  const what = found.replace('*** in database main ***', '').trim().replace(/\.$/, '');
  return new TappetError('STORE_UNAVAILABLE', `The database is damaged: ${what}.`, {
    fix: 'Stop the gateway and put a copy of the data folder in its place.',
  });
}

/**
 * Events may hold personal data, so the file is the owner's alone; SQLite gives new companions the same mode.
 * Only a new file is opened here: closing any descriptor of a file drops the locks that this process has on it.
 */
function makePrivateFile(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    // It may have been restored from a copy, and its companions with it.
    for (const file of [path, `${path}-wal`, `${path}-shm`]) narrow(file);
  }
}

function narrow(path: string): void {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o077) !== 0) chmodSync(path, 0o600);
}

export function unusable(path: string, why: string, cause?: unknown): TappetError {
  return new TappetError(
    'DATA_FOLDER_UNUSABLE',
    `The database ${path} cannot be opened: ${why}.`,
    { path, fix: fixOf(sqliteCode(cause) ?? '') },
    cause,
  );
}

function fixOf(code: string): string {
  if (code.startsWith('SQLITE_BUSY')) return HELD_FIX;
  if (code === 'SQLITE_FULL') return 'Free some space on the disk that holds it, and start again.';
  return code.startsWith('SQLITE_IOERR')
    ? 'The disk failed: look at what the system says of it (`dmesg`), and start again.'
    : 'Choose a data folder on a local disk that the gateway may read and write.';
}
