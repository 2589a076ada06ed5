import type { Connection, Statement } from '../../src/stores/sqlite/driver.ts';

interface Heard {
  readonly prepared?: (sql: string) => void;
  /** Each time that one is run, in whatever way. */
  readonly run?: (sql: string) => void;
  /** How many rows one has read. */
  readonly rows?: (count: number) => void;
}

/** `opened`, of which each statement is told. */
export function heardConnection(opened: Connection, heard: Heard): Connection {
  return {
    get inTransaction() {
      return opened.inTransaction;
    },
    exec: (sql) => opened.exec(sql),
    close: () => opened.close(),
    prepare: (sql) => {
      heard.prepared?.(sql);
      const statement = opened.prepare(sql);
      const told = (): Statement => (heard.run?.(sql), statement);
      return {
        run: (...params) => told().run(...params),
        get: (...params) => told().get(...params),
        all: (...params) => {
          const rows = told().all(...params);
          heard.rows?.(rows.length);
          return rows;
        },
      };
    },
  };
}
