import { randomBytes } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectTaggingCommand,
} from '@aws-sdk/client-s3';
import type { TestStore } from './minio.ts';
import type { Uploads } from './uploads.ts';

/** Keys that one encoding or another on the way would change, a marker of a folder among them. */
const KEYS = [
  'plain',
  'with space',
  'a+b',
  '100%',
  'lit%20eral',
  'ünï/ço–dé 😀',
  'q?x=#&',
  'folder/',
  'l\nine',
  "it's*(~)!",
];
/** Of these the object is deleted in the end. */
export const DELETED = '100%';
/** MinIO takes no smaller parts but the last. */
export const PARTS = [randomBytes(5 * 1024 * 1024), randomBytes(1_000)];

/** Every way to make an object, and some that make none; `uploads.puts` tells what was made. */
export async function uploadInEveryWay(store: TestStore, uploads: Uploads): Promise<void> {
  const { bucket } = uploads;
  const Foo = 'bar';
  for (const key of KEYS)
    await uploads.put(key, key.endsWith('/') ? new Uint8Array(0) : `of ${key}`, { Foo });
  await uploads.put('plain', 'other bytes');
  await uploads.put('plain', 'other bytes');
  await uploads.multipart('multi part+1', PARTS);
  await uploads.copy('with space', 'a copy+%', 'of with space');
  const aborted = { Bucket: bucket, Key: 'aborted' };
  const { UploadId } = await store.client.send(new CreateMultipartUploadCommand(aborted));
  await store.client.send(new AbortMultipartUploadCommand({ ...aborted, UploadId }));
  const Tagging = { TagSet: [{ Key: 'k', Value: 'v' }] };
  await store.client.send(new PutObjectTaggingCommand({ Bucket: bucket, Key: 'plain', Tagging }));
  await store.delete(bucket, DELETED);
  await store.delete(bucket, 'never there');
}
