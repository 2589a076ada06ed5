import { beforeEach, expect, test } from 'vitest';
import type { CliIo } from '../../src/commands/io.ts';
import type { Fetch } from '../../src/core/fetch.ts';
import { cli } from '../support/cli-runner.ts';
import type { CliRun } from '../support/cli-runner.ts';
import { createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';

let t: TestApp;
let old: string;
beforeEach(async () => {
  t = createTestApp();
  await t.call('POST', '/api/v1/jobs/other:run');
  old = t.store.executions[0]?.name ?? '';
  t.store.update(old, { state: 'FAILED' });
});

const toApp: Fetch = (url, init) => t.app.fetch(new Request(url, init), { remoteAddress: '127.0.0.1' });
const env = { TAPPET_URL: 'http://gateway.test', TAPPET_TOKEN: ROOT_TOKEN };
const run = (args: readonly string[], over: Partial<CliIo> = {}): Promise<CliRun> =>
  cli(['executions', ...args], { env, fetch: toApp, ...over });
const ending = (state: 'SUCCEEDED' | 'FAILED') => async (): Promise<void> =>
  void t.store.update(t.store.executions[0]?.name ?? '', { state, message: 'as it went' });

test('executions rerun starts a new execution, and says of which', async () => {
  const { code, out } = await run(['rerun', '@latest', '-o', 'json']);
  expect(code).toBe(0);
  const again = JSON.parse(out) as { name: string };
  expect(again).toMatchObject({ rerunOf: old, job: 'other', state: 'PENDING' });
  expect(again.name).not.toBe(old);
  expect((await run(['list'])).out).toContain(`re-run of ${old}`);
});

test('executions rerun --wait ends with it: 0, 1, or 124', async () => {
  const good = await run(['rerun', old, '--wait'], { pause: ending('SUCCEEDED') });
  expect(good.code).toBe(0);
  expect(good.err).toMatch(/^Started other-\w+: 1 of 3 tasks\.\nother-\w+: SUCCEEDED: as it went\n$/);
  expect((await run(['rerun', old, '--wait'], { pause: ending('FAILED') })).code).toBe(1);
  const late = await run(['rerun', old, '--wait', '--wait-timeout', '1s']);
  expect(late.code).toBe(124);
  expect(late.err).toContain('tappet executions cancel other-');
});

test('executions rerun of what succeeded says what to do instead', async () => {
  t.store.update(old, { state: 'SUCCEEDED' });
  const { code, err } = await run(['rerun', old]);
  expect(code).not.toBe(0);
  expect(err).toContain('there is nothing to run again');
  expect(err).toContain('tappet jobs run other');
});
