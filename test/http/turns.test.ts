import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
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
  return { port: server.port, begun, answer };
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

test('a sender who goes away takes what he has not been answered with him', async () => {
  const { port, begun, answer } = await start();
  const { socket } = open(port);
  socket.write(call('first') + call('second'));
  await expect.poll(() => begun).toEqual(['first 2']);
  socket.destroy();
  const other = open(port);
  other.socket.write(call('once'));
  await expect.poll(other.text).toMatch(/once$/);
  answer('first');
  await setImmediate();
  other.socket.write(call('once-more'));
  await expect.poll(other.text).toMatch(/once-more$/);
  expect(begun).toEqual(['first 2', 'once 2', 'once-more 2']);
});

test('bodies behind a call that is not answered are not read', { timeout: 20_000 }, async () => {
  const { port, begun, answer } = await start();
  const { socket, statuses } = open(port);
  const bodies = 60;
  const before = heldBytes();
  socket.write(call('first'));
  await expect.poll(() => begun).toEqual(['first 2']);
  const rest = Buffer.from(call('once', SIZE).repeat(bodies), 'latin1');
  const all = new Promise((resolve) => void socket.write(rest, resolve));
  const other = open(port);
  other.socket.write(call('once'));
  await expect.poll(other.text).toMatch(/once$/);
  // What this process sends is in its memory, too.
  expect(heldBytes() - before - rest.length).toBeLessThan((bodies * SIZE) / 4);
  answer('first');
  await all;
  await expect.poll(() => statuses().length, { timeout: 10_000 }).toBe(bodies + 1);
  expect(begun.filter((name) => name === `once ${SIZE}`)).toHaveLength(bodies);
});

test('who has more than 250 calls wait in one connection loses it', async () => {
  const { port, begun } = await start();
  const many = open(port);
  many.socket.write(call('once', 0).repeat(251));
  await expect.poll(() => many.statuses().length).toBe(251);
  const tooMany = open(port);
  tooMany.socket.write(call('first', 0).repeat(252));
  await once(tooMany.socket, 'close');
  expect(tooMany.statuses()).toEqual([]);
  expect(begun.filter((name) => name === 'first 0').length).toBeLessThan(2);
});
