import { existsSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openConnection } from '../../../src/stores/sqlite/driver.ts';
import type { Connection, OpenWal } from '../../../src/stores/sqlite/driver.ts';
import { Bench, expectCode } from '../../contract/store/fixture.ts';
import { deferred } from '../../../src/lib/deferred.ts';
import type { Deferred } from '../../../src/lib/deferred.ts';
import { ManualClock, settle } from '../../support/manual-clock.ts';
import { SeededIds } from '../../support/seeded-ids.ts';
import { makeSqliteFixture } from '../../support/sqlite-fixture.ts';
import { Wire } from '../../support/sqlite-wire.ts';
import { SqliteStore } from '../../../src/stores/sqlite/store.ts';

let wire = new Wire();
const bench = new Bench(() => {
  wire = new Wire();
  return makeSqliteFixture({ connect: wire.connect });
});
const origin = 'trigger/a';
const accept = (id: string) => {
  const event = bench.event(id);
  return { uid: event.uid, done: bench.store.acceptEvents({ origin, events: [event], state: [] }) };
};

describe('group commit', () => {
  it('is one transaction without savepoints for all calls of a turn', async () => {
    wire.log.length = 0;
    const calls = Array.from({ length: 20 }, (_, i) => accept(String(i)));
    await Promise.all(calls.map(({ done }) => done));
    expect([wire.count('BEGIN IMMEDIATE'), wire.count('COMMIT')]).toEqual([1, 1]);
    expect(wire.count('SAVEPOINT operation')).toBe(0);
  });

  it('undoes only the call that fails, and keeps the order of the others', async () => {
    await bench.created({}, { name: 'work-taken' });
    wire.log.length = 0;
    const settled: string[] = [];
    const note = (name: string) => () => void settled.push(name);
    const stranger = bench.execution({}, { name: 'work-taken' });
    const [before, after] = [bench.execution(), bench.execution()];
    const calls = [
      bench.store.createExecution(before).then(note('before')),
      expectCode(bench.store.createExecution(stranger), 'CONFLICT').then(note('taken')),
      bench.store.createExecution(after).then(note('after')),
    ];
    await Promise.all(calls);
    expect(wire.count('COMMIT')).toBe(1);
    expect(settled.toSorted()).toEqual(['after', 'before', 'taken']);
    const { items } = await bench.store.listExecutions({}, { size: 10 });
    expect(items.map(({ name }) => name)).toEqual([after.name, before.name, 'work-taken']);
  });

  it('runs in WAL mode with foreign keys, on a file of its owner alone', async () => {
    const [connection] = wire.connections;
    const pragma = (name: string): unknown => connection?.prepare(`PRAGMA ${name}`).get();
    // Checkpoints are ordered by SQLite; the sync of each commit is the queue's, below.
    expect(pragma('synchronous')).toEqual({ synchronous: 1 });
    expect(pragma('journal_mode')).toEqual({ journal_mode: 'wal' });
    expect(pragma('foreign_keys')).toEqual({ foreign_keys: 1 });
    expect(pragma('busy_timeout')).toEqual({ timeout: 0 });
    await bench.accepted('1');
    expect(statSync(wire.file).mode & 0o777).toBe(0o600);
    expect(statSync(`${wire.file}-wal`).mode & 0o777).toBe(0o600);
    expect(statSync(join(wire.file, '..')).mode & 0o777).toBe(0o700);
  });

  it('shows nothing of what a crash keeps from being committed', async () => {
    let lost: (() => void) | undefined;
    const doomed = new SqliteStore({
      path: wire.file,
      clock: bench.clock,
      ids: bench.fixture.ids,
      schedule: (flush) => void (lost = flush),
    });
    await doomed.open();
    const event = bench.event('1');
    void doomed.acceptEvents({ origin, events: [event], state: [] });
    await settle();
    expect(lost).toBeDefined();
    expect(await doomed.getEvent(event.uid)).toBeUndefined();
    expect(await bench.store.getEvent(event.uid)).toBeUndefined();
    await doomed.close();
  });
});

describe('a commit', () => {
  /** Syncs that a test lets end. */
  const syncs: Deferred<void>[] = [];
  const wal: OpenWal = (database) => {
    expect(database).toBe(wire.file);
    const sync = (): Promise<void> => {
      syncs.push(deferred());
      return syncs.at(-1)?.promise ?? Promise.resolve();
    };
    return { sync, close: () => undefined };
  };
  let store: SqliteStore;
  let told: string[];
  const slow = (id: string) => {
    const event = bench.event(id);
    const done = store.acceptEvents({ origin, events: [event], state: [] });
    done.then(
      () => told.push(id),
      (error: Error) => told.push(`${id}: ${error.message}`),
    );
    return { uid: event.uid, done };
  };
  const end = async (...numbers: number[]): Promise<void> => {
    for (const n of numbers) syncs[n]?.resolve();
    await settle();
  };
  const open = async (patienceMs = 0): Promise<void> => {
    syncs.length = 0;
    told = [];
    const { clock, ids } = bench.fixture;
    store = new SqliteStore({ path: wire.file, clock, ids, wal, patienceMs, connect: wire.connect });
    await store.open();
  };
  afterEach(async () => {
    const closed = store.close();
    for (let n = 0; n < 100; n++) await end(n);
    await closed;
  });

  it('is told to nobody, the caller or a reader, before the disk has its log', async () => {
    await open();
    const { uid } = slow('1');
    await settle();
    expect([syncs.length, told]).toEqual([1, []]);
    // The file has it: another connection sees it.
    expect(await bench.store.getEvent(uid)).toBeDefined();
    let read = false;
    const reading = store.getEvent(uid).then(() => (read = true));
    await settle();
    expect([read, told]).toEqual([false, []]);
    await end(0);
    await reading;
    expect(told).toEqual(['1']);
  });

  it('carries all that came while the disk was at work for the one before it', async () => {
    await open();
    slow('1');
    await settle();
    wire.log.length = 0;
    slow('2');
    await settle();
    slow('3');
    await settle();
    expect([syncs.length, wire.count('COMMIT'), told]).toEqual([1, 0, []]);
    await end(0);
    expect([syncs.length, wire.count('COMMIT'), told]).toEqual([2, 1, ['1']]);
    await end(1);
    expect(told).toEqual(['1', '2', '3']);
  });

  it('whose sync fails may be stored or not, and says so; what waited behind it is stored anew', async () => {
    await open();
    const first = slow('1');
    await settle();
    const connections = wire.connections.length;
    const second = slow('2');
    const read = expectCode(store.getEvent(first.uid), 'STORE_UNAVAILABLE');
    syncs[0]?.reject(new Error('EIO: i/o error, fdatasync'));
    await settle();
    expect(told).toEqual([expect.stringMatching(/^1: .*EIO.*Whether this call was stored is not known/)]);
    await expectCode(first.done, 'STORE_UNAVAILABLE');
    await read;
    await end(1);
    expect(await second.done).toMatchObject({ outcome: 'stored' });
    // On a connection that has put everything into the database file before.
    expect(await store.getEvent(first.uid)).toBeDefined();
    expect(wire.connections).toHaveLength(connections + 1);
    expect(wire.log).toContain('PRAGMA wal_checkpoint(TRUNCATE)');
  });

  it('of what nobody waits for outside waits for others to share it, if there were others, and not for long', async () => {
    await open(5);
    const decide = (): Promise<unknown> => store.decide({ event: 'none', decisions: [] });
    wire.log.length = 0;
    const alone = decide();
    await settle();
    expect(wire.count('COMMIT')).toBe(1);
    await end(0);
    await alone;
    const crowd = [slow('1').done, slow('2').done];
    await settle();
    await end(1);
    await Promise.all(crowd);
    expect(wire.count('COMMIT')).toBe(2);
    const held = decide();
    await settle();
    expect(wire.count('COMMIT')).toBe(2);
    await bench.clock.advance(5);
    await held;
    expect(wire.count('COMMIT')).toBe(3);
    const shared = decide();
    const { done } = slow('3');
    await settle();
    await end(2);
    await Promise.all([shared, done]);
    expect(wire.count('COMMIT')).toBe(4);
  });
});

describe('a database that another process writes to', () => {
  const rival = (): Connection => {
    const connection = openConnection(wire.file);
    connection.exec('BEGIN IMMEDIATE');
    return connection;
  };

  it('is tried again without blocking, and what came meanwhile commits with the rest', async () => {
    const other = rival();
    const first = accept('1');
    await settle();
    await bench.clock.advance(50);
    const second = accept('2');
    expect(await bench.store.getEvent(first.uid)).toBeUndefined();
    wire.log.length = 0;
    other.exec('COMMIT');
    await bench.clock.advance(5);
    expect(await first.done).toMatchObject({ outcome: 'stored' });
    expect(await second.done).toMatchObject({ outcome: 'stored' });
    expect(wire.count('COMMIT')).toBe(1);
    other.close();
  });

  it('is given up after ten seconds, with nothing stored, and works again afterwards', async () => {
    const other = rival();
    const { uid, done } = accept('1');
    const refused = expectCode(done, 'STORE_UNAVAILABLE');
    await settle();
    for (let i = 0; i < 2001; i++) await bench.clock.advance(0).then(() => bench.clock.advance(5));
    await refused;
    other.exec('COMMIT');
    other.close();
    expect(await bench.store.getEvent(uid)).toBeUndefined();
    expect(await accept('1').done).toMatchObject({ outcome: 'stored' });
  });
});

describe('a disk that fails', () => {
  it('at COMMIT rejects the whole batch, stores nothing, and the next call finds a fresh connection', async () => {
    wire.fail = (sql) => (sql === 'COMMIT' ? 'SQLITE_IOERR_FSYNC' : undefined);
    const calls = [accept('1'), accept('2')];
    for (const { done } of calls) {
      await expect(done).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', fields: { retryAfter: 5 } });
    }
    wire.fail = null;
    expect(wire.connections).toHaveLength(1);
    for (const { uid } of calls) expect(await bench.store.getEvent(uid)).toBeUndefined();
    expect(wire.connections).toHaveLength(2);
    expect(wire.log).toContain('PRAGMA quick_check(1)');
    expect(await accept('1').done).toMatchObject({ outcome: 'stored' });
  });

  it('in the middle of a batch rejects all of it', async () => {
    wire.fail = (sql) => (sql.startsWith('INSERT INTO event_keys') ? 'SQLITE_IOERR_WRITE' : undefined);
    const created = bench.store.createExecution(bench.execution());
    const { done } = accept('1');
    await expectCode(done, 'STORE_UNAVAILABLE');
    await expectCode(created, 'STORE_UNAVAILABLE');
    wire.fail = null;
    expect((await bench.store.listExecutions({}, { size: 1 })).items).toEqual([]);
  });

  it('and cannot be opened again answers STORE_UNAVAILABLE until it can', async () => {
    wire.fail = () => 'SQLITE_IOERR';
    await expectCode(accept('1').done, 'STORE_UNAVAILABLE');
    await expectCode(accept('1').done, 'STORE_UNAVAILABLE');
    await expectCode(bench.store.counts(), 'STORE_UNAVAILABLE');
    wire.fail = null;
    expect(await accept('1').done).toMatchObject({ outcome: 'stored' });
  });

  it('and comes back without the database does not begin an empty one', async () => {
    const uid = await bench.accepted('0');
    wire.fail = (sql) => (sql === 'COMMIT' ? 'SQLITE_IOERR_FSYNC' : undefined);
    await expectCode(accept('1').done, 'STORE_UNAVAILABLE');
    wire.fail = null;
    renameSync(wire.file, `${wire.file}.away`);
    await expectCode(bench.store.counts(), 'STORE_UNAVAILABLE');
    expect(existsSync(wire.file)).toBe(false);
    renameSync(`${wire.file}.away`, wire.file);
    expect(await bench.store.getEvent(uid)).toBeDefined();
  });

  it('is full: refused in words, readers go on, and it goes on by itself once there is room', async () => {
    const uid = await bench.accepted('0');
    const [connection] = wire.connections;
    const pages = connection?.prepare('PRAGMA page_count').get() as { page_count: number };
    connection?.exec(`PRAGMA max_page_count = ${pages.page_count}`);
    const big = bench.event('1', { cloud: { data: 'x'.repeat(100_000) } });
    const refused = bench.store.acceptEvents({ origin, events: [big], state: [] });
    await expect(refused).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining('the disk is full') as string,
    });
    expect(await bench.store.getEvent(uid)).toBeDefined();
    connection?.exec('PRAGMA max_page_count = 1000000');
    const again = await bench.store.acceptEvents({ origin, events: [big], state: [] });
    expect(again).toMatchObject({ outcome: 'stored', events: [{ uid: big.uid }] });
    expect(wire.connections).toHaveLength(1);
  });
});

describe('opening', () => {
  let folder: string | undefined;
  afterEach(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true });
    folder = undefined;
  });

  it('refuses use before it and gives up on a file that stays locked', async () => {
    folder = mkdtempSync(join(tmpdir(), 'tappet-open-'));
    const path = join(folder, 'tappet.db');
    const clock = new ManualClock();
    const store = new SqliteStore({ path, clock, ids: new SeededIds() });
    await expectCode(store.counts(), 'STORE_UNAVAILABLE');
    await expectCode(store.decide({ event: 'x', decisions: [] }), 'STORE_UNAVAILABLE');
    const rival = openConnection(path);
    rival.exec('BEGIN EXCLUSIVE');
    const opened = expectCode(store.open(), 'DATA_FOLDER_UNUSABLE');
    for (let i = 0; i < 2001; i++) await clock.advance(5);
    await opened;
    rival.close();
    await store.open();
    expect(await store.counts()).toMatchObject({ undecidedEvents: 0 });
    await store.close();
  });
});
