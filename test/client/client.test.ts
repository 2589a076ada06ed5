import { expect, test } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import type { LogEntry } from '../../src/client/client.ts';
import type { Fetch } from '../../src/core/fetch.ts';
import { createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';

const BASE = 'http://gateway.test';
const fetchFrom =
  (t: TestApp): Fetch =>
  (url, init) =>
    t.app.fetch(new Request(url, init), { remoteAddress: '127.0.0.1' });
const clientOf = (t: TestApp, token: string | undefined = ROOT_TOKEN) =>
  createClient({ url: BASE, token, fetch: fetchFrom(t), pause: async () => undefined });

test('every resource can be read and every verb called', async () => {
  const t = createTestApp();
  const client = clientOf(t);
  expect((await client.jobs.list()).jobs.map(({ name }) => name)).toEqual(['hello', 'other']);
  expect((await client.jobs.get('hello')).template.timeout).toBe('10m');
  const { name, cause } = await client.jobs.run('hello', { overrides: { taskCount: 2 } });
  expect(cause).toEqual({ principal: 'root' });
  expect((await client.executions.list({ job: 'hello', pageSize: 1 })).executions).toHaveLength(1);
  expect((await client.executions.get(name)).taskCount).toBe(2);
  expect((await client.tasks.list(name)).tasks).toHaveLength(2);
  expect((await client.tasks.get(name, 1)).index).toBe(1);
  expect((await client.tasks.attempts(name, 1)).attempts).toEqual([]);
  expect((await client.executions.cancel(name)).state).toBe('CANCELLED');
  await client.executions.delete(name);
  await expect(client.executions.get(name)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect((await client.triggers.list()).triggers).toHaveLength(1);
  expect((await client.triggers.get('nightly')).origin).toBe('trigger/nightly');
  expect((await client.triggers.next('nightly', { count: 2 })).times).toHaveLength(2);
  expect((await client.triggers.fire('nightly', { data: { a: 1 }, idempotencyKey: 'k' })).event).toBe(
    'event-1',
  );
  expect((await client.events.list({ type: 't' })).events).toEqual([]);
  expect(await client.status()).toEqual({ version: '0.0.0' });
});

test("the server's code, message and fields arrive", async () => {
  const run = clientOf(createTestApp()).jobs.run('hello', { overrides: { taskCount: 0 } });
  await expect(run).rejects.toMatchObject({
    name: 'TappetError',
    code: 'INVALID_ARGUMENT',
    fields: { errors: [{ path: 'overrides.taskCount' }] },
  });
  await expect(clientOf(createTestApp(), 'wrong').status()).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
  });
});

test('a name cannot leave its place in the path', async () => {
  const seen: string[] = [];
  const client = createClient({
    url: BASE,
    fetch: async (url) => {
      seen.push(url);
      return Response.json({});
    },
  });
  await client.jobs.get('a/../../b?c#d');
  expect(seen).toEqual([`${BASE}/api/v1/jobs/a%2F..%2F..%2Fb%3Fc%23d`]);
});

test.each([
  [
    'a refused connection',
    () =>
      Promise.reject(new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:1') })),
    'ECONNREFUSED',
  ],
  ['another server', () => Promise.resolve(new Response('<h1>nginx</h1>', { status: 404 })), '404'],
  ['a page instead of JSON', () => Promise.resolve(new Response('<h1>hi</h1>')), 'not JSON'],
])('%s names the address and what to do', async (_what, answer, reason) => {
  const client = createClient({ url: `${BASE}/base/`, fetch: answer });
  await expect(client.status()).rejects.toMatchObject({
    code: 'GATEWAY_UNREACHABLE',
    message: expect.stringMatching(new RegExp(`http://gateway\\.test/base: .*${reason}`)),
    fields: { fix: expect.stringContaining('tappet serve') },
  });
});

test.each(['', 'localhost:8080', 'ftp://x', 'not an address'])('refuses the address %j', (url) => {
  expect(() => createClient({ url })).toThrow(/is not the address of a gateway/);
});

test('an aborted call throws what it was aborted with', async () => {
  const reason = new Error('enough');
  const client = createClient({
    url: BASE,
    signal: AbortSignal.abort(reason),
    fetch: fetchFrom(createTestApp()),
  });
  await expect(client.status()).rejects.toBe(reason);
});

const sse = (...events: string[]): Response =>
  new Response(events.join(''), { headers: { 'content-type': 'text/event-stream' } });
const line = (id: string, text: string): string =>
  `id: ${id}\ndata: {"stream":"stdout","time":"2026-01-01T00:00:00Z","offset":0,"text":"${text}"}\n\n`;
const END = 'event: end\ndata: {}\n\n';

async function collect(entries: AsyncIterable<LogEntry>): Promise<string[]> {
  const out: string[] = [];
  for await (const { attempt, data } of entries) out.push(`${attempt} ${new TextDecoder().decode(data)}`);
  return out;
}

test('following takes up a broken stream where it broke, without loss or repetition', async () => {
  const broken = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(line('0:2', 'two') + 'id: 0:3\nda'));
    },
    pull: (controller) => controller.error(new TypeError('terminated')),
  });
  const answers: (() => Response)[] = [
    () => sse('retry: 1000\n\n', ': keep-alive\n\n', line('0:1', 'one')),
    () => new Response(broken),
    () => {
      throw new TypeError('fetch failed');
    },
    () => sse(line('0:3', 'three'), line('1:1', 'four'), END, line('1:2', 'never')),
  ];
  const resumed: (string | null)[] = [];
  const pauses: number[] = [];
  const client = createClient({
    url: BASE,
    pause: async (ms) => void pauses.push(ms),
    fetch: async (_url, init) => {
      resumed.push(new Headers(init?.headers).get('last-event-id'));
      return (answers.shift() ?? (() => sse(END)))();
    },
  });
  expect(await collect(client.logs.follow('e', 0))).toEqual(['0 one', '0 two', '0 three', '1 four']);
  expect(resumed).toEqual([null, '0:1', '0:2', '0:2']);
  expect(pauses).toEqual([250, 250, 500]);
});

test('following gives up after several tries that brought nothing, and at once where the server says no', async () => {
  let calls = 0;
  const dead = createClient({
    url: BASE,
    pause: async () => undefined,
    fetch: async () => {
      calls++;
      throw new TypeError('fetch failed');
    },
  });
  await expect(collect(dead.logs.follow('e', 0))).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE' });
  expect(calls).toBe(9);
  await expect(collect(clientOf(createTestApp()).logs.follow('none', 0))).rejects.toMatchObject({
    code: 'NOT_FOUND',
  });
});

test('bytes survive both ways of reading', async () => {
  const t = createTestApp();
  const { name } = await clientOf(t).jobs.run('hello');
  const key = { execution: name, index: 0, attempt: 0 };
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 7) % 256);
  t.store.setAttempt(key, { state: 'SUCCEEDED' });
  t.store.setTask(name, 0, { state: 'SUCCEEDED', attempts: 1 });
  t.logs.push(key, 'stdout', bytes.slice(0, 100));
  t.logs.push(key, 'stdout', '\ufeffä €');
  t.logs.push(key, 'stdout', bytes.slice(100));
  const want = Buffer.concat([bytes.slice(0, 100), Buffer.from('\ufeffä €'), bytes.slice(100)]);
  const read: Uint8Array[] = [];
  for await (const data of clientOf(t).logs.read(name, 0)) read.push(data);
  expect(Buffer.concat(read)).toEqual(want);
  const followed: Uint8Array[] = [];
  for await (const { data } of clientOf(t).logs.follow(name, 0)) followed.push(data);
  expect(Buffer.concat(followed)).toEqual(want);
});

test('a reader that stops early closes the connection', async () => {
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode(line('0:1', 'one'))),
    cancel: () => {
      cancelled = true;
    },
  });
  const client = createClient({ url: BASE, fetch: async () => new Response(body) });
  for await (const entry of client.logs.follow('e', 0)) {
    expect(entry.attempt).toBe(0);
    break;
  }
  expect(cancelled).toBe(true);
});
