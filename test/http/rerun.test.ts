import { beforeEach, expect, test } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import type { Client } from '../../src/client/client.ts';
import type { AttemptResult } from '../../src/core/execution.ts';
import type { SqliteStore } from '../../src/stores/sqlite/store.ts';
import { createTestApp, jobDefinition, ROOT_TOKEN, testConfig } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { SeededIds } from '../support/seeded-ids.ts';
import { memoryStore } from '../support/migrated.ts';

/** The API over the store that the product runs with; job "etl" has three tasks and says what becomes of failures. */
let t: TestApp;
let store: SqliteStore;
let client: Client;
const RETRY = { backoff: 'constant', initialMs: 5000, factor: 2, maxMs: 60_000, jitter: 'full' } as const;

beforeEach(async () => {
  const clock = new ManualClock();
  const ids = new SeededIds();
  store = memoryStore(clock, ids);
  await store.open();
  const spec = { taskCount: 3, maxRetries: 0, retry: RETRY, maxFailedTasks: 2, deadlineMs: 3_600_000 };
  const config = { ...testConfig(), jobs: new Map([['etl', jobDefinition('etl', spec)]]) };
  t = createTestApp({ store, clock, ids, config: () => config });
  const app = (url: string, init?: RequestInit): Promise<Response> =>
    t.app.fetch(new Request(url, init), { remoteAddress: '127.0.0.1' });
  client = createClient({ url: 'http://gateway.test', token: ROOT_TOKEN, fetch: app });
});

/** Runs the tasks of an execution one after the other, with these exit codes. */
async function ran(name: string, codes: readonly number[]): Promise<void> {
  const lease = await store.acquireEngine('docker', 'me', 60_000);
  const epoch = lease.held ? lease.epoch : -1;
  for (const exitCode of codes) {
    const limits = { engine: 'docker', epoch, limit: 1, maxParallelism: 10 };
    const [claim] = (await store.claimAttempts(limits)).claims;
    if (claim?.attempt.execution !== name) throw new Error('another execution was next');
    const { execution, index, attempt } = claim.attempt;
    const key = { execution, index, attempt };
    const now = 1_800_000_000_000;
    await store.attemptStarted({ key, epoch, startTime: now, imageDigest: null });
    const how =
      exitCode === 0 ? (['SUCCEEDED', 'EXITED_ZERO'] as const) : (['FAILED', 'NON_ZERO_EXIT_CODE'] as const);
    const result: AttemptResult = {
      state: how[0],
      reason: how[1],
      message: '',
      exitCode,
      signal: null,
      endTime: now,
    };
    await store.finishAttempt({ key, epoch, result, logBytes: null });
  }
}

test('a re-run is a new execution of what failed, with the cause and spec of the old one', async () => {
  const old = await client.jobs.run('etl', { overrides: { args: ['--day', '1'] } });
  await ran(old.name, [0, 1, 0]);
  const works = t.works();
  const again = await client.executions.rerun(old.name);
  expect(t.works()).toBe(works + 1);
  expect(again).toMatchObject({
    job: 'etl',
    state: 'PENDING',
    rerunOf: old.name,
    cause: { principal: 'root' },
    creator: 'root',
    taskCount: 3,
    tasksToRun: 1,
    spec: old.spec,
  });
  expect(again.name).toMatch(/^etl-[0-9a-z]{10}$/);
  expect((await client.tasks.list(again.name)).tasks.map(({ index }) => index)).toEqual([1]);
  await expect(client.tasks.get(again.name, 0)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await ran(again.name, [0]);
  expect(await client.executions.get(again.name)).toMatchObject({ state: 'SUCCEEDED', succeededCount: 1 });
  expect((await client.executions.get(old.name)).state).toBe('FAILED');
});

test('there is nothing to run again of what goes on, or of what succeeded', async () => {
  const { name } = await client.jobs.run('etl');
  const path = `/api/v1/executions/${name}:rerun`;
  const early = await t.call('POST', path);
  expect(early.status).toBe(409);
  expect(await early.json()).toMatchObject({
    code: 'CONFLICT',
    detail: `The execution "${name}" has not ended yet.`,
    fix: 'Wait for its end, or cancel it; then run again what did not succeed.',
  });
  await ran(name, [0, 0, 0]);
  const late = await t.call('POST', path, { body: {} });
  expect(late.status).toBe(409);
  expect(await late.json()).toMatchObject({
    detail: `Every task of "${name}" has succeeded: there is nothing to run again.`,
    fix: 'To run all of it again: tappet jobs run etl',
  });
  expect((await t.call('POST', '/api/v1/executions/none:rerun')).status).toBe(404);
  expect((await t.call('POST', path, { body: { args: [] } })).status).toBe(400);
});

test('who may not run jobs may not run them again', async () => {
  const { name } = await client.jobs.run('etl');
  await ran(name, [0, 1, 0]);
  const as = (permissions: string): Promise<Response> =>
    t.call('POST', `/api/v1/executions/${name}:rerun`, {
      headers: { authorization: `Bearer ${permissions}` },
    });
  expect((await as('run.executions.get,run.executions.cancel')).status).toBe(403);
  const response = await as('run.jobs.run');
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ creator: 'some', cause: { principal: 'root' } });
});

test('the API shows what becomes of failures, and when the deadline is', async () => {
  const { template } = await client.jobs.get('etl');
  const retry = { backoff: 'constant', initial: '5s', factor: 2, max: '1m', jitter: 'full' };
  expect(template).toMatchObject({ retry, maxFailedTasks: 2, deadline: '1h' });
  expect(template).not.toHaveProperty('deadlineMs');
  const { name } = await client.jobs.run('etl');
  expect(await client.executions.get(name)).toMatchObject({
    rerunOf: null,
    deadline: '2026-01-01T01:00:00.000Z',
  });
});

test('the page says what an execution runs again, who asked, and when its deadline is', async () => {
  const old = await client.jobs.run('etl');
  await ran(old.name, [0, 1, 0]);
  const { name } = await client.executions.rerun(old.name);
  const visit = async (path: string, cookie = ''): Promise<Response> =>
    t.app.fetch(new Request(`http://gateway.test:8080${path}`, { headers: { cookie } }), {
      remoteAddress: '127.0.0.1',
    });
  const link = await visit(`/?code=${t.deps.sessions.newCode().code}`);
  const cookie = (link.headers.get('set-cookie') ?? '').split(';', 1)[0];
  const text = async (path: string): Promise<string> =>
    (await (await visit(path, cookie)).text()).replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');
  const page = await text(`/executions/${name}`);
  expect(page).toContain(`Runs again 1 of 3 tasks of ${old.name} , as root asked`);
  expect(page).toContain('Tasks 0 of 1 done');
  expect(page).toContain('Deadline 2026-01-01 01:00:00 UTC in 60 min');
  expect(await text('/')).toContain(`re-run of ${old.name} · root asked for it`);
});
