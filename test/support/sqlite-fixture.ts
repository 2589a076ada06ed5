import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { SqliteStore } from '../../src/stores/sqlite/store.ts';
import type { SqliteStoreOptions } from '../../src/stores/sqlite/store.ts';
import type { StoreFixture } from '../contract/store/fixture.ts';
import { ManualClock } from './manual-clock.ts';
import { migratedBytes } from './migrated.ts';
import { SeededIds } from './seeded-ids.ts';

export interface SqliteFixture extends StoreFixture {
  readonly store: SqliteStore;
  readonly path: string;
  another(options?: Partial<SqliteStoreOptions>): Promise<SqliteStore>;
  reopen(): Promise<SqliteStore>;
}

/** A store on a real file in a folder of its own. */
export async function makeSqliteFixture(options: Partial<SqliteStoreOptions> = {}): Promise<SqliteFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'tappet-store-'));
  const path = join(folder, 'data', 'tappet.db');
  await mkdir(dirname(path), { mode: 0o700 });
  await writeFile(path, migratedBytes(), { mode: 0o600 });
  const clock = new ManualClock();
  const ids = new SeededIds();
  const opened: SqliteStore[] = [];
  const another = async (more: Partial<SqliteStoreOptions> = {}): Promise<SqliteStore> => {
    const store = new SqliteStore({ path, clock, ids, ...more });
    opened.push(store);
    await store.open();
    return store;
  };
  const store = await another(options);
  return {
    store,
    path,
    clock,
    ids,
    another,
    reopen: async () => {
      await store.close();
      return another();
    },
    dispose: async () => {
      await Promise.all(opened.map((one) => one.close()));
      await rm(folder, { recursive: true });
    },
  };
}
