import { existsSync } from 'node:fs';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { deferred } from '../../../src/lib/deferred.ts';
import { CHECKPOINT_PAGES } from '../../../src/stores/sqlite/checkpoints.ts';
import { openCheckpointer, ThreadGone } from '../../../src/stores/sqlite/checkpoint-thread.ts';
import type { Checkpointer, OpenCheckpointer } from '../../../src/stores/sqlite/checkpoint-thread.ts';
import { openConnection } from '../../../src/stores/sqlite/driver.ts';
import { makeSqliteFixture } from '../../support/sqlite-fixture.ts';
import type { SqliteFixture } from '../../support/sqlite-fixture.ts';
import { Wire } from '../../support/sqlite-wire.ts';

const PAGE = 4096;
/** Of a page in the log, with its header. */
const FRAME = PAGE + 24;
/** Pages that a row of ours takes, at least. */
const ROW_PAGES = 10;

let fixture: SqliteFixture;
afterEach(() => fixture.dispose());

let rows = 0;
/** Writes rows, a commit each, which take so many pages in the log. */
async function write(pages: number): Promise<void> {
  for (let left = pages; left > 0; left -= ROW_PAGES) {
    const state = [{ key: `row ${rows++}`, expect: null, value: 'x'.repeat(ROW_PAGES * PAGE) }];
    await fixture.store.acceptEvents({ origin: 'trigger/a', events: [], state });
  }
}
const logBytes = async (): Promise<number> => (await stat(`${fixture.path}-wal`)).size;
const rowsIn = (path: string): number => {
  const db = openConnection(path, true);
  const found = db.prepare("SELECT count(*) AS n FROM source_state WHERE key LIKE 'row %'").get();
  db.close();
  return (found as { n: number }).n;
};

/** Remembers what it was told, and does what `does` says. */
class Orders implements Checkpointer {
  readonly told: string[] = [];
  does: (order: string) => Promise<void> = () => Promise.resolve();
  readonly open = (): Promise<void> => this.#tell('open');
  readonly run = (): Promise<void> => this.#tell('run');
  readonly close = (): Promise<void> => this.#tell('close');
  readonly end = (): Promise<void> => this.#tell('end');

  #tell(order: string): Promise<void> {
    this.told.push(order);
    return this.does(order);
  }
}

describe('the log', () => {
  it(
    'is written into the file by a thread and begun anew, and nothing is lost',
    { timeout: 30_000 },
    async () => {
      let runs = 0;
      const counted: OpenCheckpointer = (path) => {
        const thread = openCheckpointer(path);
        return { ...thread, run: () => thread.run().then(() => void runs++) };
      };
      fixture = await makeSqliteFixture({ checkpointer: counted });
      const before = rows;
      await write(6 * CHECKPOINT_PAGES);
      expect(runs).toBeGreaterThan(2);
      expect(await logBytes()).toBeLessThan(2 * CHECKPOINT_PAGES * FRAME);
      expect(rowsIn(fixture.path)).toBe(rows - before);
      await fixture.store.close();
      expect(existsSync(`${fixture.path}-wal`)).toBe(false);
      expect(rowsIn(fixture.path)).toBe(rows - before);
    },
  );

  it('is written at commits where there can be no thread', { timeout: 30_000 }, async () => {
    const orders = new Orders();
    orders.does = (order) => (order === 'run' ? Promise.reject(new ThreadGone('no')) : Promise.resolve());
    fixture = await makeSqliteFixture({ checkpointer: () => orders });
    await write(5 * CHECKPOINT_PAGES);
    expect(orders.told).toEqual(['open', 'run']);
    expect(await logBytes()).toBeLessThan(2.2 * CHECKPOINT_PAGES * FRAME);
  });

  it('is tried again by a new connection where the disk gave an error', async () => {
    const orders = new Orders();
    let failures = 1;
    orders.does = (order) => {
      const error = Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' });
      return order === 'run' && failures-- > 0 ? Promise.reject(error) : Promise.resolve();
    };
    fixture = await makeSqliteFixture({ checkpointer: () => orders });
    await write(1.5 * CHECKPOINT_PAGES);
    expect(orders.told.slice(0, 5)).toEqual(['open', 'run', 'close', 'open', 'run']);
  });

  it('is left by the thread before the store is closed, which empties it', async () => {
    const orders = new Orders();
    const run = deferred<void>();
    orders.does = (order) => (order === 'run' ? run.promise : Promise.resolve());
    fixture = await makeSqliteFixture({ checkpointer: () => orders });
    await write(1.1 * CHECKPOINT_PAGES);
    expect(orders.told).toEqual(['open', 'run']);
    const closed = fixture.store.close();
    await Promise.resolve();
    expect(existsSync(`${fixture.path}-wal`)).toBe(true);
    run.resolve();
    await closed;
    expect(orders.told).toEqual(['open', 'run', 'close', 'end']);
    expect(existsSync(`${fixture.path}-wal`)).toBe(false);
  });

  it('of a connection that was given up is given up by the thread too', async () => {
    const orders = new Orders();
    const wire = new Wire();
    fixture = await makeSqliteFixture({ checkpointer: () => orders, connect: wire.connect });
    await write(0.5 * CHECKPOINT_PAGES);
    expect(orders.told).toEqual(['open']);
    wire.fail = (sql) => (sql === 'COMMIT' ? 'SQLITE_IOERR_FSYNC' : undefined);
    await expect(write(1)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    wire.fail = null;
    await write(0.5 * CHECKPOINT_PAGES);
    expect(orders.told.slice(0, 3)).toEqual(['open', 'close', 'open']);
  });
});

describe('the thread', () => {
  const started = (path: string): Checkpointer => {
    const thread = openCheckpointer(path);
    onTestFinished(() => thread.end());
    return thread;
  };

  it('does what it can while another reads, and all of it afterwards', async () => {
    fixture = await makeSqliteFixture();
    await write(500);
    const thread = started(fixture.path);
    await thread.open();
    const reader = openConnection(fixture.path, true);
    reader.exec('BEGIN; SELECT count(*) FROM source_state');
    await write(100);
    await thread.run();
    const left = (): { log: number; checkpointed: number } =>
      reader.prepare('PRAGMA wal_checkpoint(NOOP)').get() as { log: number; checkpointed: number };
    reader.exec('COMMIT');
    const first = left();
    expect(first.checkpointed).toBeGreaterThanOrEqual(500);
    expect(first.checkpointed).toBeLessThan(first.log);
    await thread.run();
    expect(left().checkpointed).toBe(left().log);
    reader.close();
    await thread.close();
  });

  it('tells of errors by SQLite’s names, makes no file, and is gone after its end', async () => {
    fixture = await makeSqliteFixture();
    const folder = await mkdtemp(join(tmpdir(), 'tappet-checkpoint-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const none = join(folder, 'none.db');
    const thread = started(none);
    await expect(thread.open()).rejects.toMatchObject({ code: 'SQLITE_CANTOPEN' });
    expect(existsSync(none)).toBe(false);
    await writeFile(join(folder, 'text.db'), 'no database, '.repeat(1000));
    await expect(started(join(folder, 'text.db')).run()).rejects.toMatchObject({ code: 'SQLITE_NOTADB' });
    await thread.close();
    await thread.end();
    await expect(thread.run()).rejects.toBeInstanceOf(ThreadGone);
    await thread.close();
  });
});
