import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { bearerVerifier } from '../../src/auth/shared-secret.ts';
import { BodyFiles } from '../../src/bodies/body-files.ts';
import type { Verify } from '../../src/core/auth.ts';
import { SecretValue } from '../../src/core/secrets.ts';
import { listen } from '../../src/http/server.ts';
import type { RunningServer } from '../../src/http/server.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { createWebhookSource } from '../../triggers/webhook/source.ts';
import { createTestApp } from '../support/http-fakes.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { Context } from '../support/webhook-context.ts';

/** `server.maxBody` of the test's app. */
const LIMIT = 4096;
const MIB = 1024 * 1024;
const TOKEN = 'a'.repeat(32);
let server: RunningServer | undefined;
afterEach(() => server?.close());

async function start(verify: Verify = bearerVerifier(new SecretValue(TOKEN))) {
  const context = new Context(verify);
  const dir = join(tempFolder(), 'bodies');
  context.bodies = new BodyFiles({ dir, clock: new SystemClock() });
  const auth = { bearer: { token: { env: 'T' } } };
  const source = createWebhookSource({
    name: 'call',
    spec: { kind: 'webhook', auth, bodyFile: { maxBytes: 8 * MIB } },
  });
  await source.start(context);
  const calls: { call: Request; answer: Promise<Response | undefined> | undefined }[] = [];
  const hooks = {
    handle: async (name: string, call: Request, info: { remoteAddress: string }) =>
      name === 'call' ? source.handle?.(call, info) : undefined,
    takesFiles: (name: string) => name === 'call',
    receive: (name: string, call: Request, info: { remoteAddress: string }) => {
      const answer = name === 'call' ? source.receive?.(call, info) : undefined;
      calls.push({ call, answer });
      return answer;
    },
  };
  const { app } = createTestApp({ hooks });
  server = await listen({ app, host: '127.0.0.1', port: 0, clock: new SystemClock() });
  return { port: server.port, context, dir, calls };
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}
interface Sent {
  readonly trigger?: string;
  readonly token?: string;
  readonly bytes: number;
  readonly chunked?: boolean;
}
function post(
  port: number,
  { trigger = 'call', token = TOKEN, bytes, chunked = false }: Sent,
): Promise<Answer> {
  const length = chunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': bytes };
  return new Promise((resolve, reject) => {
    const sent = request({
      port,
      path: `/hooks/${trigger}`,
      method: 'POST',
      headers: { 'content-type': 'text/plain', authorization: `Bearer ${token}`, ...length },
    });
    // An answer may come while the rest of the body is still on its way, which is then not read.
    sent.on('response', (response) => {
      let body = '';
      response.on('data', (part) => (body += String(part)));
      response.on('error', () => undefined);
      const { date: _date, ...headers } = response.headers;
      response.on('close', () => resolve({ status: response.statusCode ?? 0, headers, body }));
    });
    sent.on('error', reject);
    sent.end(Buffer.alloc(bytes, 'x'));
  });
}

test.each([false, true])(
  'a known caller may send far more than server.maxBody; chunked: %s',
  async (chunked) => {
    const { port, context, dir } = await start();
    expect(await post(port, { bytes: 8 * MIB, chunked })).toMatchObject({ status: 202 });
    expect(context.events[0]?.event.data).toMatchObject({ body: { size: 8 * MIB, type: 'text/plain' } });
    const [name = ''] = readdirSync(dir);
    expect(statSync(join(dir, name)).size).toBe(8 * MIB);
    expect(await post(port, { bytes: 8 * MIB + 1, chunked })).toMatchObject({ status: 413 });
    expect(readdirSync(dir)).toEqual([name]);
  },
);

test.each([
  ['a small body', LIMIT, false],
  ['a small body without a length', LIMIT, true],
  ['more than server.maxBody', LIMIT + 1, false],
  ['more than server.maxBody without a length', LIMIT + 1, true],
])('a stranger cannot tell such a trigger from none: %s', async (_name, bytes, chunked) => {
  const { port, dir } = await start();
  const stranger = await post(port, { token: 'b'.repeat(32), bytes, chunked });
  expect(stranger).toEqual(await post(port, { trigger: 'nothing', bytes, chunked }));
  expect(stranger.status).toBe(bytes > LIMIT ? 413 : 401);
  expect(() => readdirSync(dir)).toThrow('ENOENT');
});

test('a sender that goes away in the middle leaves no file', async () => {
  const { port, context, dir } = await start();
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const head = `POST /hooks/call HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Length: ${MIB}\r\n\r\n`;
  socket.write(head + 'x'.repeat(MIB / 2));
  const names = (): string[] => {
    try {
      return readdirSync(dir);
    } catch {
      return [];
    }
  };
  await expect.poll(names, { timeout: 5_000 }).toEqual([expect.stringMatching(/\.part$/)]);
  socket.destroy();
  await expect.poll(names, { timeout: 5_000 }).toEqual([]);
  expect(context.events).toEqual([]);
});

test.each([
  ['with a length', `Content-Length: ${MIB}\r\n\r\nxx`, 0],
  ['without one', 'Transfer-Encoding: chunked\r\n\r\n2\r\nxx\r\n', 0],
  ['unless it had sent all of it', 'Content-Length: 2\r\n\r\nxx', 1],
])(
  'a sender that goes away while its credentials are checked is no event: %s',
  async (_name, rest, events) => {
    const asked = deferred<void>();
    const answered = deferred<void>();
    const { port, context, dir, calls } = await start(async () => {
      asked.resolve();
      await answered.promise;
      return { ok: true, claims: {} };
    });
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(`POST /hooks/call HTTP/1.1\r\nHost: x\r\n${rest}`);
    await asked.promise;
    const [first] = calls;
    const gone = first === undefined ? undefined : once(first.call.signal, 'abort');
    socket.destroy();
    await gone;
    answered.resolve();
    expect((await first?.answer)?.ok).toBe(events > 0);
    expect(context.events).toHaveLength(events);
    expect(readdirSync(dir)).toHaveLength(events);
  },
);

/** A connection; `text` is what came of it. */
async function open(port: number) {
  const socket = connect(port, '127.0.0.1');
  const one = { socket, text: '' };
  socket.on('data', (data) => (one.text += data.toString('latin1')));
  socket.on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return one;
}
const headOf = (token: string, bytes: number, more = ''): string =>
  `POST /hooks/call HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Length: ${bytes}\r\n${more}\r\n`;

test('who is refused while he sends reads why, and not that the connection broke', async () => {
  const { port } = await start();
  const one = await open(port);
  one.socket.write(headOf(TOKEN, 64 * MIB) + 'x'.repeat(MIB));
  await expect.poll(() => one.text, { timeout: 5_000, interval: 1 }).toMatch(/ 413 [^]*larger than 8Mi/);
  for (let i = 0; i < 2; i++)
    expect(
      await new Promise((resolve) => one.socket.write(Buffer.alloc(4 * MIB), resolve)),
      'goes on until its sender has seen the answer',
    ).toBeFalsy();
  one.socket.destroy();
});

test('who asks before he sends is told to go on only where the body is wanted', async () => {
  const { port, context } = await start();
  const expecting = 'Expect: 100-continue\r\n';
  const refused = await open(port);
  refused.socket.write(headOf(TOKEN, 64 * MIB, expecting));
  await expect.poll(() => refused.text, { timeout: 5_000, interval: 1 }).toMatch(/^HTTP\/1.1 413 /);
  const taken = await open(port);
  taken.socket.write(headOf(TOKEN, 4, expecting));
  await expect.poll(() => taken.text, { timeout: 5_000, interval: 1 }).toMatch(/^HTTP\/1.1 100 /);
  expect(context.events).toEqual([]);
  taken.socket.write('film');
  await expect.poll(() => taken.text, { timeout: 5_000, interval: 1 }).toMatch(/ 202 /);
  // A stranger hears the same as anywhere.
  const stranger = await open(port);
  stranger.socket.write(headOf('b'.repeat(32), 4, expecting));
  await expect.poll(() => stranger.text, { timeout: 5_000, interval: 1 }).toMatch(/^HTTP\/1.1 100 /);
  stranger.socket.write('film');
  await expect.poll(() => stranger.text, { timeout: 5_000, interval: 1 }).toMatch(/ 401 /);
});
