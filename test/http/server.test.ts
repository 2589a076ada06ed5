import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { listen } from '../../src/http/server.ts';
import type { RunningServer } from '../../src/http/server.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { createTestApp, ROOT_TOKEN, testConfig } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';

let server: RunningServer | undefined;
afterEach(() => server?.close());

async function start(t: TestApp = createTestApp()): Promise<RunningServer> {
  server = await listen({ app: t.app, host: '127.0.0.1', port: 0, clock: new SystemClock() });
  return server;
}
const authorization = `Bearer ${ROOT_TOKEN}`;

/** What a bare socket gets until the server closes it. */
async function raw(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (data) => (answer += data.toString('latin1')));
  socket.on('error', () => undefined);
  socket.write(text);
  await once(socket, 'close');
  return answer;
}

test('answers on the real port', async () => {
  const { url, port } = await start();
  expect(port).toBeGreaterThan(0);
  expect(url).toBe(`http://127.0.0.1:${port}`);
  expect(await (await fetch(`${url}/livez`)).text()).toBe('ok\n');
  expect((await fetch(`${url}/api/v1/jobs`, { headers: { authorization } })).status).toBe(200);
  expect((await fetch(`${url}/api/v1/jobs`)).status).toBe(401);
});

test('an idle connection is kept longer than senders keep it, so that no call meets its end', async () => {
  const { url } = await start();
  const { headers } = await fetch(`${url}/livez`);
  const seconds = Number(/timeout=(\d+)/.exec(headers.get('keep-alive') ?? '')?.[1]);
  expect(seconds, 'Go ends an idle connection after 90 s').toBeGreaterThan(90);
});

test('TRACE of a hook is refused like any unknown hook', async () => {
  const t = createTestApp({ hooks: { handle: async () => undefined } });
  const { port } = await start(t);
  const head = 'HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';
  const trace = await raw(port, `TRACE /hooks/anything ${head}`);
  const post = await raw(port, `POST /hooks/anything ${head}`);
  const undated = (answer: string): string => answer.replace(/^date: .*$/im, '');
  expect(trace).toMatch(/^HTTP\/1.1 401 /);
  expect(undated(trace)).toBe(undated(post));
  expect(t.logged).toEqual([]);
});

test.each([
  ['/api/v1/jobs', 401],
  ['/nothing', 401],
  ['/livez', 405],
])('TRACE of %s is %i and nothing is logged', async (path, status) => {
  const t = createTestApp();
  const { port } = await start(t);
  const answer = await raw(port, `TRACE ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(t.logged).toEqual([]);
});

test('where no room is left for a chunked body, its sender hears so', async () => {
  const end = deferred<void>();
  let taken = 0;
  const { server: settings, ...rest } = testConfig();
  const t = createTestApp({
    hooks: {
      handle: async () => {
        taken += 1;
        await end.promise;
        return new Response();
      },
    },
    config: () => ({ server: { ...settings, maxBodyBytes: 1024 * 1024 }, ...rest }),
  });
  const { port } = await start(t);
  const init = { method: 'POST', body: Buffer.alloc(1024 * 1024) };
  const held = Array.from({ length: 64 }, () =>
    t.app.fetch(new Request('http://gateway.test/hooks/call', init), { remoteAddress: '' }),
  );
  await expect.poll(() => taken, { timeout: 10_000 }).toBe(64);
  const chunked = 'POST /hooks/call HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n';
  expect(await raw(port, chunked)).toMatch(/^HTTP\/1.1 503 [^]*retry-after: 1\r\n/i);
  end.resolve();
  await Promise.all(held);
});

test('an address in use is said in words', async () => {
  const { port } = await start();
  const second = listen({ app: createTestApp().app, host: '127.0.0.1', port, clock: new SystemClock() });
  await expect(second).rejects.toMatchObject({
    code: 'CONFLICT',
    message: expect.stringContaining('in use already'),
  });
  const nowhere = listen({
    app: createTestApp().app,
    host: '203.0.113.1',
    port: 0,
    clock: new SystemClock(),
  });
  await expect(nowhere).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
});

test.each(['/hooks/call', '/api/v1/jobs/hello:run'])(
  'a chunked body over the limit of %s is 413, and the rest is not waited for',
  async (path) => {
    const t = createTestApp({ hooks: { handle: async (_, request) => new Response(await request.text()) } });
    const { port } = await start(t);
    const request = httpRequest({
      port,
      method: 'POST',
      path,
      headers: { authorization, 'content-type': 'application/json' },
    });
    request.on('error', () => undefined);
    request.write('x'.repeat(3000));
    request.write('x'.repeat(3000));
    // Never ended: an answer that waited for the end would not come.
    const [response] = (await once(request, 'response')) as [{ statusCode: number }];
    expect(response.statusCode).toBe(413);
    request.destroy();
  },
);

test('an announced length over the limit is 413 before any of it is sent', async () => {
  const { port } = await start();
  const answer = await raw(port, 'POST /hooks/call HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n');
  expect(answer).toMatch(/^HTTP\/1\.1 413 /);
});

test.each([
  ['two lengths', 'POST /hooks/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
  [
    'a length and chunks',
    'POST /hooks/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  ['a length that is no number', 'POST /hooks/x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n'],
  ['bad chunks', 'POST /hooks/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
  ['a host that is none', 'GET /livez HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'],
  ['a huge header', `GET /livez HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`],
])('%s is refused with 4xx', async (_what, text) => {
  const { port } = await start();
  expect(await raw(port, text)).toMatch(/^HTTP\/1\.1 4\d\d /);
});

test('a chunked hook body under the limit reaches the source whole', async () => {
  const t = createTestApp({ hooks: { handle: async (_, request) => new Response(await request.text()) } });
  const { port } = await start(t);
  const request = httpRequest({ port, method: 'POST', path: '/hooks/call' });
  request.write('one,');
  request.end('two');
  const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer>];
  let text = '';
  for await (const chunk of response) text += chunk.toString();
  expect(text).toBe('one,two');
});

test('close lets an answer in flight finish, and takes no new ones', async () => {
  const gate = deferred<void>();
  const arrived = deferred<void>();
  const t = createTestApp({
    status: async () => {
      arrived.resolve();
      await gate.promise;
      return { done: true };
    },
  });
  const { url, close } = await start(t);
  const inFlight = fetch(`${url}/api/v1/status`, { headers: { authorization } });
  await arrived.promise;
  const closed = close();
  await expect.poll(() => fetch(`${url}/livez`).then(() => 'answered', String)).toContain('fetch failed');
  gate.resolve();
  expect(await (await inFlight).json()).toEqual({ done: true });
  await closed;
});

/** A connection that is kept open; `lines` is what came, `ended` when the server has closed it. */
async function keptOpen(port: number) {
  const socket = connect(port, '127.0.0.1');
  const all = { text: '', ended: once(socket, 'close'), ask: (path: string) => ask(socket, path) };
  socket.on('data', (data) => (all.text += data.toString('latin1')));
  socket.on('error', () => (all.text += 'reset'));
  await once(socket, 'connect');
  return all;
}
const ask = (socket: Socket, path: string) => socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);

test('close answers a call that comes in a connection that is open, and says that it was the last', async () => {
  const { port, url, close } = await start();
  const kept = await keptOpen(port);
  kept.ask('/livez');
  await expect.poll(() => kept.text).toMatch(/ 200 [^]*ok\n$/);
  expect(kept.text).not.toMatch(/connection: close/i);
  kept.text = '';
  const closed = close();
  await expect.poll(() => fetch(url).then(() => 'answered', String)).toContain('fetch failed');
  kept.ask('/livez');
  await kept.ended;
  expect(kept.text).toMatch(/ 200 [^]*connection: close[^]*ok\n$/i);
  await closed;
});

test('close first answers all that are connected and wait to be accepted', async () => {
  const { port, close } = await start();
  const waiting = await Promise.all(Array.from({ length: 50 }, () => keptOpen(port)));
  for (const { ask: call } of waiting) call('/livez');
  await close();
  const answers = waiting.map(({ text }) => /HTTP.1.1 200|reset/.exec(text)?.[0]);
  expect(answers).toEqual(waiting.map(() => 'HTTP/1.1 200'));
});

test('close ends followed logs at once, and a reader that goes away leaves nothing behind', async () => {
  const t = createTestApp();
  await t.call('POST', '/api/v1/jobs/hello:run');
  const name = t.store.executions[0]?.name ?? '';
  const { url, close } = await start(t);
  const follow = (signal?: AbortSignal) =>
    fetch(`${url}/api/v1/executions/${name}/tasks/0/logs?follow=true`, {
      headers: { authorization },
      ...(signal === undefined ? {} : { signal }),
    });
  const leaving = new AbortController();
  const left = await follow(leaving.signal);
  const stayed = await follow();
  leaving.abort();
  await expect(left.text()).rejects.toThrow(/abort/);
  const text = stayed.text();
  await close();
  expect(await text).toBe('retry: 1000\n\n');
  expect(t.clock.pending).toBe(0);
});
