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
  new Sqlite(path, { timeout: 0, fileMustExist: mustExist });
