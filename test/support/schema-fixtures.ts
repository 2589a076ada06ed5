import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';

/** What stores of earlier commits left; made by scripts/schema-fixture.mjs. */
const FOLDER = join(import.meta.dirname, '../fixtures/schemas');
export const SCHEMAS: readonly number[] = readdirSync(FOLDER)
  .map((file) => Number(file.replace(/\.sql$/, '')))
  .toSorted((a, b) => a - b);

/** By table, each row by column. Read with plain SQL: the store is what is judged. */
export type Tables = Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;

export function restore(schema: number, path: string): void {
  withFile(path, (db) => db.exec(readFileSync(join(FOLDER, `${schema}.sql`), 'utf8')));
}

export const schemaOf = (path: string): number =>
  withFile(path, (db) => Number(db.pragma('user_version', { simple: true })));

export const integrityOf = (path: string): unknown =>
  withFile(path, (db) => [
    ...(db.pragma('integrity_check') as unknown[]),
    ...(db.pragma('foreign_key_check') as unknown[]),
  ]);

export function tablesOf(path: string): Tables {
  return withFile(path, (db) => {
    const rows = (name: string) => db.prepare<[], Record<string, unknown>>(`SELECT * FROM ${name}`).all();
    return Object.fromEntries(tableNames(db).map((name) => [name, rows(name)]));
  });
}

/** Columns by table and what each index is on, without what writing SQL in another way changes. */
export function shapeOf(path: string): unknown {
  return withFile(path, (db) => ({
    tables: Object.fromEntries(
      tableNames(db).map((name) => [
        name,
        db.prepare('SELECT name, type, "notnull", pk FROM pragma_table_info(?)').all(name),
      ]),
    ),
    others: db
      .prepare(`SELECT name, sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL ORDER BY name`)
      .all(),
  }));
}

/** Of `after` only the tables and columns that `before` has: what must not have changed. */
export function asBefore(before: Tables, after: Tables): Tables {
  return Object.fromEntries(
    Object.entries(before).map(([table, rows]) => {
      const columns = Object.keys(rows[0] ?? {});
      const kept = (after[table] ?? []).map((row) =>
        Object.fromEntries(columns.map((column) => [column, row[column]])),
      );
      return [table, kept];
    }),
  );
}

function tableNames(db: Sqlite.Database): string[] {
  const sql = `SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`;
  return db
    .prepare<[], { name: string }>(sql)
    .all()
    .map(({ name }) => name);
}

function withFile<T>(path: string, use: (db: Sqlite.Database) => T): T {
  const db = new Sqlite(path);
  try {
    return use(db);
  } finally {
    db.close();
  }
}
