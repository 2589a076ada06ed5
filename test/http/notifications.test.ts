import { expect, test } from 'vitest';
import type { Notification } from '../../src/core/notify.ts';
import { createTestApp } from '../support/http-fakes.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const row = (id: string, over: Partial<Notification> = {}): Notification => ({
  id,
  receiver: 'ops',
  kind: 'failed',
  execution: 'hello-1',
  job: 'hello',
  state: 'PENDING',
  attempts: 1,
  createTime: NOW,
  nextTime: NOW + 5000,
  endTime: null,
  lastStatus: 503,
  lastError: 'it answered 503',
  ...over,
});

test('notifications are listed, with filters, and times as text', async () => {
  const { call, store } = createTestApp();
  store.notifications.push(row('b', { state: 'DELIVERED', nextTime: null, endTime: NOW }), row('a'));
  const list = async (query: string): Promise<unknown> =>
    (await call('GET', `/api/v1/notifications${query}`)).json();
  expect(await list('?state=PENDING')).toEqual({
    notifications: [
      { ...row('a'), createTime: '2026-01-01T00:00:00.000Z', nextTime: '2026-01-01T00:00:05.000Z' },
    ],
    nextPageToken: '',
  });
  expect(await list('?execution=hello-1&receiver=ops&pageSize=1')).toMatchObject({
    notifications: [{ id: 'b', endTime: '2026-01-01T00:00:00.000Z' }],
    nextPageToken: '1',
  });
  expect((await call('GET', '/api/v1/notifications?state=LOST')).status).toBe(400);
});

test('an execution has its notifications with it, where somebody is told of it', async () => {
  const { call, store, deps } = createTestApp();
  const notify = { onFailure: ['ops'], onRecovery: [], onCompletion: [] };
  const job = deps.config().jobs.get('hello');
  if (job === undefined) throw new Error('there is no such job');
  const made = async (spec: object): Promise<string> => {
    const plan = deps.planExecution({
      job: { ...job, spec: { ...job.spec, ...spec } },
      generation: 1,
      overrides: {},
      cause: { kind: 'api', principal: 'me' },
      ids: deps.ids,
      limits: deps.config().server.limits,
    });
    return (await store.createExecution(plan)).name;
  };
  const told = await made({ notify });
  const quiet = await made({});
  store.notifications.push(row('a', { execution: told }));
  const get = async (name: string): Promise<unknown> =>
    (await call('GET', `/api/v1/executions/${name}`)).json();
  expect(await get(told)).toMatchObject({
    spec: { notify },
    notifications: [{ id: 'a', state: 'PENDING', attempts: 1, lastError: 'it answered 503' }],
  });
  expect(await get(quiet)).not.toHaveProperty('notifications');
});
