import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { S3ObjectStore } from '../../src/objects/s3-store.ts';
import { DELETED, uploadInEveryWay } from '../support/every-upload.ts';
import { FakeLog } from '../support/fake-log.ts';
import type { TestStore } from '../support/minio.ts';
import { testMinio } from '../support/minio.ts';
import { connectionTo, keysOf } from '../support/object-stores.ts';
import { ORIGIN, StorageGateway, TOKEN } from '../support/storage-rig.ts';
import { Uploads, notifyOf } from '../support/uploads.ts';

/** What a real MinIO does, by both ways: notifications of its webhook, and listings. */
let minio: TestStore;
let hook: Server;
let bucket: string;
let rig: StorageGateway<SystemClock, S3ObjectStore>;
/** Notifications that came in, and what becomes of the next ones. */
let received = 0;
let drop = false;

beforeAll(async () => {
  hook = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      received++;
      const token = incoming.headers.authorization?.replace('Bearer ', '') ?? '';
      const answered = drop ? Promise.resolve(204) : rig.notify(new Uint8Array(Buffer.concat(chunks)), token);
      void answered.then((status) => outgoing.writeHead(status).end());
    });
  });
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/notify/storage/store`;
  minio = await testMinio({
    webhook: [{ id: 'TAPPET', url, token: TOKEN }],
    env: { MINIO_API_SYNC_EVENTS: 'on' },
  });
});
afterAll(async () => {
  await minio.close();
  hook.close();
});
beforeEach(() => {
  received = 0;
  drop = false;
});
afterEach(async () => {
  await rig.close();
  rig.objects.close();
});

async function gateway(versioned: boolean, pollMs: number): Promise<void> {
  bucket = await minio.bucket({ versioned });
  await notifyOf(minio, bucket, 'TAPPET');
  const clock = new SystemClock();
  const secrets = keysOf(minio.server);
  const spec = connectionTo(minio.server.url);
  const objects = new S3ObjectStore({ name: 'store', spec, secrets, clock, log: new FakeLog() });
  rig = await new StorageGateway(clock, objects).open();
  rig.pollMs = pollMs;
  await rig.start({ bucket });
}

const NEVER = 24 * 60 * 60_000;
const runsAre = (keys: readonly string[]) =>
  expect
    .poll(async () => (await rig.runs()).sort(), { timeout: 20_000 })
    .toEqual(keys.map((key) => `up ${key}`).sort());

/** Keys of what was made in every way, each as often as it was. */
async function uploadAll(): Promise<string[]> {
  const uploads = new Uploads(minio, bucket);
  await uploadInEveryWay(minio, uploads);
  return uploads.puts.map(({ key }) => key);
}

test.each([false, true])(
  'notifications alone, versioned %s: one run per upload, with the exact key',
  async (versioned) => {
    await gateway(versioned, NEVER);
    const keys = await uploadAll();
    await runsAre(keys);
    // A listing that compares all of it finds nothing new.
    await rig.start({ bucket });
    await runsAre(keys);
    const events = await rig.events();
    expect(events.every(({ duplicates }) => duplicates === 0)).toBe(true);
    const data = events.find(({ event }) => event.subject === 'objects/a+b')?.event.data;
    expect(data).toMatchObject({ bucket, name: 'a+b', size: 6, metadata: { foo: 'bar' } });
    expect(rig.log.lines.filter(({ level }) => level !== 'info')).toEqual([]);
  },
);

test.each([false, true])(
  'listings alone, versioned %s: one run per upload that still stands',
  async (versioned) => {
    await gateway(versioned, 200);
    drop = true;
    const keys = await uploadAll();
    // Without versions only what stands can be seen: not the one deleted, nor (maybe) the one overwritten at once.
    if (versioned) await runsAre(keys);
    else {
      const distinct = (await rigKeys(keys)).sort();
      expect(distinct).toEqual([...new Set(keys)].filter((key) => key !== DELETED).sort());
    }
  },
);
/** Which keys ran, deleted ones aside, once all that stand did. */
async function rigKeys(keys: readonly string[]): Promise<string[]> {
  const wanted = new Set(keys.filter((key) => key !== DELETED));
  const seen = async () =>
    new Set((await rig.runs()).map((run) => run.slice(3)).filter((key) => key !== DELETED));
  await expect.poll(async () => (await seen()).size, { timeout: 20_000 }).toBe(wanted.size);
  return [...(await seen())];
}

test('both at once, with a third of the notifications lost and a restart between: each upload once', async () => {
  await gateway(true, 300);
  const count = 60;
  for (let i = 0; i < count; i++) {
    drop = i % 3 === 0;
    await minio.client.send(new PutObjectCommand({ Bucket: bucket, Key: `k${i % 20}`, Body: `${i}` }));
    if (i === 30) await rig.start({ bucket });
  }
  await runsAre(Array.from({ length: count }, (_, i) => `k${i % 20}`));
  expect(received).toBe(count);
});

test('a store that is gone is told, and found again', async () => {
  await gateway(false, 500);
  await minio.server.kill();
  await expect.poll(() => rig.host?.health()[0]?.state, { timeout: 20_000 }).toBe('failed');
  expect(rig.host?.health()[0]?.message).toContain('the object store "store"');
  await minio.server.restart();
  drop = true;
  await minio.put(bucket, 'unannounced', 'x');
  await runsAre(['unannounced']);
  expect(rig.host?.health()[0]?.state).toBe('running');
});

test('what was there before starts nothing, and the trigger says how much that is', async () => {
  await gateway(false, NEVER);
  drop = true;
  for (const key of ['in/1', 'in/2', 'in/3', 'out']) await minio.put(bucket, key, 'x');
  // The store tells its time in whole seconds.
  await pause(1_100);
  await rig.start({ name: 'late', bucket, prefix: 'in/' });
  expect(rig.host?.status(ORIGIN, 'late')?.existing).toEqual({ skipped: 3, complete: true });
  drop = false;
  for (const key of ['in/4', 'else']) await minio.put(bucket, key, 'x');
  await expect.poll(async () => (await rig.events()).length, { timeout: 20_000 }).toBe(2);
  expect(await rig.runs()).toEqual(['late in/4']);
  // The events are the connection's; a trigger's are those that it has answered.
  const { items } = await rig.store.listEvents({ trigger: 'late' }, { size: 10 });
  expect(items.map(({ event }) => event.subject)).toEqual(['objects/in/4']);
});
