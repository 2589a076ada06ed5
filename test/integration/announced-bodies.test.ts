import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { listen } from '../../src/http/server.ts';
import type { RunningServer } from '../../src/http/server.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { createWebhookSource } from '../../triggers/webhook/source.ts';
import { createTestApp, testConfig } from '../support/http-fakes.ts';
import { Context } from '../support/webhook-context.ts';

let server: RunningServer | undefined;
const open: Socket[] = [];
afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  await server?.close();
});

/** A gateway of a trigger that reads its bodies, of so many bytes at most. */
async function startReading(maxBodyBytes: number): Promise<RunningServer> {
  const source = createWebhookSource({ name: 'call', spec: { kind: 'webhook', auth: 'none' } });
  await source.start(new Context());
  const config = testConfig({ maxBodyBytes });
  const { app } = createTestApp({
    config: () => config,
    hooks: {
      handle: async (name, call, info) => (name === 'call' ? source.handle?.(call, info) : undefined),
    },
  });
  return listen({ app, host: '127.0.0.1', port: 0, clock: new SystemClock() });
}

test('two thousand connections that announce a body and never send it keep nobody from being answered', async () => {
  const length = 64 * 1024;
  server = await startReading(length);
  const { port } = server;
  const head = `POST /hooks/call HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;
  await Promise.all(
    Array.from({ length: 2_000 }, async () => {
      const socket = connect(port, '127.0.0.1');
      open.push(socket);
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.write(head);
    }),
  );
  // They came before these, each of which has the whole of its body.
  for (const bytes of [10, length]) {
    const answer = await fetch(`${server.url}/hooks/call`, { method: 'POST', body: 'x'.repeat(bytes) });
    expect(answer.status).toBe(202);
  }
});
