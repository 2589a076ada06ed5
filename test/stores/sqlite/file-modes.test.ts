import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { SqliteStore } from '../../../src/stores/sqlite/store.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { SeededIds } from '../../support/seeded-ids.ts';

/** A folder that anybody may enter, and a process that hides nothing by itself. */
let made = '';
let folder = '';
let umask = 0;
beforeEach(() => {
  umask = process.umask(0);
  folder = made = mkdtempSync(join(tmpdir(), 'tappet-modes-'));
  chmodSync(folder, 0o777);
});
afterEach(() => {
  process.umask(umask);
  rmSync(made, { recursive: true });
});

/** The files that a gateway has there while it runs, with their modes. */
async function modesWhileOpen(also: () => void = () => {}): Promise<Record<string, string>> {
  const path = join(folder, 'tappet.db');
  const store = new SqliteStore({ path, clock: new ManualClock(), ids: new SeededIds() });
  await store.open();
  try {
    await store.acquireEngine('docker', 'me', 60_000);
    also();
    const names = readdirSync(folder).filter((name) => name.startsWith('tappet.db'));
    return Object.fromEntries(names.map((name) => [name, modeOf(join(folder, name))]));
  } finally {
    await store.close();
  }
}
const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

const PRIVATE = {
  'tappet.db': '600',
  'tappet.db-wal': '600',
  'tappet.db-shm': '600',
  'tappet.db.owner-me': '600',
};

it('every file of the database is its owner’s alone, in a folder that is not', async () => {
  expect(await modesWhileOpen()).toEqual(PRIVATE);
});

it('a copy that was made readable for others is narrowed, with what was open beside it', async () => {
  const copy = join(folder, 'copy');
  mkdirSync(copy);
  await modesWhileOpen(() => {
    for (const name of ['tappet.db', 'tappet.db-wal', 'tappet.db-shm']) {
      copyFileSync(join(folder, name), join(copy, name));
      chmodSync(join(copy, name), 0o664);
    }
  });
  folder = copy;
  expect(await modesWhileOpen()).toEqual(PRIVATE);
});
