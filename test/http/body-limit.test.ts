import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import type { RequestInfo } from '../../src/core/source.ts';
import { listen } from '../../src/http/server.ts';
import type { RunningServer } from '../../src/http/server.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { createWebhookSource } from '../../triggers/webhook/source.ts';
import { heldBytes } from '../support/heap.ts';
import { createTestApp, testConfig } from '../support/http-fakes.ts';
import { Context } from '../support/webhook-context.ts';

const LIMIT = 4096;
let server: RunningServer | undefined;
afterEach(() => server?.close());

async function start(maxBodyBytes = LIMIT): Promise<{ port: number; context: Context }> {
  const context = new Context();
  const source = createWebhookSource({ name: 'call', spec: { kind: 'webhook', auth: 'none' } });
  await source.start(context);
  const { app } = createTestApp({
    config: () => testConfig({ maxBodyBytes }),
    hooks: { handle: async (_name, call, info) => source.handle?.(call, info) },
  });
  server = await listen({ app, host: '127.0.0.1', port: 0, clock: new SystemClock() });
  return { port: server.port, context };
}

function post(port: number, type: string, body: string, chunked: boolean): Promise<number> {
  const length = chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': body.length };
  return new Promise((resolve, reject) => {
    const sent = request({
      port,
      path: '/hooks/call',
      method: 'POST',
      headers: { 'content-type': type, ...length },
    });
    // An answer may come while the rest of the body is still on its way, which is then not read.
    sent.on('response', (response) => resolve(response.resume().statusCode ?? 0));
    sent.on('error', reject);
    sent.end(body);
  });
}

const CE = '"specversion":"1.0","id":"1","source":"/s","type":"t"';
/** A body of just so many bytes. */
const filled = (length: number, before: string, after: string): string =>
  before + 'x'.repeat(length - before.length - after.length) + after;
const KINDS: Readonly<Record<string, readonly [before: string, after: string]>> = {
  'application/json': ['"', '"'],
  'application/cloudevents+json': [`{${CE},"data":"`, '"}'],
  'application/cloudevents-batch+json': [`[{${CE},"data":"`, '"}]'],
  'application/x-www-form-urlencoded': ['a=', ''],
  'multipart/form-data; boundary=b': [
    '--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\nContent-Type: image/png\r\n\r\n',
    '\r\n--b--\r\n',
  ],
  'text/plain': ['', ''],
};
const cases = Object.entries(KINDS).flatMap(([type, [before, after]]) => [
  { type, before, after, chunked: false },
  { type, before, after, chunked: true },
]);

test.each(cases)(
  'a body of $type is taken to the last byte of the limit, chunked: $chunked',
  async (given) => {
    const { port, context } = await start();
    const { type, before, after, chunked } = given;
    expect(await post(port, type, filled(LIMIT, before, after), chunked)).toBe(202);
    expect(context.events).toHaveLength(1);
    expect(await post(port, type, filled(LIMIT + 1, before, after), chunked)).toBe(413);
    expect(context.events).toHaveLength(1);
  },
);

test('a body that comes one byte a chunk is taken whole, to the last byte of the limit', async () => {
  const { port, context } = await start();
  const socket = connect(port, '127.0.0.1');
  const chunks = Array.from({ length: LIMIT }, (_, i) => `1\r\n${i % 10}\r\n`).join('');
  socket.write(
    'POST /hooks/call HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\n' +
      `Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`,
  );
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 202 /);
  const data = Array.from({ length: LIMIT }, (_, i) => i % 10).join('');
  expect(context.events).toMatchObject([{ event: { data } }]);
});

test('a source hears who calls, and gets nothing of the connection', async () => {
  const infos: RequestInfo[] = [];
  const hear = async (_name: string, _call: Request, info: RequestInfo): Promise<undefined> =>
    void infos.push(info);
  let trustedProxies: readonly string[] = [];
  const { app } = createTestApp({
    hooks: { receive: hear, handle: hear },
    notifications: { handle: hear },
    config: () => testConfig({ trustedProxies }),
  });
  server = await listen({ app, host: '127.0.0.1', port: 0, clock: new SystemClock() });
  const call = async (forwarded: Record<string, string> = {}): Promise<RequestInfo[]> => {
    infos.length = 0;
    for (const path of ['/hooks/call', '/notify/storage/store'])
      await fetch(`${server?.url}${path}`, { method: 'POST', headers: forwarded });
    return infos;
  };
  const direct = { remoteAddress: '127.0.0.1' };
  expect(await call()).toStrictEqual([direct, direct, direct]);
  trustedProxies = ['127.0.0.0/8'];
  const named = { remoteAddress: '192.0.2.1', peerAddress: '127.0.0.1' };
  expect(await call({ 'x-forwarded-for': '192.0.2.1' })).toStrictEqual([named, named, named]);
  const untold = { remoteAddress: '127.0.0.1', peerAddress: '127.0.0.1', callerUntold: true };
  expect(await call()).toStrictEqual([untold, untold, untold]);
});

test('text that is longer as JSON than it was sent is taken too', async () => {
  const { port, context } = await start();
  expect(await post(port, 'text/plain', '\u0001'.repeat(LIMIT), false)).toBe(202);
  expect(context.events[0]).toMatchObject({ bounded: true, event: { data: '\u0001'.repeat(LIMIT) } });
});

test('headers of more than 16 KiB are refused', async () => {
  const { port, context } = await start();
  const status = await new Promise<number>((resolve, reject) => {
    const headers = { 'content-type': 'text/plain', 'content-length': 0, 'x-long': 'x'.repeat(17 * 1024) };
    const sent = request({ port, path: '/hooks/call', method: 'POST', headers });
    sent.on('response', (response) => resolve(response.resume().statusCode ?? 0));
    sent.on('error', reject);
    sent.end();
  });
  expect(status).toBe(431);
  expect(context.events).toEqual([]);
});

test(
  'a small body that is announced and comes byte by byte takes memory by its bytes, not by its pieces',
  { timeout: 20_000 },
  async () => {
    const ones = 20_000;
    const { port, context } = await start(ones);
    const socket = connect(port, '127.0.0.1').setNoDelay(true);
    const answer = text(socket);
    socket.write(
      `POST /hooks/call HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${ones}\r\n\r\n`,
    );
    const before = heldBytes();
    // A turn of the event loop each, so that each is read by itself.
    for (let i = 0; i < ones - 1; i++) {
      socket.write('x');
      await setImmediate();
    }
    expect(heldBytes() - before).toBeLessThan(1024 * 1024);
    socket.write('x');
    expect(await answer).toMatch(/^HTTP\/1.1 202/);
    expect(context.events).toMatchObject([{ event: { data: 'x'.repeat(ones) } }]);
  },
);
