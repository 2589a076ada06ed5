import { expect, test } from 'vitest';
import type { FireParams } from '../../src/http/deps.ts';
import { createTestApp } from '../support/http-fakes.ts';

test('shows a trigger as it was written', async () => {
  const { call } = createTestApp();
  expect(await (await call('GET', '/api/v1/triggers/nightly')).json()).toMatchObject({
    name: 'nightly',
    uid: 'uid-nightly',
    generation: 2,
    origin: 'trigger/nightly',
    source: { kind: 'cron' },
    when: null,
    run: { job: 'hello' },
    status: null,
  });
  expect(await (await call('GET', '/api/v1/triggers')).json()).toMatchObject({
    triggers: [{ name: 'nightly' }],
  });
  expect((await call('GET', '/api/v1/triggers/none')).status).toBe(404);
});

test('tells of a trigger what its source tells: how much was there before its first start', async () => {
  const { call } = createTestApp({
    triggerStatus: ({ name, origin }) =>
      `${origin} ${name}` === 'trigger/nightly nightly'
        ? { firstStart: 1000, existing: { skipped: 7, complete: false } }
        : undefined,
  });
  const status = { firstStartTime: '1970-01-01T00:00:01.000Z', existing: { skipped: 7, complete: false } };
  expect(await (await call('GET', '/api/v1/triggers/nightly')).json()).toMatchObject({ status });
  expect(await (await call('GET', '/api/v1/triggers')).json()).toMatchObject({ triggers: [{ status }] });
});

test('next times start at `from`, or now', async () => {
  const { call } = createTestApp();
  expect(await (await call('GET', '/api/v1/triggers/nightly/next?count=2')).json()).toEqual({
    times: ['2026-01-01T00:01:00.000Z', '2026-01-01T00:02:00.000Z'],
  });
  const later = await call('GET', '/api/v1/triggers/nightly/next?count=1&from=2027-01-01T00:00:00Z');
  expect(await later.json()).toEqual({ times: ['2027-01-01T00:01:00.000Z'] });
  for (const query of ['count=0', 'from=tomorrow', 'from=5']) {
    expect((await call('GET', `/api/v1/triggers/nightly/next?${query}`)).status).toBe(400);
  }
});

test('fires with data, the key and the principal', async () => {
  const fired: [string, FireParams][] = [];
  const { call } = createTestApp({
    fire: async (trigger, params) => {
      fired.push([trigger, params]);
      return { uid: 'u1', outcome: undefined };
    },
  });
  const response = await call('POST', '/api/v1/triggers/nightly:fire', {
    body: { data: { a: [1, null] } },
    headers: { 'idempotency-key': 'k1' },
  });
  expect(response.status).toBe(200);
  expect(await response.json()).toEqual({ event: 'u1', decided: false, decisions: [], executions: {} });
  expect(fired).toMatchObject([
    ['nightly', { data: { a: [1, null] }, idempotencyKey: 'k1', principal: { name: 'root' } }],
  ]);
  await call('POST', '/api/v1/triggers/nightly:fire');
  expect(fired[1]?.[1]).toMatchObject({ data: undefined, idempotencyKey: undefined });
  expect((await call('POST', '/api/v1/triggers/none:fire')).status).toBe(404);
  const long = await call('POST', '/api/v1/triggers/nightly:fire', {
    headers: { 'idempotency-key': 'k'.repeat(256) },
  });
  expect(await long.json()).toMatchObject({ status: 400, errors: [{ path: 'Idempotency-Key' }] });
});

test('events come without data in lists, and whole with every decision alone', async () => {
  const { call, store } = createTestApp();
  store.events.push({
    uid: 'u1',
    origin: 'trigger/nightly',
    trigger: 'nightly',
    event: {
      specversion: '1.0',
      id: 'e1',
      source: '/x',
      type: 't',
      time: '2026-01-01T00:00:00Z',
      extensions: { traceparent: 'tp' },
      data: { big: 'x' },
    },
    claims: { sub: 'me' },
    verdict: null,
    receiveTime: 1000,
    decideTime: 2000,
    duplicates: 1,
  });
  store.decisions.push({
    event: 'u1',
    trigger: 'nightly',
    outcome: 'filtered',
    reason: 'size was 0',
    clause: 'event.data.size > 0',
    values: { 'event.data.size': 0 },
    execution: null,
    decideTime: 2000,
  });
  const list = (await (await call('GET', '/api/v1/events?trigger=nightly')).json()) as { events: object[] };
  expect(list.events).toEqual([
    {
      uid: 'u1',
      origin: 'trigger/nightly',
      trigger: 'nightly',
      event: {
        specversion: '1.0',
        id: 'e1',
        source: '/x',
        type: 't',
        time: '2026-01-01T00:00:00Z',
        traceparent: 'tp',
      },
      receiveTime: '1970-01-01T00:00:01.000Z',
      decideTime: '1970-01-01T00:00:02.000Z',
      duplicates: 1,
    },
  ]);
  expect(await (await call('GET', '/api/v1/events/u1')).json()).toMatchObject({
    event: { data: { big: 'x' } },
    claims: { sub: 'me' },
    decisions: [
      { outcome: 'filtered', clause: 'event.data.size > 0', decideTime: '1970-01-01T00:00:02.000Z' },
    ],
  });
  expect((await call('GET', '/api/v1/events/none')).status).toBe(404);
});
