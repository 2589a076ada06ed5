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
