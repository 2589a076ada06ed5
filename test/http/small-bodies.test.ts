import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import type { Config } from '../../src/core/config.ts';
import { listen } from '../../src/http/server.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { heldBytes } from '../support/heap.ts';
import { createTestApp, testConfig } from '../support/http-fakes.ts';
import { ManualClock } from '../support/manual-clock.ts';

const KIB = 1024;
const SMALL = 64 * KIB;

interface Options {
  /** When the source answers. */
  readonly answers?: Promise<void>;
  readonly clock?: Clock;
}

/** A server that tells when its app and its source are called; `files` takes files, of ten bytes at most. */
async function start(over: Partial<Config['server']> = {}, { answers, clock }: Options = {}) {
  const config = testConfig({ maxBodyBytes: KIB * KIB, ...over });
  const looked: string[] = [];
  const bodies: string[] = [];
  const { app } = createTestApp({
    config: () => config,
    hooks: {
      takesFiles: (name) => name === 'files',
      receive: (name, call) => {
        if (name !== 'files') return undefined;
        const status = Number(call.headers.get('content-length')) > 10 ? 413 : 202;
        return Promise.resolve(new Response(null, { status }));
      },
      handle: async (name, call) => {
        bodies.push(Buffer.from(await call.arrayBuffer()).toString('latin1'));
        await answers;
        return name === 'call' ? new Response(null, { status: 202 }) : undefined;
      },
    },
  });
  const watched = {
    ...app,
    fetch: (...args: Parameters<typeof app.fetch>) => {
      looked.push(args[0].method);
      return app.fetch(...args);
    },
  };
  const server = await listen({
    app: watched,
    host: '127.0.0.1',
    port: 0,
    clock: clock ?? new SystemClock(),
  });
  onTestFinished(() => server.close());
  return { port: server.port, looked, bodies };
}

function open(port: number): { socket: Socket; answer: () => string } {
  let answer = '';
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  socket.on('data', (data) => (answer += data.toString('latin1')));
  onTestFinished(() => void socket.destroy());
  return { socket, answer: () => answer };
}

const head = (length: number, name = 'call', more = ''): string =>
  `POST /hooks/${name} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n${more}\r\n`;

/** What has been sent over this machine's own network is there when later bytes on another connection were answered. */
async function arrived(port: number): Promise<void> {
  const { socket } = open(port);
  socket.write('GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await once(socket, 'close');
  await setImmediate();
}

test.each([SMALL, 5])(
  'nothing is made of a call whose announced %i bytes have not all come in',
  async (length) => {
    const { port, looked, bodies } = await start();
    const { socket, answer } = open(port);
    socket.write(`${head(length)}ab`);
    await arrived(port);
    expect(looked, 'the other call').toEqual(['GET']);
    socket.write('x'.repeat(length - 2));
    await expect.poll(answer).toMatch(/^HTTP\/1.1 202 /);
    expect(looked).toEqual(['GET', 'POST']);
    expect(bodies).toEqual([`ab${'x'.repeat(length - 2)}`]);
  },
);

/** More of these than there is room for, if each kept its own. */
const MANY = 1_400;

/** One of the largest small bodies is taken. */
async function hasRoom(port: number): Promise<void> {
  const { socket, answer } = open(port);
  socket.write(head(SMALL) + 'x'.repeat(SMALL));
  await expect.poll(answer).toMatch(/^HTTP\/1.1 202 /);
}

test('one that breaks off is nobody’s call, and takes no room from others', async () => {
  const { port, looked } = await start();
  for (let i = 0; i < MANY; i += 100) {
    const sockets = Array.from({ length: 100 }, () => open(port).socket);
    const sent = sockets.map(
      (socket) => new Promise((resolve) => void socket.write(head(SMALL) + 'x'.repeat(SMALL - 1), resolve)),
    );
    await Promise.all(sent);
    await arrived(port);
    for (const socket of sockets) socket.destroy();
    await arrived(port);
  }
  expect(looked).not.toContain('POST');
  await hasRoom(port);
});

test.each([
  ['that are read first', {}],
  ['that are looked at first', { rateLimit: { requests: 10_000, perMs: 1 } }],
])(
  'small bodies %s have room beside large ones; where both are full their senders hear so, and there is room again after',
  async (_, over) => {
    const end = deferred<void>();
    const { port, bodies } = await start(over, { answers: end.promise });
    const large = Array.from({ length: 64 }, () => open(port));
    for (const { socket } of large) socket.write(head(KIB * KIB) + 'x'.repeat(KIB * KIB));
    await expect.poll(() => bodies.length, { timeout: 20_000 }).toBe(64);
    const full = open(port);
    full.socket.write(`${head(KIB * KIB)}x`);
    await expect.poll(full.answer).toMatch(/^HTTP\/1.1 503 [^]*retry-after: 1\r\n/i);
    const small = Array.from({ length: 256 }, () => open(port));
    for (const { socket } of small) socket.write(head(SMALL) + 'x'.repeat(SMALL));
    await expect.poll(() => bodies.length, { timeout: 20_000 }).toBe(64 + 256);
    const tooMuch = open(port);
    tooMuch.socket.write(`${head(5)}ab`);
    await once(tooMuch.socket, 'close');
    expect(tooMuch.answer()).toMatch(/^HTTP\/1.1 503 [^]*retry-after: 1\r\n/i);
    expect(tooMuch.answer()).toMatch(/connection: close/i);
    end.resolve();
    for (const { answer } of [...large, ...small])
      await expect.poll(answer, { timeout: 10_000 }).toMatch(/^HTTP\/1.1 202 /);
    const after = open(port);
    after.socket.write(`${head(5)}abcde`);
    await expect.poll(after.answer).toMatch(/^HTTP\/1.1 202 /);
  },
);

test('who may call only so often hears that he came too often before he has sent his body', async () => {
  const { port } = await start({ rateLimit: { requests: 1, perMs: 60_000 } });
  const first = open(port);
  first.socket.write(`${head(2)}ab`);
  await expect.poll(first.answer).toMatch(/^HTTP\/1.1 202 /);
  const second = open(port);
  second.socket.write(head(2));
  await expect.poll(second.answer).toMatch(/^HTTP\/1.1 429 /);
});

test('a body that announces more than the limit is refused before it is sent, however small', async () => {
  const { port } = await start({ maxBodyBytes: 10 });
  const { socket, answer } = open(port);
  socket.write(head(11));
  await expect.poll(answer).toMatch(/^HTTP\/1.1 413 /);
});

test('whoever waits to be asked for his body is asked, and answered', async () => {
  const { port } = await start();
  const { socket, answer } = open(port);
  socket.write(head(2, 'call', 'Expect: 100-continue\r\n'));
  await expect.poll(answer).toMatch(/^HTTP\/1.1 100 Continue/);
  socket.write('ab');
  await expect.poll(answer).toMatch(/HTTP\/1.1 202 /);
});

test('who sends a file hears what is wrong with it before he sends it, however small', async () => {
  const { port } = await start();
  const { socket, answer } = open(port);
  socket.write(head(11, 'files'));
  await expect.poll(answer).toMatch(/^HTTP\/1.1 413 /);
});

test('a body that was refused is not kept until its sender may hear so', async () => {
  // By this clock that time never comes.
  const { port, bodies } = await start({}, { clock: new ManualClock(0) });
  const count = 300;
  const send = async (): Promise<void> => {
    const { socket } = open(port);
    const before = bodies.length;
    socket.write(head(SMALL, 'none') + 'x'.repeat(SMALL));
    while (bodies.length === before) await setImmediate();
    bodies.fill('');
  };
  // What only the first ones need.
  for (let i = 0; i < 10; i++) await send();
  const before = heldBytes();
  for (let i = 0; i < count; i++) await send();
  // What was collected is given back by another thread, soon; what is kept never is.
  const held = async (): Promise<number> => {
    await setImmediate();
    return heldBytes() - before;
  };
  await expect.poll(held, { timeout: 10_000 }).toBeLessThan((count * SMALL) / 2);
});

test('a request that is none is refused, and what it brought takes no room', async () => {
  const { port } = await start();
  const bad = `POST /hooks/call HTTP/1.1\r\nHost: a b\r\nContent-Length: ${SMALL}\r\n\r\n${'x'.repeat(SMALL)}`;
  for (let i = 0; i < MANY; i++) {
    const { socket, answer } = open(port);
    socket.write(bad);
    await once(socket, 'data');
    expect(answer()).toMatch(/^HTTP\/1.1 400 /);
    socket.destroy();
  }
  await hasRoom(port);
});

test('calls in one breath are answered in their order, each with its own body', async () => {
  const { port, bodies } = await start();
  const { socket, answer } = open(port);
  socket.write(`${head(3)}one${head(3, 'none')}two${head(5)}three`);
  await expect
    .poll(() => answer().match(/HTTP\/1.1 \d+/g))
    .toEqual(['HTTP/1.1 202', 'HTTP/1.1 401', 'HTTP/1.1 202']);
  expect(bodies.toSorted()).toEqual(['one', 'three', 'two']);
});
