import { beforeEach, expect, test } from 'vitest';
import { cli } from '../support/cli-runner.ts';
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
const run = async (...args: string[]): Promise<string> => {
  const env = { TAPPET_URL: 'http://gateway.test', TAPPET_TOKEN: ROOT_TOKEN };
  const toApp = (url: string, init?: RequestInit) =>
    t.app.fetch(new Request(url, init), { remoteAddress: '127.0.0.1' });
  return (await cli(args, { env, fetch: toApp })).out;
};
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
