import { beforeEach, expect, test } from 'vitest';
import type { Fetch } from '../../src/core/fetch.ts';
import { cli } from '../support/cli-runner.ts';
import type { CliRun } from '../support/cli-runner.ts';
import { createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';

let t: TestApp;
let name: string;
const env = { TAPPET_URL: 'http://gateway.test', TAPPET_TOKEN: ROOT_TOKEN };
const toApp: Fetch = (url, init) => t.app.fetch(new Request(url, init), { remoteAddress: '127.0.0.1' });
const run = (...args: string[]): Promise<CliRun> =>
  cli(['executions', 'logs', ...args], { env, fetch: toApp });

beforeEach(async () => {
  t = createTestApp();
  await cli(['jobs', 'run', 'other'], { env, fetch: toApp });
  name = t.store.executions[0]?.name ?? '';
  const key = (index: number, attempt = 0) => ({ execution: name, index, attempt });
  t.logs.push(key(0), 'stdout', 'started\n{"level":"warn","msg":"low"}\n');
  t.logs.push(key(1), 'stderr', 'no\u001b[2J\tdisk\r\n');
  t.logs.push(key(1, 1), 'stdout', 'again');
  for (const one of [key(0), key(1), key(1, 1)])
    t.store.setAttempt(one, { state: 'SUCCEEDED', endTime: t.clock.now() });
  t.store.update(name, { state: 'SUCCEEDED' });
});

test('prints the lines of all tasks, each with its time, place and severity', async () => {
  const at = '1970-01-01T00:00:00.000Z';
  expect(await run('@latest')).toEqual({
    code: 0,
    err: '',
    out: [
      `${at} 0/0 DEFAULT   started`,
      `${at} 0/0 WARNING   {"level":"warn","msg":"low"}`,
      `${at} 1/0 ERROR     no\\x1b[2J\tdisk`,
      `${at} 1/1 DEFAULT   again`,
      '',
    ].join('\n'),
  });
  expect((await run(name, '--follow')).out).toBe((await run(name)).out);
});

test.each([
  [
    ['--task', '1'],
    ['no\u001b[2J\tdisk\r', 'again'],
  ],
  [['--task', '1', '--attempt', '1'], ['again']],
  [
    ['--tail', '2'],
    ['no\u001b[2J\tdisk\r', 'again'],
  ],
  [['--grep', 'LOW'], ['{"level":"warn","msg":"low"}']],
  [
    ['--severity', 'warning'],
    ['{"level":"warn","msg":"low"}', 'no\u001b[2J\tdisk\r'],
  ],
  [['--stream', 'stderr'], ['no\u001b[2J\tdisk\r']],
  [['--since', '2026-01-01T00:00:00Z'], []],
  [['--follow', '--grep', 'again'], ['again']],
])('%j chooses %j', async (args, wanted) => {
  const { code, out } = await run(name, '-o', 'json', ...args);
  expect(code).toBe(0);
  const lines = out
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { text: string }).text);
  expect(lines).toEqual(wanted);
});

test.each([
  [['--tail', '0'], 'at least 1'],
  [['--tail', '10001'], 'at most 10000'],
  [['--severity', 'loud'], 'one of DEFAULT, DEBUG'],
  [['--stream', 'stdin'], 'stdout, stderr'],
])('%j is a mistake of the command line', async (args, message) => {
  const { code, err } = await run(name, ...args);
  expect([code, err.includes(message)]).toEqual([2, true]);
});
