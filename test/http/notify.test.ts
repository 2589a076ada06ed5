import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readFileSync } from 'node:fs';
import { TappetError } from '../../src/core/errors.ts';
import { connectionOrigin } from '../../src/core/event.ts';
import type { Store } from '../../src/core/store.ts';
import { listen } from '../../src/http/server.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { minioBody, storeDown } from '../support/fake-objects.ts';
import { createTestApp } from '../support/http-fakes.ts';
import { settle } from '../support/manual-clock.ts';
import { StorageRig, TOKEN } from '../support/storage-rig.ts';

let rig: StorageRig;
let app: ReturnType<typeof createTestApp>['app'];
beforeEach(async () => {
  rig = await new StorageRig().open();
  rig.objects.bucket('b');
  await rig.start({});
  await rig.clock.advance(1500);
  const handle = async (name: string, request: Request, info: { remoteAddress: string }) =>
    rig.host?.handle(connectionOrigin(name), request, info);
  app = createTestApp({ notifications: { handle } }).app;
});
afterEach(() => rig.close());

const URL_OF = 'http://gateway.test/notify/storage/';
function post(
  body: string,
  { name = 'store', token = `Bearer ${TOKEN}`, method = 'POST' } = {},
): Promise<Response> {
  const init = {
    method,
    headers: { authorization: token },
    ...(method === 'GET' || method === 'HEAD' ? {} : { body }),
  };
  return app.fetch(new Request(URL_OF + name, init), { remoteAddress: '10.0.0.9' });
}
const whole = async (response: Response) => [response.status, [...response.headers], await response.text()];
const upload = (key: string): string => minioBody('b', rig.objects.upload('b', key));

describe('who may notify', () => {
  test('a wrong token and an unknown connection hear the same, byte for byte, and nothing is stored', async () => {
    const body = upload('k');
    const refused = await whole(await post(body, { token: 'Bearer token-two' }));
    expect(refused).toEqual(await whole(await post(body, { name: 'nobody' })));
    expect(refused).toEqual(await whole(await post(body, { token: 'Basic dG9rZW4tb25l' })));
    expect(refused[0]).toBe(401);
    expect(await rig.events()).toEqual([]);
    const lines = rig.log.lines.filter(({ message }) => message === 'a notification was refused');
    expect(lines).toMatchObject([{ fields: { connection: 'store', remoteAddress: '10.0.0.9' } }]);
    expect(JSON.stringify(rig.log.lines)).not.toContain('token-');
  });

  test('the body of a stranger is not read', async () => {
    for (const name of ['store', 'nobody']) {
      const pull = (): never => {
        throw new Error('was read');
      };
      const body = new ReadableStream({ pull }, { highWaterMark: 0 });
      const init: RequestInit & { duplex: 'half' } = { method: 'POST', body, duplex: 'half' };
      const request = new Request(URL_OF + name, init);
      expect((await app.fetch(request, { remoteAddress: '::1' })).status).toBe(401);
      expect(request.bodyUsed).toBe(false);
    }
  });

  test('a stranger hears the same while the source does not run, and only others that they should come again', async () => {
    const body = upload('k');
    const refused = await whole(await post(body, { name: 'nobody' }));
    const down = new TappetError('STORE_UNAVAILABLE', 'The disk is full.');
    rig.wrap = (store) =>
      Object.assign(Object.create(store) as Store, { scanState: () => Promise.reject(down) });
    await rig.start({});
    expect(rig.host?.health()[0]?.state).toBe('failed');
    expect(await whole(await post(body, { token: 'Bearer token-two' }))).toEqual(refused);
    const known = await post(body);
    expect([known.status, known.headers.get('retry-after')]).toEqual([503, '2']);
  });

  test('a stranger does not wait for a source that starts', async () => {
    const silent = deferred<void>();
    rig.objects.before = () => silent.promise;
    const starting = rig.start({});
    await settle();
    expect(rig.host?.health()[0]?.state).toBe('starting');
    expect((await post(upload('k'), { token: 'Bearer token-two' })).status).toBe(401);
    await rig.clock.advance(3_000);
    await starting;
    expect((await post(upload('k'))).status).toBe(204);
    silent.resolve();
  });

  test('a connection without notifications takes none', async () => {
    rig.dialect = undefined;
    await rig.start({});
    expect((await post(upload('k'))).status).toBe(401);
  });
});

describe('the answer', () => {
  test('is an empty 204 once the event is stored, and again for the same', async () => {
    const body = upload('k');
    for (let i = 0; i < 2; i++) {
      const response = await post(body);
      expect([response.status, await response.text()]).toEqual([204, '']);
    }
    expect(await rig.runs()).toEqual(['up k']);
  });

  test('is 204 also for what no trigger wants, which is stored all the same', async () => {
    rig.objects.bucket('else');
    const elsewhere = minioBody('else', rig.objects.upload('else', 'k'));
    const tags = minioBody('b', rig.objects.upload('b', 'k'), 's3:ObjectCreated:PutTagging');
    const gone = minioBody('b', rig.objects.upload('b', 'k'), 's3:ObjectRemoved:Delete');
    const read = minioBody('b', rig.objects.upload('b', 'k'), 's3:ObjectAccessed:Get');
    for (const body of [elsewhere, tags, gone, read]) expect((await post(body)).status).toBe(204);
    expect(
      (await rig.events()).map(({ event }) => event.type.replace('google.cloud.storage.object.v1.', '')),
    ).toEqual(['finalized', 'metadataUpdated', 'deleted', 'dev.tappet.storage.other']);
    expect(await rig.runs()).toEqual([]);
    expect(await rig.rows('o/')).toEqual([]);
  });

  test('is 405 with Allow for everything but POST, known or not, and never a redirect', async () => {
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
      for (const name of ['store', 'nobody']) {
        const response = await post('', { method, name });
        expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
      }
    }
    for (const name of ['store/', 'store//', '', '/store', 'store/x']) {
      const response = await post(upload('k'), { name });
      expect([name, response.status]).toEqual([name, 401]);
      expect(response.headers.get('location')).toBeNull();
    }
    expect(await rig.events()).toEqual([]);
  });

  test('is 503 while the gateway cannot store: the sender keeps it and comes again', async () => {
    const body = upload('k');
    await rig.store.close();
    const response = await post(body);
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
  });
});

describe('a body that cannot be read', () => {
  test('is stored as it came, once, and gets 204: a refusal would hold back all that comes after', async () => {
    const raw = '{"Records": [{"eventName": ';
    for (let i = 0; i < 2; i++) expect((await post(raw)).status).toBe(204);
    const [event, ...others] = await rig.events();
    expect(others).toEqual([]);
    expect(event?.event).toMatchObject({
      type: 'dev.tappet.storage.unreadable',
      source: 's3://store',
      data: { bytes: raw.length, truncated: false, reason: expect.stringContaining('not JSON') },
    });
    const { base64 } = (event?.event.data ?? {}) as { base64: string };
    expect(Buffer.from(base64, 'base64').toString()).toBe(raw);
    expect(await rig.runs()).toEqual([]);
    expect((await post(upload('next'))).status).toBe(204);
    expect(await rig.runs()).toEqual(['up next']);
  });

  test('or is larger than any notification is, is read to its end and stored in part', async () => {
    const size = 3 * 1024 * 1024;
    const server = await listen({ app, host: '127.0.0.1', port: 0, clock: rig.clock });
    const headers = { authorization: `Bearer ${TOKEN}` };
    const target = `${server.url}/notify/storage/store`;
    const response = await fetch(target, { method: 'POST', headers, body: Buffer.alloc(size, 120) });
    expect(response.status).toBe(204);
    const closing = server.close();
    await rig.clock.advance(60_000);
    await closing;
    const [{ event } = { event: undefined }] = await rig.events();
    expect(event?.data).toMatchObject({ bytes: size, truncated: true });
    expect(JSON.stringify(event).length).toBeLessThan(1024 * 1024);
  });

  test('a key that no event can hold makes it unreadable too', async () => {
    expect((await post(upload('a\0b'))).status).toBe(204);
    expect((await rig.events())[0]?.event).toMatchObject({
      type: 'dev.tappet.storage.unreadable',
      data: { reason: expect.stringContaining('NUL') },
    });
  });
});

describe('a store that encodes no keys and tells no time of its own', () => {
  beforeEach(async () => {
    rig.dialect = 'raw';
    await rig.start({});
  });
  const raw = (key: string): string => {
    const file = new URL('../fixtures/minio/minio-put.json', import.meta.url);
    const { request } = JSON.parse(readFileSync(file, 'utf8')) as { request: { body: string } };
    const body = JSON.parse(request.body) as {
      Records: { s3: { bucket: { name: string }; object: object } }[];
    };
    for (const { s3 } of body.Records)
      Object.assign(s3, { bucket: { name: 'b' }, object: { key, sequencer: '1' } });
    return JSON.stringify(body);
  };

  test('is asked for the object, which then is the one that a listing finds', async () => {
    rig.objects.upload('b', 'a+b%20c');
    expect((await post(raw('a+b%20c'))).status).toBe(204);
    expect(await rig.runs()).toEqual(['up a+b%20c']);
    expect((await post(raw('a+b%20c'))).status).toBe(204);
    await rig.poll();
    expect(await rig.events()).toHaveLength(1);
  });

  test('that does not answer: the next listing finds it; that has it no more: the event says so', async () => {
    rig.objects.upload('b', 'k');
    rig.objects.before = storeDown;
    expect((await post(raw('k'))).status).toBe(204);
    expect(await whyLast()).toMatch(/^skipped: the store did not answer .* the next listing finds it$/);
    rig.objects.before = () => undefined;
    await rig.clock.advance(5000);
    expect(await rig.runs()).toEqual(['up k']);
    expect((await post(raw('gone'))).status).toBe(204);
    expect(await whyLast()).toBe('skipped: the object was gone when the store was asked about it');
  });
  /** What became of the last event. */
  async function whyLast(): Promise<string> {
    const uid = (await rig.events()).at(-1)?.uid ?? '';
    const { items } = await rig.store.listDecisions({ event: uid }, { size: 9 });
    return items.map(({ outcome, reason }) => `${outcome}: ${reason}`).join();
  }

  test('that is asked while the gateway stops: the sender keeps it and comes again', async () => {
    rig.objects.upload('b', 'k');
    rig.objects.before = (call) => (call === 'list' ? rig.host?.stop().then(storeDown) : undefined);
    expect((await post(raw('k'))).status).toBe(503);
    expect(await rig.events()).toEqual([]);
  });
});
