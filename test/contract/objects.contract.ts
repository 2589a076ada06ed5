import { GetObjectCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ListedObject, ListedVersion, ObjectStore } from '../../src/core/objects.ts';
import type { TestStore } from '../support/minio.ts';

export interface ObjectsHarness {
  /** The real store, with a client of its own. */
  readonly real: TestStore;
  readonly store: ObjectStore;
  /** Keys that this server stores as they were written, beside the plain ones. */
  readonly oddKeys: readonly string[];
  /** Listings are in the order of the keys' bytes. */
  readonly byteOrder: boolean;
}

const MIB = 1024 * 1024;
/** Keys that every S3 store takes and a careless client changes. */
export const PLAIN_KEYS = [
  'a b.txt',
  'a+b.txt',
  'a%20b.txt',
  '100%',
  'a%2Fb',
  'umlaut/äöü.txt',
  'nfd/a\u0308.txt',
  '日本語/ファイル',
  'emoji/😀.png',
  '<x>&"\'.xml',
  'entity/&amp;&#10;',
  'url?a=b&c=d#e;f',
  'star*~!()@,$:',
  '007',
  '1e3',
  'true',
  'in/folder/',
];

export function objectsContract(name: string, open: () => Promise<ObjectsHarness>): void {
  describe(`objects: ${name}`, () => {
    let harness: ObjectsHarness;
    beforeAll(async () => {
      harness = await open();
    }, 120_000);
    afterAll(async () => {
      harness.store.close();
      await harness.real.close();
    });
    const get = (): ObjectsHarness => harness;
    listContract(get);
    versionsContract(get);
    readContract(get);
    putContract(get);
  });
}

export async function listAll(store: ObjectStore, bucket: string, prefix = ''): Promise<ListedObject[][]> {
  const pages: ListedObject[][] = [];
  for (let token: string | undefined; ;) {
    const page = await store.list(bucket, { prefix, ...(token === undefined ? {} : { token }) });
    pages.push([...page.objects]);
    if (page.next === undefined) return pages;
    token = page.next;
  }
}

async function listAllVersions(store: ObjectStore, bucket: string): Promise<ListedVersion[][]> {
  const pages: ListedVersion[][] = [];
  for (let token: string | undefined; ;) {
    const page = await store.listVersions(bucket, { prefix: '', ...(token === undefined ? {} : { token }) });
    pages.push([...page.versions]);
    if (page.next === undefined) return pages;
    token = page.next;
  }
}

/** As the store itself gives it out, without the code under test. */
export async function stored(real: TestStore, Bucket: string, Key: string): Promise<Buffer> {
  const { Body } = await real.client.send(new GetObjectCommand({ Bucket, Key }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
}

export async function read(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Bytes of which no two places look alike, in chunks of a size that divides nothing. */
export async function* pattern(bytes: number): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes;) {
    const size = Math.min(70_001, bytes - at);
    yield patternAt(at, size);
    at += size;
    // Real sources wait for something, too; one that never does would keep timers and sockets from their turn.
    await setImmediate();
  }
}
function patternAt(start: number, size: number): Buffer {
  const data = Buffer.alloc(size);
  for (let i = 0; i < size; i++) data[i] = ((start + i) * 2_654_435_761) >>> 24;
  return data;
}

async function inParallel(count: number, work: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: 24 }, worker));
}

function listContract(get: () => ObjectsHarness): void {
  it('lists 1,005 objects in pages, each once, with size, etag and times', async () => {
    const { real, store, byteOrder } = get();
    const bucket = await real.bucket();
    const keys = Array.from({ length: 1005 }, (_, i) => `in/${String(i).padStart(5, '0')}`);
    await inParallel(keys.length, (i) => real.put(bucket, keys[i] ?? '', `body ${i}`));
    await real.put(bucket, 'other', 'x');
    const started = Date.now();
    const pages = await listAll(store, bucket, 'in/');
    expect(pages.map((page) => page.length)).toEqual([1000, 5]);
    const found = pages.flat();
    expect(byteOrder ? found.map(({ key }) => key) : found.map(({ key }) => key).sort()).toEqual(keys);
    expect(found.find(({ key }) => key === 'in/00007')).toMatchObject({
      size: 6,
      etag: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    for (const { lastModified } of found) expect(Math.abs(lastModified - started)).toBeLessThan(120_000);
    const { serverTime } = await store.list(bucket, { prefix: '' });
    expect(Math.abs(serverTime - Date.now())).toBeLessThan(10_000);
  }, 60_000);

  it('lists nothing where nothing is', async () => {
    const { real, store } = get();
    const bucket = await real.bucket();
    expect(await store.list(bucket, { prefix: 'no/' })).toMatchObject({ objects: [] });
    expect((await store.list(bucket, { prefix: '' })).next).toBeUndefined();
  });

  it('gives every key exactly as it was written, and takes it back', async () => {
    const { real, store, oddKeys } = get();
    const bucket = await real.bucket();
    const keys = [...PLAIN_KEYS, ...oddKeys];
    for (const key of keys) await real.put(bucket, key, key.endsWith('/') ? '' : `of ${key}`);
    const listed = (await listAll(store, bucket)).flat().map(({ key }) => key);
    expect(listed.sort()).toEqual([...keys].sort());
    for (const key of keys.filter((each) => !each.endsWith('/'))) {
      const object = await store.get({ bucket, key });
      expect(object === null ? null : (await read(object.body)).toString(), key).toBe(`of ${key}`);
      await store.put({ bucket, key: `copy/${key}` }, pattern(10), { size: 10 });
      expect((await stored(real, bucket, `copy/${key}`)).byteLength, key).toBe(10);
      expect(
        (await store.list(bucket, { prefix: key })).objects.map((each) => each.key),
        key,
      ).toContain(key);
    }
  }, 60_000);

  it('says which bucket is missing, whatever is asked of it', async () => {
    const { store } = get();
    const object = { bucket: 'no-such-bucket', key: 'x' };
    const calls = [
      () => store.list('no-such-bucket', { prefix: '' }),
      () => store.listVersions('no-such-bucket', { prefix: '' }),
      () => store.head(object),
      () => store.get(object),
      () => store.versioning('no-such-bucket'),
    ];
    for (const call of calls) {
      await expect(call()).rejects.toMatchObject({
        code: 'BUCKET_NOT_FOUND',
        message: expect.stringContaining('has no bucket "no-such-bucket"'),
      });
    }
  });

  it('ends with the signal', async () => {
    const { real, store } = get();
    const bucket = await real.bucket();
    const reason = new Error('enough');
    const list = store.list(bucket, { prefix: '', signal: AbortSignal.abort(reason) });
    await expect(list).rejects.toBe(reason);
    const controller = new AbortController();
    const head = store.head({ bucket, key: 'x' }, controller.signal);
    controller.abort(reason);
    await expect(head).rejects.toBe(reason);
  });
}

function versionsContract(get: () => ObjectsHarness): void {
  it('tells off and enabled apart', async () => {
    const { real, store } = get();
    expect(await store.versioning(await real.bucket())).toBe('off');
    expect(await store.versioning(await real.bucket({ versioned: true }))).toBe('enabled');
  });

  it('lists versions and delete markers, the latest of a key first', async () => {
    const { real, store } = get();
    const bucket = await real.bucket({ versioned: true });
    await real.put(bucket, 'a', 'one');
    await real.put(bucket, 'a', 'two!');
    await real.put(bucket, 'b +%', 'x');
    await real.delete(bucket, 'b +%');
    const [page = []] = await listAllVersions(store, bucket);
    expect(page.map((v) => [v.key, v.size, v.isLatest, v.deleteMarker])).toEqual([
      ['a', 4, true, false],
      ['a', 3, false, false],
      ['b +%', 0, true, true],
      ['b +%', 1, false, false],
    ]);
    expect(new Set(page.map(({ versionId }) => versionId)).size).toBe(4);
    const [, older, marker] = page;
    const first = await store.get({ bucket, key: 'a', versionId: older?.versionId ?? '' });
    expect(first === null ? null : (await read(first.body)).toString()).toBe('one');
    expect(first?.info.versionId).toBe(older?.versionId);
    // What a delete marker stands for has no content.
    const removed = { bucket, key: 'b +%', versionId: marker?.versionId ?? '' };
    expect([await store.get(removed), await store.head(removed)]).toEqual([null, null]);
    expect(await store.get({ bucket, key: 'b +%' })).toBeNull();
  });

  it('lists 1,003 versions of one key in pages, each once', async () => {
    const { real, store } = get();
    const bucket = await real.bucket({ versioned: true });
    await inParallel(1003, () => real.put(bucket, 'same + key', 'x'));
    const pages = await listAllVersions(store, bucket);
    expect(pages.length).toBeGreaterThan(1);
    const ids = pages.flat().map(({ versionId }) => versionId);
    expect([ids.length, new Set(ids).size]).toEqual([1003, 1003]);
    expect(pages.flat().filter(({ isLatest }) => isLatest)).toHaveLength(1);
  }, 60_000);
}

function readContract(get: () => ObjectsHarness): void {
  it('heads and gets an object with its type and metadata; null where there is none', async () => {
    const { real, store } = get();
    const bucket = await real.bucket();
    await real.put(bucket, 'a', 'hello', { contentType: 'text/plain', metadata: { Colour: 'red' } });
    const info = await store.head({ bucket, key: 'a' });
    expect(info).toMatchObject({ size: 5, contentType: 'text/plain', metadata: { colour: 'red' } });
    const got = await store.get({ bucket, key: 'a' });
    expect(got?.info).toEqual(info);
    expect(got === null ? null : (await read(got.body)).toString()).toBe('hello');
    expect([await store.head({ bucket, key: 'b' }), await store.get({ bucket, key: 'b' })]).toEqual([
      null,
      null,
    ]);
  });

  it('gets only the object with the etag that was asked for', async () => {
    const { real, store } = get();
    const bucket = await real.bucket();
    await real.put(bucket, 'a', 'one');
    const { etag = '' } = (await store.head({ bucket, key: 'a' })) ?? {};
    const same = await store.get({ bucket, key: 'a', etag });
    expect(same === null ? null : (await read(same.body)).toString()).toBe('one');
    await real.put(bucket, 'a', 'two');
    expect(await store.get({ bucket, key: 'a', etag })).toBeNull();
  });

  it('lets a reader stop early and go on with other calls', async () => {
    const { real, store } = get();
    const bucket = await real.bucket();
    await store.put({ bucket, key: 'big' }, pattern(4 * MIB), { size: 4 * MIB });
    for (let i = 0; i < 3; i++) {
      const object = await store.get({ bucket, key: 'big' });
      for await (const chunk of object?.body ?? []) {
        expect(chunk.byteLength).toBeGreaterThan(0);
        break;
      }
    }
    expect(await store.head({ bucket, key: 'big' })).toMatchObject({ size: 4 * MIB });
  });
}

function putContract(get: () => ObjectsHarness): void {
  it.each([
    ['nothing', 0, true],
    ['nothing, of unknown length', 0, false],
    ['a few bytes', 11, true],
    ['a few bytes of unknown length', 11, false],
    ['a stream of known length', 3 * MIB + 17, true],
    ['exactly one part', 8 * MIB, false],
    ['parts', 20 * MIB + 3, false],
  ])('puts %s', async (_what, bytes, known) => {
    const { real, store } = get();
    const bucket = await real.bucket();
    const params = { contentType: 'video/mp4', ...(known ? { size: bytes } : {}) };
    const info = await store.put({ bucket, key: 'out/x' }, pattern(bytes), params);
    const expected = await read(pattern(bytes));
    expect((await stored(real, bucket, 'out/x')).equals(expected)).toBe(true);
    const head = await store.head({ bucket, key: 'out/x' });
    expect(head).toMatchObject({ etag: info.etag, size: bytes, contentType: 'video/mp4' });
    expect(info.size).toBe(bytes);
    expect(info.etag.includes('-')).toBe(bytes > 8 * MIB);
    expect(Math.abs(info.lastModified - Date.now())).toBeLessThan(120_000);
  });

  it.each([
    ['shorter', 2 * MIB + 1],
    ['longer', 2 * MIB - 1],
    ['a little shorter, and small', 20],
    ['a little longer, and small', 5],
  ])('refuses a body that is %s than announced, and leaves what was there', async (_what, size) => {
    const { real, store } = get();
    const bucket = await real.bucket();
    await real.put(bucket, 'x', 'before');
    const actual = size > MIB ? 2 * MIB : 10;
    const put = store.put({ bucket, key: 'x' }, pattern(actual), { size });
    await expect(put).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(`announced with ${size} bytes`),
    });
    expect((await stored(real, bucket, 'x')).toString()).toBe('before');
  });

  it.each([
    ['of known length', 20 * MIB],
    ['of unknown length', undefined],
  ])('leaves no object and no parts when a body %s fails', async (_what, size) => {
    const { real, store } = get();
    const bucket = await real.bucket();
    const failure = new Error('the container is gone');
    async function* failing(): AsyncGenerator<Uint8Array, void, void> {
      yield* pattern(17 * MIB);
      throw failure;
    }
    const put = store.put({ bucket, key: 'x' }, failing(), size === undefined ? {} : { size });
    await expect(put).rejects.toBe(failure);
    expect(await store.head({ bucket, key: 'x' })).toBeNull();
    const { Uploads = [] } = await real.client.send(
      new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: 'x' }),
    );
    expect(Uploads).toEqual([]);
  });

  it('ends a put with the signal and closes its body', async () => {
    const { real, store } = get();
    const bucket = await real.bucket();
    const controller = new AbortController();
    let closed = false;
    async function* endless(): AsyncGenerator<Uint8Array, void, void> {
      try {
        for (;;) yield* pattern(MIB);
      } finally {
        closed = true;
      }
    }
    const put = store.put({ bucket, key: 'x' }, endless(), { size: 1024 * MIB, signal: controller.signal });
    setTimeout(() => controller.abort(new Error('cancelled')), 1);
    await expect(put).rejects.toThrow('cancelled');
    await expect.poll(() => closed).toBe(true);
    expect(await store.head({ bucket, key: 'x' })).toBeNull();
  });
}
