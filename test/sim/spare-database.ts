import Sqlite from 'better-sqlite3';
import { Db } from '../../src/stores/sqlite/db.ts';
import { connectionOf } from '../../src/stores/sqlite/driver.ts';
import type { Connection, Statement } from '../../src/stores/sqlite/driver.ts';
import { migrate } from '../../src/stores/sqlite/migrations.ts';

/** Of runs that are over. */
const spare: SpareDatabase[] = [];

/**
 * A database in memory that goes from run to run: to make one, and to compile some hundred statements for it, takes
 * longer than many a run. Each run gets it as it was made, to the row; the compiled statements stay.
 */
export class SpareDatabase {
  readonly connection: Connection;
  readonly #statements = new Map<string, Statement>();
  readonly #done = new Set<string>();
  readonly #tables: readonly string[];
  readonly #made: readonly string[];

  private constructor() {
    this.connection = connectionOf(new Sqlite(':memory:', { timeout: 0 }));
    migrate(new Db(this.connection), ':memory:');
    const names = this.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    this.#tables = names.map((row) => (row as { name: string }).name);
    this.#made = this.dump();
  }

  /** An empty one, until `giveBack`. */
  static take(): SpareDatabase {
    return spare.pop() ?? new SpareDatabase();
  }

  giveBack(): void {
    if (this.connection.inTransaction) this.connection.exec('ROLLBACK');
    this.#empty();
    spare.push(this);
  }

  prepare(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.connection.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  /** How a connection is set up stays: said again it changes nothing, but has SQLite compile every statement anew. */
  exec(sql: string): void {
    if (this.#done.has(sql)) return;
    this.connection.exec(sql);
    if (sql.startsWith('PRAGMA ')) this.#done.add(sql);
  }

  /** All that is stored, row by row. */
  dump(): string[] {
    return this.#tables.flatMap((name) => {
      const rows = this.prepare(`SELECT * FROM "${name}"`).all();
      return rows.map((row) => `${name} ${JSON.stringify(row)}`);
    });
  }

  #empty(): void {
    this.prepare('BEGIN').run();
    for (const name of this.#tables) this.prepare(`DELETE FROM "${name}"`).run();
    this.prepare("INSERT INTO sequences VALUES ('state', 0)").run();
    this.prepare('COMMIT').run();
    const left = this.dump();
    if (left.join('\n') !== this.#made.join('\n'))
      throw new Error(`a run has left ${left.join(', ')} behind, not ${this.#made.join(', ')}`);
  }
}
