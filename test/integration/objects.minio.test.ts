import { PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { S3ObjectStore } from '../../src/objects/s3-store.ts';
import { listAll, objectsContract, pattern } from '../contract/objects.contract.ts';
import { FakeLog } from '../support/fake-log.ts';
import type { TestStore } from '../support/minio.ts';
import { testMinio } from '../support/minio.ts';
import { connectionTo, keysOf } from '../support/object-stores.ts';

function storeAt(real: TestStore): S3ObjectStore {
  const spec = connectionTo(real.server.url);
  const options = { name: 'store', spec, secrets: keysOf(real.server) };
  return new S3ObjectStore({ ...options, clock: new SystemClock(), log: new FakeLog() });
}

objectsContract('MinIO', async () => {
  const real = await testMinio();
  const oddKeys = [
    'line\nbreak',
    'tab\there',
    'one\u0001two',
    'back\\slash',
    ' lead',
    'trail ',
    'x'.repeat(200),
  ];
  return { real, store: storeAt(real), oddKeys, byteOrder: true };
});

describe('objects on MinIO alone', () => {
  let real: TestStore;
  let store: S3ObjectStore;
  beforeAll(async () => {
    real = await testMinio();
    store = storeAt(real);
  });
  afterAll(async () => {
    store.close();
    await real.close();
  });

  it('calls the version that was written before versioning null, and a suspended bucket suspended', async () => {
    const bucket = await real.bucket();
    await real.put(bucket, 'a', 'before');
    const suspend = { Bucket: bucket, VersioningConfiguration: { Status: 'Suspended' } } as const;
    await real.client.send(new PutBucketVersioningCommand(suspend));
    expect(await store.versioning(bucket)).toBe('suspended');
    const { versions } = await store.listVersions(bucket, { prefix: '' });
    expect(versions.map(({ key, versionId }) => [key, versionId])).toEqual([['a', 'null']]);
    expect(await store.head({ bucket, key: 'a', versionId: 'null' })).toMatchObject({ size: 6 });
  });

  it('finds no version under an id that another store made', async () => {
    const bucket = await real.bucket({ versioned: true });
    await real.put(bucket, 'a', 'x');
    const object = { bucket, key: 'a', versionId: 'of-another-store' };
    expect([await store.head(object), await store.get(object)]).toEqual([null, null]);
  });

  it('tells the moment of an upload to the millisecond when it lists', async () => {
    const bucket = await real.bucket();
    for (let i = 0; i < 12; i++) await real.put(bucket, `k${i}`, 'x');
    const times = (await listAll(store, bucket)).flat().map(({ lastModified }) => lastModified % 1000);
    expect(times.some((ms) => ms !== 0)).toBe(true);
  });

  it('says that a key is not allowed', async () => {
    const bucket = await real.bucket();
    const put = store.put({ bucket, key: 'a/../b' }, pattern(1), { size: 1 });
    await expect(put).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(`refuses the request for the bucket "${bucket}": 400`),
    });
  });
});
