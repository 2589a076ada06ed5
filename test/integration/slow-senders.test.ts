import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BodyFiles } from '../../src/bodies/body-files.ts';
import { listen } from '../../src/http/server.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { createWebhookSource } from '../../triggers/webhook/source.ts';
import { createTestApp } from '../support/http-fakes.ts';
import { slowly } from '../support/slowly.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { Context } from '../support/webhook-context.ts';

test('who does not come to an end of headers is cut off after 10 s, of a body after 30 s, of one that becomes a file when it stands still for 30 s; others are answered meanwhile', async () => {
  const context = new Context();
  context.bodies = new BodyFiles({ dir: join(tempFolder(), 'bodies'), clock: new SystemClock() });
  const spec = { kind: 'webhook', auth: 'none' } as const;
  const source = createWebhookSource({ name: 'call', spec });
  const filing = createWebhookSource({ name: 'file', spec: { ...spec, bodyFile: { maxBytes: 1e6 } } });
  await source.start(context);
  await filing.start(context);
  const { app } = createTestApp({
    hooks: {
      handle: async (_name, call, info) => source.handle?.(call, info),
      takesFiles: (name) => name === 'file',
      receive: (name, call, info) => (name === 'file' ? filing.receive?.(call, info) : undefined),
    },
  });
  const server = await listen({ app, host: '127.0.0.1', port: 0, clock: new SystemClock() });
  const { port } = server;
  const head = 'POST /hooks/call HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n';
  const slow = [
    slowly(port, head, 'x-a: b\r\n'),
    slowly(port, 'POST /hooks/call', 'x'),
    slowly(port, `${head}Content-Length: 1000\r\n\r\n`, 'x'),
    slowly(port, `${head}Transfer-Encoding: chunked\r\n\r\n`, '1\r\nx\r\n'),
  ];
  const file = head.replace('/call', '/file');
  const moving = slowly(
    port,
    `${file}Connection: close\r\nContent-Length: ${36 * 2048}\r\n\r\n`,
    'x'.repeat(2048),
  );
  const small = slowly(
    port,
    `${file}Connection: close\r\nContent-Length: ${32 * 1500}\r\n\r\n`,
    'x'.repeat(1500),
  );
  const stuck = slowly(port, `${file}Content-Length: 1000\r\n\r\nx`, 'x');
  const quick = await fetch(`${server.url}/hooks/call`, { method: 'POST', body: 'x' });
  expect(quick.status).toBe(202);
  const [headers, line, body, chunked] = await Promise.all(slow);
  const [moved, movedSmall, stood] = await Promise.all([moving, small, stuck]);
  await server.close();
  for (const one of [headers, line]) {
    expect(one?.seconds).toBeGreaterThan(9);
    expect(one?.seconds).toBeLessThan(14);
    expect(one?.answer).toMatch(/^HTTP\/1.1 408 /);
  }
  for (const one of [body, chunked]) {
    expect(one?.seconds).toBeGreaterThan(29);
    expect(one?.seconds).toBeLessThan(34);
    expect(one?.answer).toMatch(/^HTTP\/1.1 408 /);
  }
  expect(moved.seconds).toBeGreaterThan(34);
  for (const { answer } of [moved, movedSmall]) expect(answer).toMatch(/^HTTP\/1.1 202 /);
  expect(stood.seconds).toBeGreaterThan(29);
  expect(stood.seconds).toBeLessThan(35);
  expect(stood.answer).toMatch(/^HTTP\/1.1 408 /);
  expect(context.events).toHaveLength(3);
}, 60_000);
