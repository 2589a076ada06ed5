import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { S3ObjectStore } from '../../src/objects/s3-store.ts';
import { FakeLog } from '../support/fake-log.ts';
import type { TestStore } from '../support/minio.ts';
import { testMinio } from '../support/minio.ts';
import { connectionTo, keysOf } from '../support/object-stores.ts';
import { StorageGateway, TOKEN } from '../support/storage-rig.ts';

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
  const rules = [
    {
      QueueArn: 'arn:minio:sqs::TAPPET:webhook',
      Events: ['s3:ObjectCreated:*' as const, 's3:ObjectRemoved:*' as const],
    },
  ];
  await minio.client.send(
    new PutBucketNotificationConfigurationCommand({
      Bucket: bucket,
      NotificationConfiguration: { QueueConfigurations: rules },
    }),
  );
  const clock = new SystemClock();
  const secrets = keysOf(minio.server);
  const spec = connectionTo(minio.server.url);
  const objects = new S3ObjectStore({ name: 'store', spec, secrets, clock, log: new FakeLog() });
  rig = await new StorageGateway(clock, objects).open();
  rig.pollMs = pollMs;
  await rig.start({ bucket });
}

const KEYS = [
  'plain',
  'with space',
  'a+b',
  '100%',
  'lit%20eral',
  'ünï/ço–dé 😀',
  'q?x=#&',
  'in/',
  'l\nine',
  "it's*(~)!",
];
const NEVER = 24 * 60 * 60_000;
const runsAre = (keys: readonly string[]) =>
  expect
    .poll(async () => (await rig.runs()).sort(), { timeout: 20_000 })
    .toEqual(keys.map((key) => `up ${key}`).sort());

/** Every way to make an object; the keys that are finalized by it, each as often as it is. */
async function uploads(): Promise<string[]> {
  const { client } = minio;
  for (const key of KEYS)
    await minio.put(bucket, key, key === 'in/' ? new Uint8Array(0) : key, { metadata: { Foo: 'bar' } });
  await minio.put(bucket, 'plain', 'plain');
  const Key = 'multi part';
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }));
  const part = { Bucket: bucket, Key, UploadId, PartNumber: 1 };
  const { ETag } = await client.send(new UploadPartCommand({ ...part, Body: 'x'.repeat(100) }));
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
  await client.send(new CompleteMultipartUploadCommand({ ...part, MultipartUpload }));
  const aborted = await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: 'aborted' }));
  await client.send(
    new AbortMultipartUploadCommand({ Bucket: bucket, Key: 'aborted', UploadId: aborted.UploadId }),
  );
  await client.send(new CopyObjectCommand({ Bucket: bucket, Key: 'copy', CopySource: `${bucket}/plain` }));
  const Tagging = { TagSet: [{ Key: 'k', Value: 'v' }] };
  await client.send(new PutObjectTaggingCommand({ Bucket: bucket, Key: 'plain', Tagging }));
  await minio.delete(bucket, '100%');
  return [...KEYS, 'plain', Key, 'copy'];
}

test.each([false, true])(
  'notifications alone, versioned %s: one run per upload, with the exact key',
  async (versioned) => {
    await gateway(versioned, NEVER);
    const keys = await uploads();
    await runsAre(keys);
    // A listing that compares all of it finds nothing new.
    await rig.start({ bucket });
    await runsAre(keys);
    const events = await rig.events();
    expect(events.every(({ duplicates }) => duplicates === 0)).toBe(true);
    const data = events.find(({ event }) => event.subject === 'objects/a+b')?.event.data;
    expect(data).toMatchObject({ bucket, name: 'a+b', size: 3, metadata: { foo: 'bar' } });
    expect(rig.log.lines.filter(({ level }) => level !== 'info')).toEqual([]);
  },
);

test.each([false, true])(
  'listings alone, versioned %s: one run per upload that still stands',
  async (versioned) => {
    await gateway(versioned, 200);
    drop = true;
    const keys = await uploads();
    // Without versions only what stands can be seen: not the one deleted, nor (maybe) the one overwritten at once.
    if (versioned) await runsAre(keys);
    else {
      const distinct = (await rigKeys(keys)).sort();
      expect(distinct).toEqual([...new Set(keys)].filter((key) => key !== '100%').sort());
    }
  },
);
/** Which keys ran, deleted ones aside, once all that stand did. */
async function rigKeys(keys: readonly string[]): Promise<string[]> {
  const wanted = new Set(keys.filter((key) => key !== '100%'));
  const seen = async () =>
    new Set((await rig.runs()).map((run) => run.slice(3)).filter((key) => key !== '100%'));
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
