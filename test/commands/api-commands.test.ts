import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { CliIo } from '../../src/commands/io.ts';
import type { Fetch } from '../../src/core/fetch.ts';
import type { FireParams } from '../../src/http/deps.ts';
import { cli } from '../support/cli-runner.ts';
import type { CliRun } from '../support/cli-runner.ts';
import { createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';

let t: TestApp;
let folder: string;
const fired: FireParams[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tappet-cli-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(() => {
  fired.length = 0;
  t = createTestApp({
    fire: async (_trigger, params) => {
      fired.push(params);
      return {
        uid: 'event-1',
        outcome: { decided: true, decisions: [], executions: { 'hello-1': 'PENDING' } },
      };
    },
  });
});

const toApp: Fetch = (url, init) => t.app.fetch(new Request(url, init), { remoteAddress: '127.0.0.1' });
const env = { TAPPET_URL: 'http://gateway.test', TAPPET_TOKEN: ROOT_TOKEN };
const run = (args: readonly string[], over: Partial<CliIo> = {}): Promise<CliRun> =>
  cli(args, { env, fetch: toApp, ...over });

test('jobs list prints an aligned table', async () => {
  expect(await run(['jobs', 'list'])).toEqual({
    code: 0,
    err: '',
    out: [
      'NAME   IMAGE    TASKS  TIMEOUT  GENERATION  UPDATED',
      'hello  busybox  1      10m      2           20454d ago (1970-01-01T00:00:01Z)',
      'other  busybox  3      10m      2           20454d ago (1970-01-01T00:00:01Z)',
      '',
    ].join('\n'),
  });
});

test('-o json and yaml print the resource, a cut list tells where it goes on', async () => {
  const json = await run(['jobs', 'list', '-o', 'json', '--limit', '1']);
  const page = JSON.parse(json.out) as { jobs: unknown[]; nextPageToken: string };
  expect(page.jobs).toHaveLength(1);
  expect(json.err).toContain(`--page-token ${page.nextPageToken}`);
  expect((await run(['jobs', 'get', 'hello', '-o', 'yaml'])).out).toMatch(/^name: hello\n/);
  expect((await run(['jobs', 'get', 'hello'])).out).toMatch(/^name +hello\nuid +uid-hello\n/);
});

test('jobs run sends the overrides', async () => {
  const { code, out } = await run([
    'jobs',
    'run',
    'hello',
    '--env',
    'A=x=y',
    '--env',
    'B=',
    '--task-count',
    '2',
    '--timeout',
    '90s',
    '-o',
    'json',
    '--',
    '-i',
    '/in',
  ]);
  expect(code).toBe(0);
  const { spec } = JSON.parse(out) as { spec: object };
  expect(spec).toMatchObject({
    env: { A: 'x=y', B: '' },
    taskCount: 2,
    timeout: '1m30s',
    args: ['-i', '/in'],
  });
  const named = await run(['jobs', 'run', 'hello', '-o', 'json', '--args', 'one', 'two']);
  expect(JSON.parse(named.out)).toMatchObject({ spec: { args: ['one', 'two'] } });
});

/** Ends the newest execution as soon as somebody waits for it. */
const ending = (state: 'SUCCEEDED' | 'FAILED') => async (): Promise<void> => {
  const name = t.store.executions[0]?.name ?? '';
  t.store.update(name, { state, message: state === 'FAILED' ? 'task 0 exited with 3' : null });
};

test('--wait ends with the execution: 0 or 1', async () => {
  const good = await run(['jobs', 'run', 'hello', '--wait', '-o', 'json'], { pause: ending('SUCCEEDED') });
  expect(good.code).toBe(0);
  expect(JSON.parse(good.out)).toMatchObject({ state: 'SUCCEEDED' });
  const bad = await run(['jobs', 'run', 'hello', '--wait'], { pause: ending('FAILED') });
  expect(bad.code).toBe(1);
  expect(bad.err).toContain('FAILED: task 0 exited with 3');
});

test('--wait-timeout ends with 124, and the execution goes on', async () => {
  const { code, err } = await run(['jobs', 'run', 'hello', '--wait', '--wait-timeout', '1s']);
  expect(code).toBe(124);
  expect(err).toContain('tappet executions cancel hello-');
  expect(t.store.executions[0]?.state).toBe('PENDING');
});

test('an interrupt ends with 130 and says that the execution goes on', async () => {
  const interrupt = new AbortController();
  const { code, err } = await run(['jobs', 'run', 'hello', '--wait'], {
    signal: interrupt.signal,
    pause: async () => interrupt.abort(),
  });
  expect(code).toBe(130);
  expect(err).toContain('goes on');
});

async function finished(): Promise<string> {
  await run(['jobs', 'run', 'hello']);
  const name = t.store.executions[0]?.name ?? '';
  const key = { execution: name, index: 0, attempt: 0 };
  t.logs.push(key, 'stdout', 'out\n');
  t.logs.push({ ...key, attempt: 1 }, 'stderr', 'again');
  t.store.setAttempt(key, {
    state: 'FAILED',
    exitCode: 3,
    reason: 'NON_ZERO_EXIT_CODE',
    message: 'exited \u001b[2J',
  });
  t.store.setAttempt({ ...key, attempt: 1 }, { state: 'SUCCEEDED', exitCode: 0, reason: 'EXITED_ZERO' });
  t.store.setTask(name, 0, { state: 'SUCCEEDED', attempts: 2, retries: 1 });
  t.store.update(name, { state: 'SUCCEEDED' });
  return name;
}

test('logs print bytes; following goes through the attempts', async () => {
  const name = await finished();
  expect(await run(['logs', name])).toEqual({ code: 0, out: 'again', err: '' });
  expect((await run(['logs', '@latest', '--attempt', '0'])).out).toBe('out\n');
  const followed = await run(['logs', '@latest', '--follow', '--attempt', '0']);
  expect(followed).toEqual({ code: 0, out: 'out\nagain', err: 'Attempt 1 of task 0:\n' });
  expect((await run(['logs', name, '--follow', '--attempt', '0', '--stream', 'stderr'])).out).toBe('again');
});

test('logs of a task that has not started say so', async () => {
  await run(['jobs', 'run', 'hello']);
  const result = await run(['logs', '@latest']);
  expect(result).toMatchObject({ code: 0, out: '' });
  expect(result.err).toMatch(/^Task 0 of hello-\w+ has not started yet/);
});

test('executions: list, get, tasks, attempts, delete; text of others cannot move the cursor', async () => {
  const name = await finished();
  expect((await run(['executions', 'list', '--state', 'SUCCEEDED'])).out).toContain(
    `${name}  hello  SUCCEEDED  0/1`,
  );
  expect((await run(['executions', 'get', '@latest'])).out).toMatch(new RegExp(`^name +${name}\n`));
  expect((await run(['executions', 'tasks', name])).out).toMatch(/\n0 +SUCCEEDED +2 +1 /);
  const attempts = await run(['executions', 'attempts', name]);
  expect(attempts.out).toMatch(/\n0 +FAILED +NON_ZERO_EXIT_CODE +3 /);
  expect(attempts.out).toContain('exited \\x1b[2J');
  expect((await run(['executions', 'cancel', name])).code).toBe(0);
  expect(await run(['executions', 'delete', name])).toEqual({ code: 0, out: '', err: `Deleted ${name}.\n` });
  expect((await run(['executions', 'get', '@latest'])).code).toBe(4);
});

test('triggers: list, get, next, fire with data from everywhere', async () => {
  expect((await run(['triggers', 'list'])).out).toBe('NAME     KIND  JOB    WHEN\nnightly  cron  hello  -\n');
  expect((await run(['triggers', 'get', 'nightly'])).out).toContain('source      {"kind":"cron"');
  expect((await run(['triggers', 'next', 'nightly', '--count', '1'])).out).toBe(
    'TIME\n60s ago (2026-01-01T00:01:00Z)\n',
  );
  const path = join(folder, 'data.json');
  await writeFile(path, '{"from":"file"}');
  const fire = ['triggers', 'fire', 'nightly', '--data'];
  expect((await run([...fire, '[1]', '--idempotency-key', 'k'])).out).toContain('hello-1 (PENDING)');
  await run([...fire, `@${path}`]);
  await run([...fire, '-'], { readStdin: async () => '"stdin"' });
  expect(fired.map(({ data }) => data)).toEqual([[1], { from: 'file' }, 'stdin']);
  expect(fired[0]?.idempotencyKey).toBe('k');
  expect((await run([...fire, '{'])).code).toBe(2);
  expect((await run([...fire, '@/nowhere'])).code).toBe(2);
});

test('triggers get tells how much was there before the first start', async () => {
  let complete = false;
  t = createTestApp({
    triggerStatus: () => ({ firstStart: t.clock.now() - 60_000, existing: { skipped: 7, complete } }),
  });
  const get = ['triggers', 'get', 'nightly'];
  const so = (await run(get)).out;
  expect(so).toMatch(/\nfirstStartTime  \S+ ago \(2025-12-31T23:59:00Z\)\n/);
  expect(so).toMatch(/\nskipped +7 that were there before the first start, so far\n$/);
  complete = true;
  expect((await run(get)).out).toMatch(/\nskipped +7 that were there before the first start\n$/);
  const json = JSON.parse((await run([...get, '-o', 'json'])).out) as object;
  expect(json).toMatchObject({ status: { existing: { skipped: 7, complete: true } } });
});

test('events: list and get with decisions', async () => {
  t.store.events.push({
    uid: 'u1',
    origin: 'trigger/nightly',
    trigger: null,
    event: { specversion: '1.0', id: 'e1', source: '/x', type: 't', time: '2026-01-01T00:00:00Z' },
    claims: null,
    verdict: null,
    receiveTime: t.clock.now(),
    decideTime: t.clock.now(),
    duplicates: 0,
  });
  const decision = { event: 'u1', trigger: 'nightly', outcome: 'filtered', reason: 'size was 0' } as const;
  t.store.decisions.push({ ...decision, clause: null, values: null, execution: null, decideTime: 0 });
  expect((await run(['events', 'list'])).out).toMatch(
    /\nu1 +t +trigger\/nightly +2m ago \(2026-01-01T00:00:00Z\) /,
  );
  expect((await run(['events', 'get', 'u1'])).out).toMatch(
    /TRIGGER +OUTCOME.*\nnightly +filtered +- +size was 0\n$/,
  );
});

test.each([
  [['jobs', 'get', 'none'], 4, 'There is no job "none"'],
  [['jobs', 'run', 'hello', '--env', 'LD_PRELOAD=x'], 5, 'LD_PRELOAD'],
  [['jobs', 'run', 'hello', '--token', 'wrong'], 3, '--token or TAPPET_TOKEN'],
  [['jobs', 'run', 'hello', '--env', 'NOPE'], 2, 'NAME=VALUE'],
  [['jobs', 'run', 'hello', '--task-count', 'x'], 2, 'whole number'],
  [['jobs', 'run', 'hello', '--task-count', '0'], 2, 'at least 1'],
  [['jobs', 'list', '--limit', '0'], 2, 'at least 1'],
  [['jobs', 'list', '--limit', '1001'], 2, 'at most 1000'],
  [['triggers', 'fire', 'nightly', '--data', '@/nowhere'], 2, 'the file /nowhere, which does not exist'],
  [['triggers', 'fire', 'nightly', '--data', 'hello'], 2, 'not JSON'],
  [['jobs', 'run', 'hello', '--args', 'a', '--', 'b'], 2, 'not both'],
  [['jobs', 'lst'], 2, 'Did you mean list?'],
  [['executions', 'list', '--state', 'DONE'], 2, 'Allowed choices'],
  [['nothing'], 2, 'unknown command'],
  [[], 2, 'Usage: tappet'],
])('%j ends with %i', async (args, code, message) => {
  const result = await run(args);
  expect(result).toMatchObject({ code, out: '' });
  expect(result.err).toContain(message);
});

test('a gateway that is not there is 3 and says what to do', async () => {
  const result = await cli(['jobs', 'list'], { env });
  expect(result).toMatchObject({ code: 3, out: '' });
  expect(result.err).toMatch(
    /Cannot reach the gateway at http:\/\/gateway\.test: connect ECONNREFUSED\.\n.*tappet serve/,
  );
  const none = await cli(['jobs', 'list', '--data-dir', join(folder, 'none')]);
  expect(none.code).toBe(3);
  expect(none.err).toContain('tappet serve');
});

test('address and token come from the data folder; its token goes to no other machine', async () => {
  await writeFile(
    join(folder, 'server.json'),
    JSON.stringify({ url: 'http://127.0.0.1:9', pid: process.pid }),
  );
  await writeFile(join(folder, 'token'), 'from-folder\n');
  const seen: [string, string | null][] = [];
  const fetch: Fetch = async (url, init) => {
    seen.push([new URL(url).origin, new Headers(init?.headers).get('authorization')]);
    return Response.json({ jobs: [], nextPageToken: '' });
  };
  const list = ['jobs', 'list', '--data-dir', folder];
  await cli(list, { fetch });
  await cli([...list, '--url', 'http://localhost:7'], { fetch });
  await cli([...list, '--url', 'http://gateway.test'], { fetch });
  await cli([...list, '--url', 'http://127.0.0.1.evil.test'], { fetch });
  await cli([...list, '--url', 'http://gateway.test'], { fetch, env: { TAPPET_TOKEN: 'from-env' } });
  await cli([...list, '--token', 'from-flag'], { fetch, env });
  expect(seen).toEqual([
    ['http://127.0.0.1:9', 'Bearer from-folder'],
    ['http://localhost:7', 'Bearer from-folder'],
    ['http://gateway.test', null],
    ['http://127.0.0.1.evil.test', null],
    ['http://gateway.test', 'Bearer from-env'],
    ['http://gateway.test', 'Bearer from-flag'],
  ]);
});

test.each([
  ['ended', { pid: 2 ** 22 + 1 }],
  ['ended, and its number was given again', { pid: process.pid, started: 'another boot/1' }],
])('the token goes to nobody where the gateway has %s', async (_, who) => {
  await writeFile(join(folder, 'server.json'), JSON.stringify({ url: 'http://127.0.0.1:9', ...who }));
  await writeFile(join(folder, 'token'), 'from-folder\n');
  const seen: string[] = [];
  const fetch: Fetch = async (url) => {
    seen.push(url);
    return Response.json({ jobs: [], nextPageToken: '' });
  };
  const result = await cli(['jobs', 'list', '--data-dir', folder], { fetch });
  expect(result).toMatchObject({ code: 3, out: '' });
  expect(result.err).toMatch(/The gateway that wrote .*server\.json has ended\.\n.*tappet serve/);
  expect(seen).toEqual([]);
});

test('--help and --version are data, and every help tells the exit codes', async () => {
  expect(await run(['--version'])).toEqual({ code: 0, out: '1.2.3\n', err: '' });
  for (const args of [['--help'], ['jobs', 'run', '--help'], ['logs', '--help']]) {
    const help = await run(args);
    expect(help.code).toBe(0);
    expect(help.out).toContain('124  --wait-timeout is over');
  }
});

test('triggers show --curl prints a call', async () => {
  // What the API tells of a webhook, in the place of the test app's schedules.
  const source = { kind: 'webhook', auth: 'none' };
  const answer: Fetch = () => Promise.resolve(Response.json({ name: 'call', source }));
  const { code, out } = await run(['triggers', 'show', 'call', '--curl'], { fetch: answer });
  expect(code).toBe(0);
  expect(out).toContain('curl -sS -X POST http://gateway.test/hooks/call ');
  const none = await run(['triggers', 'show', 'nightly', '--curl']);
  expect(none.code).not.toBe(0);
  expect(none.err).toContain('tappet triggers fire nightly');
});
