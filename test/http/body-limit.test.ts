import { request } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { listen } from '../../src/http/server.ts';
import type { RunningServer } from '../../src/http/server.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { createWebhookSource } from '../../triggers/webhook/source.ts';
import { createTestApp } from '../support/http-fakes.ts';
import { Context } from '../support/webhook-context.ts';

const LIMIT = 4096;
let server: RunningServer | undefined;
afterEach(() => server?.close());

async function start(): Promise<{ port: number; context: Context }> {
  const context = new Context();
  const source = createWebhookSource({ name: 'call', spec: { kind: 'webhook', auth: 'none' } });
  await source.start(context);
  const { app } = createTestApp({
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
