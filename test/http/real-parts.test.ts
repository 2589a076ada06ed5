import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import type { Client } from '../../src/client/client.ts';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import type { SqliteStore } from '../../src/stores/sqlite/store.ts';
import { createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { SeededIds } from '../support/seeded-ids.ts';
import { memoryStore } from '../support/migrated.ts';

/** The API over the store and the log sink that the product runs with. */
let folder: string;
let clock: ManualClock;
let store: SqliteStore;
let logs: FileLogSink;
let t: TestApp;
let client: Client;
let epoch: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tappet-http-'));
  clock = new ManualClock();
  const ids = new SeededIds();
  store = memoryStore(clock, ids);
  await store.open();
  logs = new FileLogSink({ dir: folder, clock });
  t = createTestApp({ store, logs, clock, ids });
  client = createClient({
    url: 'http://gateway.test',
    token: ROOT_TOKEN,
    fetch: (url, init) => t.app.fetch(new Request(url, init), { remoteAddress: '127.0.0.1' }),
  });
  const lease = await store.acquireEngine('docker', 'me', 60_000);
  epoch = lease.held ? lease.epoch : -1;
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

const claim = async () =>
  (await store.claimAttempts({ engine: 'docker', epoch, limit: 1, maxParallelism: 10 })).claims;

test('pages through executions; a token of nowhere is refused with its field', async () => {
  for (let i = 0; i < 3; i++) await client.jobs.run('hello');
  const seen = new Set<string>();
  let pageToken: string | undefined;
  do {
    const page = await client.executions.list({ pageSize: 2, pageToken });
    for (const { name } of page.executions) seen.add(name);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  expect(seen.size).toBe(3);
  await expect(client.executions.list({ pageToken: 'nowhere' })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    fields: { errors: [{ path: 'pageToken' }] },
  });
});

test('an execution goes from run to delete', async () => {
  const { name } = await client.jobs.run('other');
  expect((await client.tasks.list(name)).tasks.map(({ index, state }) => `${index} ${state}`)).toEqual([
    '0 PENDING',
    '1 PENDING',
    '2 PENDING',
  ]);
  await claim();
  expect(await client.executions.get(name)).toMatchObject({ state: 'RUNNING', runningCount: 1 });
  expect((await client.tasks.attempts(name, 0)).attempts).toMatchObject([{ attempt: 0, state: 'STARTING' }]);
  await expect(client.executions.delete(name)).rejects.toMatchObject({ code: 'CONFLICT' });
  await client.executions.cancel(name);
  const key = { execution: name, index: 0, attempt: 0 };
  const result = {
    state: 'CANCELLED',
    reason: 'CANCELLED',
    message: 'cancelled',
    exitCode: null,
    signal: null,
  } as const;
  await store.finishAttempt({ key, epoch, result: { ...result, endTime: clock.now() }, logBytes: null });
  expect(await client.executions.get(name)).toMatchObject({ state: 'CANCELLED', cancelledCount: 3 });
  await client.executions.delete(name);
  await expect(client.executions.get(name)).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('validateOnly shows what the store then makes of the same run', async () => {
  const overrides = { env: { A: '2' }, taskCount: 2 };
  const shown = await client.jobs.run('hello', { overrides, validateOnly: true });
  expect((await client.executions.list({})).executions).toEqual([]);
  const { uid: _, name: __, etag: ___, ...made } = await client.jobs.run('hello', { overrides });
  expect(shown).toMatchObject(made);
  expect(Object.keys(shown).sort()).toEqual([...Object.keys(made), 'etag', 'name', 'uid'].sort());
});

test('a follower gets every byte of a task that is retried, live', async () => {
  const { name } = await client.jobs.run('hello');
  const chunks: Uint8Array[] = [];
  const following = (async () => {
    for await (const { data } of client.logs.follow(name, 0)) chunks.push(data);
  })();
  const written: Buffer[] = [];
  for (const attempt of [0, 1]) {
    await claim();
    const key = { execution: name, index: 0, attempt };
    await store.attemptStarted({ key, epoch, startTime: clock.now(), imageDigest: null });
    await clock.advance(1000);
    const writer = await logs.open(key);
    for (let i = 0; i < 5; i++) {
      const data = Buffer.from(`attempt ${attempt} line ${i} \u00e4\n`).subarray(0, 20 + i);
      written.push(data);
      await writer.write(i % 2 === 0 ? 'stdout' : 'stderr', data);
      await clock.advance(100);
    }
    const logBytes = await writer.close();
    const state = attempt === 0 ? 'FAILED' : 'SUCCEEDED';
    const reason = attempt === 0 ? 'NON_ZERO_EXIT_CODE' : 'EXITED_ZERO';
    const result = {
      state,
      reason,
      message: '',
      exitCode: attempt === 0 ? 1 : 0,
      signal: null,
      endTime: clock.now(),
    } as const;
    await store.finishAttempt({ key, epoch, result, logBytes });
    await clock.advance(1000);
    await settle();
  }
  await clock.advance(2000);
  await following;
  expect(Buffer.concat(chunks).toString('latin1')).toBe(Buffer.concat(written).toString('latin1'));
  const raw: Uint8Array[] = [];
  for await (const data of client.logs.read(name, 0, { attempt: 0 })) raw.push(data);
  expect(Buffer.concat(raw).toString('latin1')).toBe(Buffer.concat(written.slice(0, 5)).toString('latin1'));
});
