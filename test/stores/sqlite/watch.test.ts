import { afterEach, beforeEach, expect, it } from 'vitest';
import { isTappetError } from '../../../src/core/errors.ts';
import { openConnection } from '../../../src/stores/sqlite/driver.ts';
import type { Connection } from '../../../src/stores/sqlite/driver.ts';
import { makeSqliteFixture } from '../../support/sqlite-fixture.ts';
import type { SqliteFixture } from '../../support/sqlite-fixture.ts';

let heard: string[];
let connection: Connection;
let failing: Error | null;
let fixture: SqliteFixture;
beforeEach(async () => {
  heard = [];
  failing = null;
  const watch = {
    worked: () => void heard.push('worked'),
    failed: (error: unknown) => void heard.push(isTappetError(error) ? error.code : 'another error'),
  };
  fixture = await makeSqliteFixture({
    watch,
    connect: (path, mustExist) => (connection = openConnection(path, mustExist)),
    wal: () => ({
      sync: () => (failing === null ? Promise.resolve() : Promise.reject(failing)),
      close: () => undefined,
    }),
  });
});
afterEach(() => fixture.dispose());

const pages = (): number =>
  (connection.prepare('PRAGMA page_count').get() as { page_count: number }).page_count;

it('hears of a commit that the disk has, of a disk that is full, and of one that fails after the commit', async () => {
  const { store } = fixture;
  await store.probe();
  expect(heard).toEqual(['worked']);
  await store.counts();
  expect(heard).toEqual(['worked']);
  connection.exec(`PRAGMA max_page_count = ${pages()}`);
  const state = [{ key: 'k', expect: null, value: 'x'.repeat(100_000) }];
  await expect(store.acceptEvents({ origin: 'trigger/a', events: [], state })).rejects.toThrow(
    /disk is full/,
  );
  expect(heard.splice(0)).toEqual(['worked', 'STORE_UNAVAILABLE']);
  connection.exec('PRAGMA max_page_count = 1000000');
  failing = new Error('no');
  await expect(store.probe()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect(heard.splice(0)).toEqual(['STORE_UNAVAILABLE']);
  failing = null;
  await store.probe();
  expect(heard).toEqual(['worked']);
});
