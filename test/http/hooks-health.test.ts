import { expect, test } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { createTestApp, testConfig } from '../support/http-fakes.ts';

const hook = (app: ReturnType<typeof createTestApp>['app'], name: string, init: RequestInit = {}) =>
  app.fetch(new Request(`http://gateway.test/hooks/${name}`, { method: 'POST', ...init }), {
    remoteAddress: '10.0.0.9',
  });

async function whole(response: Response): Promise<object> {
  return { status: response.status, headers: [...response.headers], body: await response.text() };
}

test('an unknown trigger and a refused sender get the same answer, byte for byte', async () => {
  const { app } = createTestApp({
    hooks: {
      handle: async (name) => (name === 'call' ? new Response('bad signature', { status: 401 }) : undefined),
    },
  });
  const refused = await whole(await hook(app, 'call'));
  expect(refused).toEqual(await whole(await hook(app, 'none')));
  expect(refused).toMatchObject({ status: 401, body: expect.stringContaining('UNAUTHENTICATED') });
});

test('the source gets name, request and address, and its answer goes back untouched', async () => {
  const seen: unknown[] = [];
  const { app } = createTestApp({
    hooks: {
      handle: async (name, request, info) => {
        seen.push(name, request.method, request.headers.get('x-a'), await request.text(), info.remoteAddress);
        return new Response('{"ok":true}', { status: 202, headers: { 'x-b': '1' } });
      },
    },
  });
  const response = await hook(app, 'call', { body: 'raw', headers: { 'x-a': 'b' } });
  expect(seen).toEqual(['call', 'POST', 'b', 'raw', '10.0.0.9']);
  expect([response.status, response.headers.get('x-b'), await response.text()]).toEqual([
    202,
    '1',
    '{"ok":true}',
  ]);
});

test.each(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('%s reaches the source too', async (method) => {
  const { app } = createTestApp({ hooks: { handle: async (_, request) => new Response(request.method) } });
  expect(await (await hook(app, 'call', { method })).text()).toBe(method);
});

test('a body over the limit is 413 and the source is not asked', async () => {
  let asked = 0;
  const { app } = createTestApp({
    hooks: {
      handle: async () => {
        asked++;
        return new Response();
      },
    },
  });
  const response = await hook(app, 'call', { body: 'x'.repeat(4097) });
  expect(response.status).toBe(413);
  expect(response.headers.get('connection')).toBe('close');
  expect((await hook(app, 'call', { body: 'x'.repeat(4096) })).status).toBe(200);
  expect(asked).toBe(1);
});

test('an unknown trigger answers no sooner than a known one: after the body', async () => {
  const end = deferred<void>();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await end.promise;
      controller.enqueue(new Uint8Array(5));
      controller.close();
    },
  });
  const init: RequestInit & { duplex: 'half' } = { body, duplex: 'half', headers: { 'content-length': '5' } };
  const { app } = createTestApp({ hooks: { handle: async () => undefined } });
  const answer = hook(app, 'none', init);
  expect(await Promise.race([answer, new Promise((resolve) => setImmediate(resolve, 'waits'))])).toBe(
    'waits',
  );
  end.resolve();
  expect((await answer).status).toBe(401);
});

test('all bodies together are bounded: 503 with Retry-After beyond, and room again after', async () => {
  const end = deferred<void>();
  let taken = 0;
  const { server, ...rest } = testConfig();
  const { app } = createTestApp({
    hooks: {
      handle: async () => {
        taken += 1;
        await end.promise;
        return new Response();
      },
    },
    config: () => ({ server: { ...server, maxBodyBytes: 1024 * 1024 }, ...rest }),
  });
  const come = { body: Buffer.alloc(1024 * 1024) };
  const held = Array.from({ length: 64 }, () => hook(app, 'call', come));
  await expect.poll(() => taken, { timeout: 10_000 }).toBe(64);
  const full = await hook(app, 'call', { body: 'x' });
  expect(full.status).toBe(503);
  expect(full.headers.get('retry-after')).toBe('1');
  expect(full.headers.get('connection')).toBe('close');
  const empty = hook(app, 'call');
  end.resolve();
  for (const response of await Promise.all([...held, empty])) expect(response.status).toBe(200);
  expect((await hook(app, 'call', { body: 'x' })).status).toBe(200);
});

test('a large body counts as it comes in, not as it is announced', async () => {
  const { server, ...rest } = testConfig();
  const { app } = createTestApp({
    hooks: { handle: async () => new Response() },
    config: () => ({ server: { ...server, maxBodyBytes: 64 * 1024 * 1024 }, ...rest }),
  });
  const never = (): RequestInit & { duplex: 'half' } => ({
    body: new ReadableStream(),
    duplex: 'half',
    headers: { 'content-length': String(64 * 1024 * 1024) },
  });
  for (let i = 0; i < 10; i++) void hook(app, 'call', never());
  expect((await hook(app, 'call', { body: 'x' })).status).toBe(200);
});

test('an unending body is left at the limit', async () => {
  let given = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      given += 1024;
      controller.enqueue(new Uint8Array(1024));
    },
  });
  const init: RequestInit & { duplex: 'half' } = { body, duplex: 'half' };
  const { app } = createTestApp({ hooks: { handle: async () => new Response() } });
  expect((await hook(app, 'call', init)).status).toBe(413);
  expect(given).toBeLessThanOrEqual(4096 + 3 * 1024);
});

test.each([
  ['STORE_UNAVAILABLE', 503],
  ['TOO_MANY_REQUESTS', 429],
] as const)('%s of a source is %i with Retry-After', async (code, status) => {
  const { app } = createTestApp({
    hooks: {
      handle: async () => {
        throw new TappetError(code, 'not now');
      },
    },
  });
  const response = await hook(app, 'call');
  expect(response.status).toBe(status);
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
});

test('health is open and says no more than ok or not', async () => {
  let ready = true;
  const { call } = createTestApp({ ready: () => ready });
  const open = { headers: { authorization: '' } };
  const answer = async (path: string) => {
    const response = await call('GET', path, open);
    return [response.status, await response.text()];
  };
  expect(await answer('/livez')).toEqual([200, 'ok\n']);
  expect(await answer('/readyz')).toEqual([200, 'ok\n']);
  ready = false;
  expect(await answer('/livez')).toEqual([200, 'ok\n']);
  expect(await answer('/readyz')).toEqual([503, 'not ok\n']);
});

test('status comes from the composition root', async () => {
  const { call } = createTestApp({ status: async () => ({ engine: { ok: false } }) });
  expect(await (await call('GET', '/api/v1/status')).json()).toEqual({ engine: { ok: false } });
});
