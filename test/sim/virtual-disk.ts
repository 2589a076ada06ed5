import type { Connection, OpenConnection, Statement } from '../../src/stores/sqlite/driver.ts';
import { SpareDatabase } from './spare-database.ts';

export type DiskFault = 'full' | 'io-error' | 'busy';
const CODES = { full: 'SQLITE_FULL', 'io-error': 'SQLITE_IOERR_FSYNC', busy: 'SQLITE_BUSY' } as const;

const NEWEST = `SELECT name FROM (SELECT name, completion_time FROM executions WHERE delete_time IS NULL ORDER BY seq DESC LIMIT 20)
  WHERE (completion_time IS NOT NULL) = ?`;
/** Reads all pages, each time that a connection is made anew: a tenth of a seed, and memory does not rot. */
const QUICK_CHECK = 'PRAGMA quick_check(1)';
const WHOLE: Statement = {
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  get: () => ({ quick_check: 'ok' }),
  all: () => [{ quick_check: 'ok' }],
};

/**
 * A database in memory that outlives the gateways: they get a connection that does not close. What a gateway had not
 * committed when it died was queued in its own memory, or is rolled back by `crash`. What a disk loses is not
 * simulated here.
 */
export class VirtualDisk {
  readonly #database = SpareDatabase.take();
  readonly #statements = new Map<string, Statement>();
  #closed = false;
  #fault: DiskFault | undefined;
  #times = 0;
  /** How many calls were refused so far. */
  refused = 0;

  readonly connect: OpenConnection = () => {
    const { connection } = this.#database;
    const wrapped: Connection = {
      get inTransaction() {
        return connection.inTransaction;
      },
      prepare: (sql) => this.#prepare(sql),
      exec: (sql) => this.#database.exec(sql),
      close: () => undefined,
    };
    return wrapped;
  };

  /** The next `times` commits fail; `busy`: the next begins, as while another process writes. */
  fail(fault: DiskFault, times: number): void {
    this.#fault = fault;
    this.#times = times;
  }

  heal(): void {
    this.#times = 0;
  }

  crash(): void {
    if (this.#database.connection.inTransaction) this.#database.connection.exec('ROLLBACK');
  }

  /** The names of the newest executions that have ended, or have not. */
  executions(ended: boolean): string[] {
    const rows = this.#prepare(NEWEST).all(ended ? 1 : 0);
    return rows.map((row) => (row as { name: string }).name);
  }

  /** All that is stored, row by row. */
  dump(): string[] {
    return this.#database.dump();
  }

  /** The next run may have its database: nothing of this one gets there any more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#database.giveBack();
  }

  #prepare(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    if (sql === QUICK_CHECK) return WHOLE;
    const made = this.#guarded(sql, this.#database.prepare(sql));
    this.#statements.set(sql, made);
    return made;
  }

  #guarded(sql: string, statement: Statement): Statement {
    const fails = sql === 'COMMIT' || sql === 'BEGIN IMMEDIATE';
    return {
      run: (...params) => {
        this.#checkOpen();
        if (fails) this.#failIf(sql);
        return statement.run(...params);
      },
      get: (...params) => {
        this.#checkOpen();
        return statement.get(...params);
      },
      all: (...params) => {
        this.#checkOpen();
        return statement.all(...params);
      },
    };
  }

  #checkOpen(): void {
    if (this.#closed) throw new TypeError('The run of this disk is over.');
  }

  #failIf(sql: string): void {
    if (this.#times === 0 || this.#fault === undefined) return;
    if ((this.#fault === 'busy') !== (sql === 'BEGIN IMMEDIATE')) return;
    this.#times--;
    this.refused++;
    throw Object.assign(new Error(`simulated: ${this.#fault}`), { code: CODES[this.#fault] });
  }
}
