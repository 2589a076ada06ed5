import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ObjectStore, S3ConnectionSpec } from '../../src/core/objects.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { createObjects } from '../../src/objects/objects.ts';
import { pattern, read, stored } from '../contract/objects.contract.ts';
import { FakeLog } from '../support/fake-log.ts';
import type { FaultProxy } from '../support/fault-proxy.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { ManualClock } from '../support/manual-clock.ts';
import type { TestStore } from '../support/minio.ts';
import { testMinio } from '../support/minio.ts';
import type { HeldSecrets } from '../support/object-stores.ts';
import { connectionTo, keysOf } from '../support/object-stores.ts';

const MIB = 1024 * 1024;
const CA = new URL('../fixtures/tls/ca.pem', import.meta.url).pathname;

describe('objects when something is wrong', () => {
  let real: TestStore;
  let bucket: string;
  beforeAll(async () => {
    real = await testMinio();
    bucket = await real.bucket();
    await real.put(bucket, 'big', await read(pattern(3 * MIB)));
  });
  afterAll(() => real.close());

  let proxy: FaultProxy;
  let secrets: HeldSecrets;
  let log: FakeLog;
  const opened: ReturnType<typeof createObjects>[] = [];
  beforeEach(async () => {
    proxy = await startFaultProxy(real.server.url);
    secrets = keysOf(real.server);
    log = new FakeLog();
  });
  afterEach(async () => {
    for (const objects of opened.splice(0)) objects.close();
    await proxy.close();
  });

  function connect(more: Partial<S3ConnectionSpec> = {}, clock = new SystemClock()): ObjectStore {
    const connections = new Map([['media', connectionTo(more.endpoint ?? proxy.url, more)]]);
    const objects = createObjects({ connections, secrets, clock, log });
    opened.push(objects);
    expect(objects.connection('other')).toBeUndefined();
    const store = objects.connection('media');
    if (store === undefined) throw new Error('there is no connection');
    return store;
  }
  const list = (store: ObjectStore) => store.list(bucket, { prefix: '' });
  const names = (): string => `the object store "media" (${proxy.url})`;

  describe('keys', () => {
    it('are read with the first call, not before, and then kept', async () => {
      const store = connect();
      expect(secrets.asked).toEqual([]);
      await list(store);
      await list(store);
      expect(secrets.asked).toEqual(['ACCESS_KEY', 'SECRET_KEY']);
    });

    it.each([
      ['ACCESS_KEY', 'does not know the access key', 'check "accessKeyId" of connections.media'],
      [
        'SECRET_KEY',
        'refuses the signature: the secret key is wrong',
        'check "secretAccessKey" of connections.media',
      ],
    ])('that are wrong are named: %s', async (name, text, fix) => {
      secrets.values.set(name, 'wrong-value');
      const failure = { code: 'OBJECT_ACCESS_DENIED', message: `${names()} ${text}`, fields: { fix } };
      await expect(list(connect())).rejects.toMatchObject(failure);
      for (const size of [10, 3 * MIB]) {
        const put = connect().put({ bucket, key: 'x' }, pattern(size), { size });
        await expect(put).rejects.toMatchObject({ code: 'OBJECT_ACCESS_DENIED' });
      }
      expect(JSON.stringify(log.lines)).not.toContain('wrong-value');
    });

    it('that were changed where they stand count after the first refusal', async () => {
      const right = secrets.values.get('SECRET_KEY') ?? '';
      secrets.values.set('SECRET_KEY', 'old-and-wrong');
      const store = connect();
      await expect(store.head({ bucket, key: 'big' })).rejects.toMatchObject({
        code: 'OBJECT_ACCESS_DENIED',
      });
      secrets.values.set('SECRET_KEY', right);
      expect(await store.head({ bucket, key: 'big' })).toMatchObject({ size: 3 * MIB });
      expect(log.lines.map(({ message, fields }) => [message, fields])).toEqual([
        ['the keys of an object store have changed; the new ones are used', { connection: 'media' }],
      ]);
    });

    it('that were changed count for a body that can be sent only once', async () => {
      const right = secrets.values.get('SECRET_KEY') ?? '';
      secrets.values.set('SECRET_KEY', 'old-and-wrong');
      const store = connect();
      await expect(list(store)).rejects.toThrow('the secret key is wrong');
      secrets.values.set('SECRET_KEY', right);
      expect(await store.put({ bucket, key: 'once' }, pattern(2 * MIB), { size: 2 * MIB })).toMatchObject({
        size: 2 * MIB,
      });
    });

    it('that cannot be read are no trouble of the store, and may come later', async () => {
      const right = secrets.values.get('SECRET_KEY') ?? '';
      secrets.values.delete('SECRET_KEY');
      const store = connect();
      await expect(list(store)).rejects.toMatchObject({ code: 'SECRET_UNREADABLE' });
      secrets.values.set('SECRET_KEY', right);
      expect((await list(store)).objects.length).toBeGreaterThan(0);
    });
  });

  describe('the way to the store', () => {
    it('that leads nowhere is told', async () => {
      const endpoint = 'http://127.0.0.1:9';
      const message = `the object store "media" (${endpoint}) refuses the connection`;
      await expect(list(connect({ endpoint }))).rejects.toMatchObject({
        code: 'OBJECT_STORE_UNAVAILABLE',
        message,
      });
    });

    it('that leads to something else is told, and is no empty bucket', async () => {
      proxy.fault = () => 'page';
      const store = connect();
      const failure = {
        code: 'OBJECT_STORE_UNAVAILABLE',
        message: `${names()} does not answer as an S3 store`,
      };
      const object = { bucket, key: 'big' };
      for (const call of [list(store), store.head(object), store.get(object)]) {
        await expect(call).rejects.toMatchObject(failure);
      }
    });

    it.each([
      ['with its authority it is trusted', { ca: CA }, undefined],
      ['without its authority it is not', {}, 'has a certificate that is not trusted here'],
      [
        'an authority that cannot be read is named',
        { ca: '/nowhere/ca.pem' },
        '"/nowhere/ca.pem" cannot be read',
      ],
    ])('over TLS: %s', async (_what, more, trouble) => {
      const secure = await startFaultProxy(real.server.url, { tls: true });
      try {
        const store = connect({ endpoint: secure.url, ...more });
        const put = store.put({ bucket, key: 'tls' }, pattern(3 * MIB), { size: 3 * MIB });
        if (trouble === undefined) expect(await put).toMatchObject({ size: 3 * MIB });
        else
          await expect(put).rejects.toMatchObject({
            code: 'OBJECT_STORE_UNAVAILABLE',
            message: expect.stringContaining(trouble),
          });
      } finally {
        await secure.close();
      }
    });

    it('is found again when the store comes back', async () => {
      const store = connect({ endpoint: real.server.url });
      await list(store);
      await real.server.kill();
      await expect(list(store)).rejects.toMatchObject({ code: 'OBJECT_STORE_UNAVAILABLE' });
      await real.server.restart();
      expect((await list(store)).objects.length).toBeGreaterThan(0);
    });
  });

  describe('answers', () => {
    it('of a store in trouble are asked for again, three times in all', async () => {
      let left = 2;
      proxy.fault = () => (left-- > 0 ? { refuse: 503 } : 'pass');
      const store = connect();
      expect((await list(store)).objects.length).toBeGreaterThan(0);
      proxy.fault = () => ({ refuse: 500 });
      const before = proxy.requests.length;
      await expect(list(store)).rejects.toMatchObject({
        code: 'OBJECT_STORE_UNAVAILABLE',
        message: `${names()} cannot serve the bucket "${bucket}" now: it answers 500`,
      });
      expect(proxy.requests.length - before).toBe(3);
    });

    it('that never come end the call by the clock', async () => {
      proxy.fault = () => 'hang';
      const clock = new ManualClock();
      const call = list(connect({}, clock));
      call.catch(() => undefined);
      await expect.poll(() => proxy.requests.length).toBe(1);
      await clock.advance(30_000);
      await expect(call).rejects.toMatchObject({
        code: 'OBJECT_STORE_UNAVAILABLE',
        message: `${names()} did not answer for the bucket "${bucket}" within 30 s`,
      });
      expect(clock.pending).toBe(0);
    });
  });

  describe('bodies', () => {
    it('that break off say after how many bytes', async () => {
      proxy.fault = () => ({ cut: 1_000_000 });
      const object = await connect().get({ bucket, key: 'big' });
      await expect(read(object?.body ?? pattern(0))).rejects.toMatchObject({
        code: 'OBJECT_STORE_UNAVAILABLE',
        message: expect.stringMatching(
          new RegExp(`broke off after \\d+ of ${3 * MIB} bytes of "big" in the bucket "${bucket}"$`),
        ),
      });
    });

    it('that stand still end by the clock, while a slow reader has all the time', async () => {
      proxy.fault = () => ({ stall: 1_000_000 });
      const clock = new ManualClock();
      const object = await connect({}, clock).get({ bucket, key: 'big' });
      const chunks = (object?.body ?? pattern(0))[Symbol.asyncIterator]();
      await chunks.next();
      await clock.advance(3_600_000);
      const rest = (async () => {
        while ((await chunks.next()).done !== true);
      })();
      rest.catch(() => undefined);
      await expect.poll(() => clock.pending).toBe(1);
      let ended = false;
      rest.catch(() => (ended = true));
      await expect
        .poll(async () => {
          await clock.advance(60_000);
          return ended;
        })
        .toBe(true);
      await expect(rest).rejects.toThrow('sent nothing for 60 s after');
    });

    it('end with the signal', async () => {
      const controller = new AbortController();
      const object = await connect().get({ bucket, key: 'big' }, controller.signal);
      const reading = read(object?.body ?? pattern(0));
      controller.abort(new Error('not needed any more'));
      await expect(reading).rejects.toThrow('not needed any more');
    });

    it('that break off on the way to the store leave what was there', async () => {
      await real.put(bucket, 'out', 'before');
      proxy.fault = ({ method }) => (method === 'PUT' ? { cutRequest: 500_000 } : 'pass');
      const put = connect().put({ bucket, key: 'out' }, pattern(3 * MIB), { size: 3 * MIB });
      await expect(put).rejects.toMatchObject({
        code: 'OBJECT_STORE_UNAVAILABLE',
        message: expect.stringContaining(`${names()} broke off the connection`),
      });
      expect((await stored(real, bucket, 'out')).toString()).toBe('before');
    });

    it('in parts survive a hiccup of the store', async () => {
      const failed = new Set<string>();
      proxy.fault = ({ method, url }) => {
        const part = /partNumber=(\d+)/.exec(url)?.[1];
        if (method !== 'PUT' || part === undefined || failed.has(part)) return 'pass';
        failed.add(part);
        return { cutRequest: 100_000 };
      };
      await connect().put({ bucket, key: 'parts' }, pattern(18 * MIB), {});
      expect(failed.size).toBe(3);
      expect((await stored(real, bucket, 'parts')).equals(await read(pattern(18 * MIB)))).toBe(true);
    });

    it('that the store does not take end by the clock', async () => {
      proxy.fault = ({ method }) => (method === 'PUT' ? 'hang' : 'pass');
      const clock = new ManualClock();
      const put = connect({}, clock).put({ bucket, key: 'slow' }, pattern(64 * MIB), { size: 64 * MIB });
      let ended = false;
      put.catch(() => (ended = true));
      await expect.poll(() => proxy.requests.length).toBe(1);
      await expect
        .poll(async () => {
          await clock.advance(60_000);
          return ended;
        })
        .toBe(true);
      await expect(put).rejects.toMatchObject({
        code: 'OBJECT_STORE_UNAVAILABLE',
        message: `${names()} took nothing of "slow" for 60 s in the bucket "${bucket}"`,
      });
    });

    it.each([
      ['of known length', 12 * MIB],
      ['of unknown length', undefined],
    ])('%s are closed when there is no bucket for them', async (_what, size) => {
      let closed = false;
      async function* body(): AsyncGenerator<Uint8Array, void, void> {
        try {
          yield* pattern(12 * MIB);
        } finally {
          closed = true;
        }
      }
      const object = { bucket: 'no-such-bucket', key: 'x' };
      const put = connect().put(object, body(), size === undefined ? {} : { size });
      await expect(put).rejects.toMatchObject({ code: 'BUCKET_NOT_FOUND' });
      await expect.poll(() => closed).toBe(true);
    });

    it('in parts that cannot be taken back are told to the log', async () => {
      proxy.fault = ({ method, url }) =>
        /partNumber|uploadId/.test(url) && method !== 'POST' ? { refuse: 500 } : 'pass';
      const put = connect().put({ bucket, key: 'left' }, pattern(9 * MIB), {});
      await expect(put).rejects.toMatchObject({ code: 'OBJECT_STORE_UNAVAILABLE' });
      expect(log.lines).toMatchObject([
        {
          level: 'warn',
          message: expect.stringContaining('parts of an upload'),
          fields: { bucket, key: 'left' },
        },
      ]);
    });
  });
});
