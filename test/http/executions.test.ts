import { beforeEach, expect, test } from 'vitest';
import { createTestApp } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';

let t: TestApp;
let name: string;
beforeEach(async () => {
  t = createTestApp();
  const response = await t.call('POST', '/api/v1/jobs/other:run');
  ({ name } = (await response.json()) as { name: string });
});

test('lists executions with filters and pages', async () => {
  await t.call('POST', '/api/v1/jobs/hello:run');
  const names = async (query: string): Promise<unknown> => {
    const { executions } = (await (await t.call('GET', `/api/v1/executions?${query}`)).json()) as Listed;
    return executions.map(({ job }) => job);
  };
  expect(await names('')).toEqual(['hello', 'other']);
  expect(await names('job=other')).toEqual(['other']);
  expect(await names('state=RUNNING')).toEqual([]);
  const page = (await (await t.call('GET', '/api/v1/executions?pageSize=1')).json()) as Listed;
  expect(page.executions).toHaveLength(1);
  expect(await names(`pageToken=${page.nextPageToken}`)).toEqual(['other']);
});
interface Listed {
  executions: { job: string }[];
  nextPageToken: string;
}

test('an unknown state is refused with the field', async () => {
  const response = await t.call('GET', '/api/v1/executions?state=DONE');
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ errors: [{ path: 'state' }] });
});

test('cancels once, and says who did', async () => {
  const response = await t.call('POST', `/api/v1/executions/${name}:cancel`);
  expect(await response.json()).toMatchObject({ state: 'CANCELLED', message: 'Cancelled by root.' });
  expect(t.stops()).toBe(1);
  expect((await t.call('POST', `/api/v1/executions/${name}:cancel`, { body: {} })).status).toBe(200);
  expect(t.stops()).toBe(1);
  expect((await t.call('POST', '/api/v1/executions/none:cancel')).status).toBe(404);
});

test('deletes what has ended, and nothing else', async () => {
  const running = await t.call('DELETE', `/api/v1/executions/${name}`);
  expect(running.status).toBe(409);
  expect(await running.json()).toMatchObject({ code: 'CONFLICT', fix: expect.stringContaining('Cancel') });
  t.store.update(name, { state: 'SUCCEEDED' });
  expect((await t.call('DELETE', `/api/v1/executions/${name}`)).status).toBe(200);
  expect((await t.call('GET', `/api/v1/executions/${name}`)).status).toBe(404);
});

test('shows tasks, those that never started too, and the last result of one', async () => {
  t.store.setTask(name, 1, { state: 'RUNNING', attempts: 2, retries: 1 });
  t.store.setAttempt(
    { execution: name, index: 1, attempt: 0 },
    { state: 'FAILED', reason: 'NON_ZERO_EXIT_CODE', exitCode: 3, message: 'exited with 3' },
  );
  t.store.setAttempt({ execution: name, index: 1, attempt: 1 }, { state: 'RUNNING' });
  const list = await (await t.call('GET', `/api/v1/executions/${name}/tasks`)).json();
  expect(list).toMatchObject({
    tasks: [{ state: 'PENDING' }, { state: 'RUNNING', retried: 1 }, { index: 2 }],
  });
  const task = await (await t.call('GET', `/api/v1/executions/${name}/tasks/1`)).json();
  expect(task).toMatchObject({
    attempts: 2,
    lastAttemptResult: { exitCode: 3, reason: 'NON_ZERO_EXIT_CODE', message: 'exited with 3' },
  });
  const attempts = await (await t.call('GET', `/api/v1/executions/${name}/tasks/1/attempts`)).json();
  expect(attempts).toMatchObject({
    attempts: [
      { attempt: 0, exitCode: 3 },
      { attempt: 1, state: 'RUNNING', endTime: null },
    ],
  });
});

test.each(['3', '-1', '01', 'x', '1e0', '99999999999999999999'])('task %s does not exist', async (index) => {
  expect((await t.call('GET', `/api/v1/executions/${name}/tasks/${index}`)).status).toBe(404);
});
