import Sqlite from 'better-sqlite3';
import { Db } from '../../src/stores/sqlite/db.ts';
import { connectionOf, openConnection } from '../../src/stores/sqlite/driver.ts';
import type { OpenConnection } from '../../src/stores/sqlite/driver.ts';
import { migrate } from '../../src/stores/sqlite/migrations.ts';
import { SqliteStore } from '../../src/stores/sqlite/store.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Ids } from '../../src/core/ids.ts';

let bytes: Buffer | undefined;

/**
 * An empty database with the newest schema, as bytes of a file. Made once: hundreds of stores open in the fast tests,
 * and each would spend most of its time on making the same tables. The tests of the migrations go without.
 */
export function migratedBytes(): Buffer {
  if (bytes === undefined) {
    const sqlite = new Sqlite(':memory:');
    migrate(new Db(connectionOf(sqlite)), ':memory:');
    bytes = sqlite.serialize();
    sqlite.close();
  }
  return bytes;
}

/** A connection to a database in memory that has the schema already; any other path as the product opens it. */
export const connectMigrated: OpenConnection = (path, mustExist) =>
  path === ':memory:'
    ? connectionOf(new Sqlite(migratedBytes(), { timeout: 0 }))
    : openConnection(path, mustExist);

/** The product's store over such a database, not opened yet. */
export const memoryStore = (clock: Clock, ids: Ids): SqliteStore =>
  new SqliteStore({ path: ':memory:', clock, ids, connect: connectMigrated });
