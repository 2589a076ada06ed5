import { beforeEach, describe, expect, test } from 'vitest';
import type { CliIo } from '../../src/commands/io.ts';
import { cli } from '../support/cli-runner.ts';
import type { CliRun } from '../support/cli-runner.ts';
import { ADMISSION_VIEW, createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';

const GIB = 1024 ** 3;
const WAITS = 'waits for 512 MiB of memory: 128 MiB of 7.7 GiB free';
let t: TestApp;
let name: string;
beforeEach(async () => {
  const free = { memoryBytes: GIB / 8, cpuMillis: 16_000 };
  t = createTestApp({ admission: () => ({ ...ADMISSION_VIEW, free }) });
  ({ name } = (await (await t.call('POST', '/api/v1/jobs/other:run')).json()) as { name: string });
  t.store.update(name, { waits: 'room' });
});
const get = async (path: string): Promise<unknown> =>
  (await t.call('GET', `/api/v1/executions${path}`)).json();
const toApp = async (url: string, init?: RequestInit): Promise<Response> =>
  t.app.fetch(new Request(url, init), { remoteAddress: '127.0.0.1' });
const command = (args: string[], over: Partial<CliIo> = {}): Promise<CliRun> => {
  const env = { TAPPET_URL: 'http://gateway.test', TAPPET_TOKEN: ROOT_TOKEN };
  return cli(args, { env, fetch: toApp, ...over });
};
const run = async (...args: string[]): Promise<string> => (await command(args)).out;
const page = async (path: string): Promise<string> => {
  const { code } = t.deps.sessions.newCode();
  const ask = (at: string, headers: Record<string, string> = {}) =>
    t.app.fetch(new Request(`http://localhost:8080${at}`, { headers }), { remoteAddress: '127.0.0.1' });
  const link = await ask(`/?code=${code}`);
  const cookie = (link.headers.get('set-cookie') ?? '').split(';', 1)[0] ?? '';
  return (await ask(path, { cookie })).text();
};

test('the API says what an execution and its tasks wait for', async () => {
  expect(await get('')).toMatchObject({ executions: [{ name, waitsFor: WAITS }] });
  expect(await get(`/${name}`)).toMatchObject({ waitsFor: WAITS });
  expect(await get(`/${name}/tasks`)).toMatchObject({ tasks: [0, 1, 2].map(() => ({ waitsFor: WAITS })) });
  expect(await get(`/${name}/tasks/1`)).toMatchObject({ waitsFor: WAITS });
  t.store.update(name, { state: 'CANCELLED' });
  expect(await get(`/${name}`)).toMatchObject({ waitsFor: null });
});

test('the command line says so, in a column that is there only where something waits', async () => {
  expect(await run('executions', 'list')).toMatch(new RegExp(`CAUSE +WAITS\\n.*${WAITS}\\n$`));
  expect(await run('executions', 'get', name)).toMatch(new RegExp(`\\nwaitsFor +${WAITS}\\n`));
  expect(await run('executions', 'tasks', name)).toMatch(new RegExp(`\\n2 +PENDING .*${WAITS}\\n$`));
  t.store.update(name, { state: 'CANCELLED' });
  expect(await run('executions', 'list')).not.toContain('WAITS');
});

test('the page says so, of the execution and of each of its tasks', async () => {
  expect(await page('/')).toContain(`<span class="sub">${WAITS}</span>`);
  const shown = await page(`/executions/${name}`);
  expect(shown).toContain(`<span class="sub">${WAITS}</span>`);
  expect(shown.split(`It has not started. It ${WAITS}.`)).toHaveLength(4);
});

describe('a task that has begun', () => {
  const counters = { running: 1, succeeded: 0, failed: 0, cancelled: 0, retried: 0 };
  const RUNNING = { state: 'RUNNING', waits: null, counters } as const;
  const BEGUN = 'waits for image x: <b>\u001b[2J</b>';
  beforeEach(async () => {
    t = createTestApp({
      admission: () => ({ ...ADMISSION_VIEW, begun: (of) => new Map(of === name ? [[1, BEGUN]] : []) }),
    });
    ({ name } = (await (await t.call('POST', '/api/v1/jobs/other:run')).json()) as { name: string });
    t.store.update(name, RUNNING);
    t.store.setTask(name, 1, { state: 'RUNNING', attempts: 1 });
  });

  test('says in the API what keeps it, and so does its execution', async () => {
    expect(await get(`/${name}`)).toMatchObject({ waitsFor: `task 1 ${BEGUN}` });
    const other = 'waits for another task of its execution to end: parallelism 1';
    expect(await get(`/${name}/tasks`)).toMatchObject({
      tasks: [{ waitsFor: other }, { waitsFor: BEGUN }, { waitsFor: other }],
    });
  });

  test('says so on the command line, without what would move its cursor', async () => {
    const clean = String.raw`waits for image x: <b>\x1b[2J</b>`;
    expect(await run('executions', 'list')).toContain(`task 1 ${clean}`);
    expect(await run('executions', 'tasks', name)).toContain(clean);
    expect(await run('executions', 'describe', name)).toContain(`; task 1 ${clean}`);
  });

  test.each([
    ['for long is told once', 20, 1],
    ['for a moment is not told', 4, 0],
  ])('who waits for it with a command: what it waits for %s', async (_, looks, told) => {
    let count = 0;
    const pause = async (): Promise<void> => {
      ({ name } = t.store.executions[0] ?? { name });
      t.store.update(name, count < looks ? RUNNING : { state: 'FAILED', message: 'Lost \u001b[2J.' });
      count += 1;
    };
    const { err } = await command(['jobs', 'run', 'other', '--wait'], { pause });
    const lines = err.split('\n');
    const words = String.raw`${name} task 1 waits for image x: <b>\x1b[2J</b>`;
    expect(lines.filter((line) => line === words)).toHaveLength(told);
    expect(lines).toContain(String.raw`${name}: FAILED: Lost \x1b[2J.`);
  });

  test('who follows its log goes on where a look at the execution is refused', async () => {
    let looks = 0;
    const log = async function* (): AsyncGenerator<Uint8Array> {
      while (looks === 0) await new Promise((resolve) => setImmediate(resolve));
      yield new TextEncoder().encode('event: end\ndata: {}\n\n');
    };
    const answer = (url: string, init?: RequestInit): Promise<Response> => {
      if (url.includes('/logs')) {
        const headers = { 'content-type': 'text/event-stream' };
        return Promise.resolve(new Response(ReadableStream.from(log()), { headers }));
      }
      if (init?.method === 'POST') return toApp(url, init);
      looks += 1;
      if (looks === 1) return Promise.reject(new TypeError('fetch failed'));
      t.store.update(t.store.executions[0]?.name ?? '', { state: 'SUCCEEDED' });
      return toApp(url, init);
    };
    const { code, err } = await command(['jobs', 'run', 'other', '--follow'], { fetch: answer });
    expect({ code, looks, err }).toMatchObject({ code: 0, looks: 2 });
  });

  test('says so on the page, as text', async () => {
    const text = String.raw`waits for image x: &lt;b&gt;\x1b[2J&lt;/b&gt;`;
    expect(await page('/')).toContain(`<span class="sub">task 1 ${text}</span>`);
    expect(await page(`/executions/${name}`)).toContain(`It ${text}.`);
  });
});
