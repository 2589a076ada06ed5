import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Db } from '../../../src/stores/sqlite/db.ts';
import { openConnection } from '../../../src/stores/sqlite/driver.ts';
import { MIGRATIONS, migrate } from '../../../src/stores/sqlite/migrations.ts';
import { SqliteStore } from '../../../src/stores/sqlite/store.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { SeededIds } from '../../support/seeded-ids.ts';

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tappet-migrations-'));
  path = join(folder, 'tappet.db');
});
afterEach(() => {
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true });
});

const open = (at = path) =>
  new SqliteStore({ path: at, clock: new ManualClock(), ids: new SeededIds() }).open();
const withDb = <T>(use: (db: Db) => T): T => {
  const db = new Db(openConnection(path));
  try {
    return use(db);
  } finally {
    db.close();
  }
};
const version = (db: Db) => db.get<{ user_version: number }>('PRAGMA user_version')?.user_version;

describe('migrate', () => {
  const add = { name: 'colours', sql: 'CREATE TABLE colours (name TEXT) STRICT' };

  it('applies what is new, in order, once', () => {
    withDb((db) => {
      migrate(db, path);
      migrate(db, path, [...MIGRATIONS, add]);
      db.run(`INSERT INTO colours VALUES ('red')`);
      migrate(db, path, [...MIGRATIONS, add]);
      expect(version(db)).toBe(MIGRATIONS.length + 1);
      expect(db.all('SELECT * FROM colours')).toEqual([{ name: 'red' }]);
    });
  });

  it('knows what an execution of an earlier version takes of a host', () => {
    withDb((db) => {
      const before = MIGRATIONS.findIndex(({ name }) => name === 'admission');
      migrate(db, path, MIGRATIONS.slice(0, before));
      const insert = (seq: number, completionTime: number | null) => {
        db.run(
          `INSERT INTO executions (seq, uid, name, job, job_generation, cause_kind, task_count, parallelism, state,
           claimable, create_time, update_time, completion_time) VALUES (?, ?, ?, 'j', 1, 'api', 1, 1, 'RUNNING', 1, 0, 0, ?)`,
          seq,
          `u${seq}`,
          `n${seq}`,
          completionTime,
        );
        const spec = { memoryBytes: 1024, cpu: 0.05, timeoutMs: 5000, gracePeriodMs: 300 };
        db.run(`INSERT INTO execution_specs VALUES (?, ?, '{}', '{}')`, seq, JSON.stringify(spec));
      };
      insert(1, null);
      insert(2, 7);
      migrate(db, path);
      expect(db.all('SELECT need_memory, need_cpu, need_time, turn FROM executions ORDER BY seq')).toEqual([
        { need_memory: 1024, need_cpu: 50, need_time: 5300, turn: null },
        { need_memory: 0, need_cpu: 0, need_time: 0, turn: null },
      ]);
    });
  });

  it('knows that what ran before anybody measured used something', () => {
    withDb((db) => {
      const before = MIGRATIONS.findIndex(({ name }) => name === 'usage');
      migrate(db, path, MIGRATIONS.slice(0, before));
      for (const seq of [1, 2]) {
        db.run(
          `INSERT INTO executions (seq, uid, name, job, job_generation, cause_kind, task_count, parallelism, state,
           claimable, create_time, update_time) VALUES (?, ?, ?, 'j', 1, 'api', 1, 1, 'RUNNING', 1, 0, 0)`,
          seq,
          `u${seq}`,
          `n${seq}`,
        );
      }
      db.run(
        `INSERT INTO tasks (execution, idx, state, attempts, retries, infra_failures) VALUES (1, 0, 'RUNNING', 4, 3, 0)`,
      );
      const attempt = (
        n: number,
        state: string,
        start: number | null,
        end: number | null,
        log: number | null,
      ) =>
        db.run(
          `INSERT INTO attempts (execution, idx, attempt, state, container_name, engine, owner, epoch, create_time,
           start_time, end_time, log_stdout, log_stderr) VALUES (1, 0, ?, ?, 'c', 'e', 'o', 1, 0, ?, ?, ?, ?)`,
          n,
          state,
          start,
          end,
          log,
          log,
        );
      attempt(0, 'FAILED', 1, 2, 50);
      attempt(1, 'FAILED', null, 3, 7);
      attempt(2, 'FAILED', 4, 5, null);
      attempt(3, 'RUNNING', 6, null, null);
      migrate(db, path, MIGRATIONS.slice(0, before + 1));
      const known = `used_attempts, used_wall_ms, used_wall_unknown, used_cpu_unknown, used_peak_unknown, used_log_bytes`;
      expect(
        db.all(`SELECT ${known} FROM executions ORDER BY seq`).map((row) => Object.values(row as object)),
      ).toEqual([
        [2, 0, 2, 2, 2, 100],
        [0, 0, 0, 0, 0, 0],
      ]);
    });
  });

  it('leaves the old schema whole where a later step fails', () => {
    withDb((db) => {
      migrate(db, path);
      const broken = { name: 'broken', sql: 'CREATE TABLE half (x TEXT); CREATE TABLE colours nonsense' };
      expect(() => migrate(db, path, [...MIGRATIONS, add, broken])).toThrow(/syntax error/);
      expect(version(db)).toBe(MIGRATIONS.length);
      expect(db.all(`SELECT name FROM sqlite_schema WHERE name IN ('colours', 'half')`)).toEqual([]);
    });
  });
});

describe('open refuses, and says what to do', () => {
  it('a database of a newer version', async () => {
    withDb((db) => db.exec(`PRAGMA user_version = ${MIGRATIONS.length + 1}`));
    await expect(open()).rejects.toMatchObject({
      code: 'DATA_FOLDER_UNUSABLE',
      message: expect.stringContaining(`its schema is ${MIGRATIONS.length + 1}`) as string,
      fields: { path, fix: expect.stringContaining('newer version') as string },
    });
  });

  it('a file that is no database', async () => {
    writeFileSync(path, 'just some text, longer than the header of a database would be '.repeat(20));
    await expect(open()).rejects.toMatchObject({ code: 'DATA_FOLDER_UNUSABLE', fields: { path } });
  });

  it('a folder that is a file', async () => {
    writeFileSync(path, '');
    await expect(open(join(path, 'tappet.db'))).rejects.toMatchObject({ code: 'DATA_FOLDER_UNUSABLE' });
  });
});
