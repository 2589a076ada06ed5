import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { listen } from '../../src/http/server.ts';
import { deferred } from '../../src/lib/deferred.ts';
import type { Deferred } from '../../src/lib/deferred.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { heldBytes } from '../support/heap.ts';
import { createTestApp, testConfig } from '../support/http-fakes.ts';

const SIZE = 256 * 1024;

/** A server whose source answers each call, named by its trigger, when the test says so; `at once` without being told. */
async function start() {
  const begun: string[] = [];
  const answers = new Map<string, Deferred<Response>>();
  const { app } = createTestApp({
    config: () => testConfig({ maxBodyBytes: SIZE }),
    hooks: {
      handle: async (name, call) => {
        const { byteLength } = await call.arrayBuffer();
        begun.push(`${name} ${byteLength}`);
        if (name.startsWith('once')) return new Response(name);
        const answer = deferred<Response>();
        answers.set(name, answer);
        return answer.promise;
      },
    },
  });
  const server = await listen({ app, host: '127.0.0.1', port: 0, clock: new SystemClock() });
  onTestFinished(() => server.close());
  const answer = (name: string, response = new Response(name)): void => answers.get(name)?.resolve(response);
  return { port: server.port, begun, answer, close: () => server.close() };
}

function open(port: number): { socket: Socket; statuses: () => string[]; text: () => string } {
  let text = '';
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  socket.on('data', (data) => (text += data.toString('latin1')));
  onTestFinished(() => void socket.destroy());
  return { socket, statuses: () => text.match(/HTTP\/1.1 \d+/g) ?? [], text: () => text };
}

const call = (name: string, length = 2): string =>
  `POST /hooks/${name} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n${'x'.repeat(length)}`;

test('calls that come in one breath are begun one after the other, in their order; others are not held up', async () => {
  const { port, begun, answer } = await start();
  const { socket, text } = open(port);
  socket.write(call('first') + call('second') + call('third'));
  await expect.poll(() => begun).toEqual(['first 2']);
  const other = open(port);
  other.socket.write(call('once'));
  await expect.poll(other.text).toMatch(/once$/);
  expect(begun).toEqual(['first 2', 'once 2']);
  answer('first');
  await expect.poll(() => begun).toEqual(['first 2', 'once 2', 'second 2']);
  answer('second');
  await expect.poll(() => begun.at(-1)).toBe('third 2');
  answer('third');
  await expect.poll(text).toMatch(/first[^]*second[^]*third$/);
});

test('what comes behind the last answer of a connection is not begun: nobody would hear of it', async () => {
  const { port, begun, answer } = await start();
  const { socket, statuses } = open(port);
  socket.write(call('first') + call('second'));
  await expect.poll(() => begun).toEqual(['first 2']);
  answer('first', new Response('', { headers: { connection: 'close' } }));
  await once(socket, 'close');
  await setImmediate();
  expect(statuses()).toEqual(['HTTP/1.1 200']);
  expect(begun).toEqual(['first 2']);
});

test('who closes his side loses what waits', async () => {
  const { port, begun, answer } = await start();
  const { socket } = open(port);
  socket.end(call('first') + call('second', 0));
  await expect.poll(() => begun).toEqual(['first 2']);
  await expect.poll(() => socket.closed).toBe(true);
  answer('first');
  const other = open(port);
  other.socket.write(call('once'));
  await expect.poll(other.text).toMatch(/once$/);
  expect(begun).toEqual(['first 2', 'once 2']);
});

/** Resolves when nothing more of what was written to `socket` goes out. */
async function stuck(socket: Socket): Promise<void> {
  for (let before = -1, same = 0; same < 20;) {
    await sleep(10);
    const sent = socket.bytesWritten - socket.writableLength;
    same = sent === before ? same + 1 : 0;
    before = sent;
  }
}

test('bodies behind a call that is not answered are not read', { timeout: 20_000 }, async () => {
  const { port, begun, answer } = await start();
  const { socket, statuses } = open(port);
  const bodies = 60;
  socket.write(call('first'));
  await expect.poll(() => begun).toEqual(['first 2']);
  const rest = Buffer.from(call('once', SIZE).repeat(bodies), 'latin1');
  let gone = false;
  const before = heldBytes();
  socket.write(rest, () => (gone = true));
  await stuck(socket);
  expect([gone, begun]).toEqual([false, ['first 2']]);
  expect(heldBytes() - before).toBeLessThan((bodies * SIZE) / 4);
  answer('first');
  await expect.poll(() => statuses().length, { timeout: 10_000 }).toBe(bodies + 1);
  expect(begun.filter((name) => name === `once ${SIZE}`)).toHaveLength(bodies);
});

test.each([
  ['240 small calls', 240, 300, 0],
  ['fifty of 15 KiB', 50, 60, 15 * 1024],
])('one connection has %s wait at most', async (_, fits, tooMany, length) => {
  const { port, begun, answer } = await start();
  const good = open(port);
  good.socket.write(call('first', 0) + call('once', length).repeat(fits));
  await expect.poll(() => begun).toEqual(['first 0']);
  answer('first');
  await expect.poll(() => good.statuses().length).toBe(fits + 1);
  begun.length = 0;
  const bad = open(port);
  bad.socket.write(call('first', 0) + call('once', length).repeat(tooMany));
  await expect.poll(() => bad.socket.closed).toBe(true);
  answer('first');
  await setImmediate();
  expect(begun).toEqual(['first 0']);
  expect(bad.statuses()).toEqual([]);
});

test(
  'all connections together have 32 MiB wait at most, and room again after',
  { timeout: 20_000 },
  async () => {
    const { port } = await start();
    // Not quite 1 MB each.
    const full = call('first', 0) + call('once', 15 * 1024).repeat(50);
    const bring = async (count: number): Promise<Socket[]> => {
      const sockets = Array.from({ length: count }, () => open(port).socket);
      for (const socket of sockets) socket.write(full);
      await Promise.all(sockets.map((socket) => stuck(socket)));
      return sockets;
    };
    const first = await bring(34);
    expect(first.filter(({ closed }) => closed)).toEqual([]);
    const second = await bring(5);
    expect(second.filter(({ closed }) => closed).length).toBeGreaterThan(3);
    for (const socket of first) socket.destroy();
    await sleep(100);
    const third = await bring(30);
    expect(third.filter(({ closed }) => closed)).toEqual([]);
  },
);

test('a call that waits is asked for its body in its turn', async () => {
  const { port, begun, answer } = await start();
  const { socket, text } = open(port);
  socket.write(
    `${call('first')}POST /hooks/once HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`,
  );
  await expect.poll(() => begun).toEqual(['first 2']);
  expect(text()).toBe('');
  answer('first');
  await expect.poll(text).toMatch(/200 OK[^]*100 Continue/);
  socket.write('xx');
  await expect.poll(text).toMatch(/100 Continue[^]*200 OK[^]*once$/);
});

test('close answers the call under way and begins none that waits', async () => {
  const { port, begun, answer, close } = await start();
  const { socket, text, statuses } = open(port);
  socket.write(call('first') + call('second') + call('third'));
  await expect.poll(() => begun).toEqual(['first 2']);
  const closed = close();
  // From now on each answer is the last of its connection.
  await sleep(50);
  answer('first');
  await expect.poll(() => begun).toEqual(['first 2', 'second 2']);
  answer('second');
  await closed;
  await expect.poll(statuses).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200']);
  expect(text()).toMatch(/connection: close[^]*second$/i);
  expect(begun).toEqual(['first 2', 'second 2']);
});

test('a request without a host is refused in its turn', async () => {
  const { port, begun, answer } = await start();
  const { socket, statuses } = open(port);
  socket.write(`${call('first')}POST /hooks/once HTTP/1.1\r\nContent-Length: 0\r\n\r\n${call('once')}`);
  await expect.poll(() => begun).toEqual(['first 2']);
  answer('first');
  await expect.poll(statuses).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400', 'HTTP/1.1 200']);
});
