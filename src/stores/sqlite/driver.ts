import { closeSync, fdatasync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import Sqlite from 'better-sqlite3';

/** What the store uses of a SQLite binding: the only file that knows which one it is. */
export type SqlValue = string | number | null;

export interface Statement {
  run(...params: SqlValue[]): { readonly changes: number; readonly lastInsertRowid: number | bigint };
  get(...params: SqlValue[]): unknown;
  all(...params: SqlValue[]): unknown[];
}

export interface Connection {
  readonly inTransaction: boolean;
  prepare(sql: string): Statement;
  exec(sql: string): unknown;
  close(): unknown;
}

/** `mustExist`: an error where there is no file, instead of a new one. */
export type OpenConnection = (path: string, mustExist?: boolean) => Connection;

/** Waits for no lock (`timeout: 0`): a wait in SQLite would block the event loop; the commit queue waits by timer. */
export const openConnection: OpenConnection = (path, mustExist = false) =>
  connectionOf(new Sqlite(path, { timeout: 0, fileMustExist: mustExist }));

export function connectionOf(sqlite: Sqlite.Database): Connection {
  return {
    get inTransaction() {
      return sqlite.inTransaction;
    },
    prepare: (sql) => statementOf(sqlite.prepare(sql)),
    exec: (sql) => sqlite.exec(sql),
    close: () => sqlite.close(),
  };
}

/** For each row the binding makes the names of all columns anew, which takes longer than all else it does for it. */
function statementOf(statement: Sqlite.Statement<SqlValue[], unknown[]>): Statement {
  if (!statement.reader) return statement;
  const columns = statement.columns().map(({ name }) => name);
  statement.raw();
  return {
    run: (...params) => statement.run(...params),
    get: (...params) => {
      const values = statement.get(...params);
      return values && toRow(columns, values);
    },
    all: (...params) => statement.all(...params).map((values) => toRow(columns, values)),
  };
}

/**
 * By position: a statement that selects `*` has it last, so that a column that a newer version adds meanwhile stands
 * behind all others.
 */
function toRow(columns: readonly string[], values: readonly unknown[]): unknown {
  const row: Record<string, unknown> = {};
  for (let i = 0; i < columns.length; i++) row[columns[i] ?? ''] = values[i];
  return row;
}

/** SQLite's write-ahead log, for one thing only: to know when the disk has it. */
export interface WalFile {
  /** fdatasync: on the disk is then what was written before the call. Does not stop the event loop. */
  sync(): Promise<void>;
  /** After what is under way. */
  close(): void;
}
/** The log must be there: it is from the first statement on that reads. */
export type OpenWal = (database: string) => WalFile;

const datasync = promisify(fdatasync);

/**
 * A second descriptor: SQLite's locks are on its other files, so that closing this one drops none. Opened with the
 * connection, because a failed write is told once to each descriptor that is open then, and to none that comes later.
 */
export const openWal: OpenWal = (database) => {
  const file = openSync(`${database}-wal`, 'r');
  let underWay = 0;
  let closed = false;
  const closeIfDone = (): void => {
    if (closed && underWay === 0) closeSync(file);
  };
  return {
    sync: () => {
      underWay += 1;
      return datasync(file).finally(() => {
        underWay -= 1;
        closeIfDone();
      });
    },
    close: () => {
      if (closed) return;
      closed = true;
      closeIfDone();
    },
  };
};
