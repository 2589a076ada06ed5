import { TappetError, errorText, isTappetError } from '../../core/errors.ts';
import type { Ids } from '../../core/ids.ts';
import type { Connection, SqlValue, Statement } from './driver.ts';

/** What every operation gets: a database inside a transaction, and the one time that stamps all its rows. */
export interface Tx {
  readonly db: Db;
  /** Epoch ms, the same for all operations of one commit. */
  readonly now: number;
  readonly ids: Ids;
  /** Prefix of container names. */
  readonly instance: string;
  readonly memo: Memo;
}

/**
 * What many operations of one transaction ask for and hardly any changes: nobody else writes meanwhile, so it is read
 * once. Whoever changes some of it, or undoes that, forgets all.
 */
export class Memo {
  readonly #known = new Map<string, unknown>();

  /** `key` names one kind of thing and which of it, and so what `read` gives. */
  get<T>(key: string, read: () => T): T {
    const known = this.#known.get(key);
    if (known !== undefined) return known as T;
    const value = read();
    this.#known.set(key, value);
    return value;
  }

  forget(): void {
    this.#known.clear();
  }
}

/**
 * A connection with its prepared statements, by their text. Row types are as the STRICT tables guarantee them.
 * A statement with a bare `LIMIT ?` is compiled anew at each call, since SQLite plans by the number that is bound:
 * `LIMIT ?+0` hides it, and takes a tenth of the time.
 */
export class Db {
  readonly #connection: Connection;
  readonly #statements = new Map<string, Statement>();
  #changes = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get inTransaction(): boolean {
    return this.#connection.inTransaction;
  }

  /** Rows changed. */
  run(sql: string, ...params: SqlValue[]): number {
    const { changes } = this.#statement(sql).run(...params);
    this.#changes += changes;
    return changes;
  }

  /** The new row's rowid. */
  insert(sql: string, ...params: SqlValue[]): number {
    const { changes, lastInsertRowid } = this.#statement(sql).run(...params);
    this.#changes += changes;
    return Number(lastInsertRowid);
  }

  get<Row>(sql: string, ...params: SqlValue[]): Row | undefined {
    return this.#statement(sql).get(...params) as Row | undefined;
  }

  all<Row>(sql: string, ...params: SqlValue[]): Row[] {
    return this.#statement(sql).all(...params) as Row[];
  }

  /** Rows changed by `run` and `insert` so far, without what went with them (cascades). */
  get totalChanges(): number {
    return this.#changes;
  }

  /** Changes with every commit of another connection, and with none of this one. Inside a transaction: as of its beginning. */
  get dataVersion(): number {
    return this.get<{ data_version: number }>('PRAGMA data_version')?.data_version ?? 0;
  }

  exec(sql: string): void {
    this.#connection.exec(sql);
  }

  /** Undoes the open transaction; SQLite itself has done so already after some errors. */
  rollback(): void {
    if (this.#connection.inTransaction) this.run('ROLLBACK');
  }

  close(): void {
    this.#connection.close();
  }

  #statement(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const made = this.#connection.prepare(sql);
    this.#statements.set(sql, made);
    return made;
  }
}

/** SQLite's name of an error (`SQLITE_BUSY`, `SQLITE_IOERR_FSYNC`, …), or undefined where it is not SQLite's. */
export function sqliteCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  return error.code.startsWith('SQLITE_') ? error.code : undefined;
}

export const isBusy = (error: unknown): boolean => sqliteCode(error)?.startsWith('SQLITE_BUSY') ?? false;

export const isUniqueViolation = (error: unknown): boolean => {
  const code = sqliteCode(error);
  return code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT_PRIMARYKEY';
};

/** These concern one statement and its values; any other SQLite error concerns the file, the disk or the machine. */
const OF_ONE_STATEMENT = ['SQLITE_CONSTRAINT', 'SQLITE_TOOBIG', 'SQLITE_MISMATCH', 'SQLITE_RANGE'];

export function isStoreFailure(error: unknown): boolean {
  const code = sqliteCode(error);
  if (code === undefined || code === 'SQLITE_ERROR') return false;
  return !OF_ONE_STATEMENT.some((prefix) => code.startsWith(prefix));
}

/** A full disk leaves a connection sound. After any other failure what its page cache says is not to be trusted. */
export const needsReopen = (error: unknown): boolean => sqliteCode(error) !== 'SQLITE_FULL' && !isBusy(error);

const RETRY_AFTER_S = 5;
const FULL_FIX = 'Free some space on the disk that holds the data folder; no restart is needed.';
/** A process that stands still in the middle of a commit keeps SQLite's lock, and nobody can take that away from it. */
export const HELD_FIX =
  'Look for a process on this data folder, perhaps a second gateway, that hangs or was stopped (SIGSTOP), and end it.';

export function unavailable(error: unknown): TappetError {
  if (isTappetError(error, 'STORE_UNAVAILABLE')) return error;
  const full = sqliteCode(error) === 'SQLITE_FULL';
  const held = isBusy(error);
  const what = full
    ? 'the disk is full'
    : held
      ? 'another process has held it for too long'
      : errorText(error);
  return new TappetError(
    'STORE_UNAVAILABLE',
    `The database cannot be used now: ${what}. Nothing of this call was stored.`,
    {
      retryAfter: RETRY_AFTER_S,
      ...(full && { fix: FULL_FIX }),
      ...(held && { fix: HELD_FIX }),
    },
    error,
  );
}

/** The disk failed after the commit: it may come back with it, or without. */
export function unsure(error: unknown): TappetError {
  const words = `The disk that holds the database failed: ${errorText(error)}. Whether this call was stored is not known.`;
  return new TappetError('STORE_UNAVAILABLE', words, { retryAfter: RETRY_AFTER_S, maybeStored: true }, error);
}

/** What a caller gets for an error of its own operation. */
export function operationError(error: unknown): unknown {
  if (isTappetError(error) || sqliteCode(error) === undefined) return error;
  if (isUniqueViolation(error)) {
    return new TappetError('CONFLICT', `This is stored already: ${errorText(error)}.`, {}, error);
  }
  return new TappetError('INTERNAL', `The database refused a statement: ${errorText(error)}.`, {}, error);
}
