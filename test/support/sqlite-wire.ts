import { openConnection } from '../../src/stores/sqlite/driver.ts';
import type { Connection, OpenConnection } from '../../src/stores/sqlite/driver.ts';

/** Connections that tell what ran on them, and fail where a test says so, as a disk does. */
export class Wire {
  readonly connections: Connection[] = [];
  readonly log: string[] = [];
  file = '';
  fail: ((sql: string) => string | undefined) | null = null;
  /** What SQLite would answer to its check of the file. */
  found: string | null = null;

  readonly connect: OpenConnection = (path, mustExist) => {
    const connection = openConnection(path, mustExist);
    this.file = path;
    this.connections.push(connection);
    return {
      get inTransaction() {
        return connection.inTransaction;
      },
      exec: (sql) => connection.exec(sql),
      close: () => {
        this.log.push('close');
        connection.close();
      },
      prepare: (sql) => {
        const statement = connection.prepare(sql);
        const before = (): void => {
          this.log.push(sql);
          const code = this.fail?.(sql);
          if (code !== undefined) throw Object.assign(new Error('the disk says no'), { code });
        };
        return {
          run: (...params) => (before(), statement.run(...params)),
          get: (...params) => {
            before();
            if (this.found !== null && sql === 'PRAGMA quick_check(1)') return { quick_check: this.found };
            return statement.get(...params);
          },
          all: (...params) => (before(), statement.all(...params)),
        };
      },
    };
  };

  count(sql: string): number {
    return this.log.filter((entry) => entry === sql).length;
  }
}
