import { expect, test } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import { createTestApp } from '../support/http-fakes.ts';

const list = async () => [{ engine: '/run/away.sock', openAttempts: 2 }];

test('engines with open attempts are listed by their names', async () => {
  const t = createTestApp({ engines: { list, forget: async () => 0 } });
  const answer = await t.call('GET', '/api/v1/engines');
  expect(await answer.json()).toEqual({ engines: [{ name: '/run/away.sock', openAttempts: 2 }] });
});

test('forget says who asked, tells how much ended, and has the executor look', async () => {
  const asked: string[][] = [];
  const t = createTestApp({ engines: { list, forget: async (...words) => asked.push(words) + 1 } });
  const body = { engine: '/run/away.sock' };
  const answer = await t.call('POST', '/api/v1/engines:forget', { body });
  expect(await answer.json()).toEqual({ engine: '/run/away.sock', endedAttempts: 2 });
  expect(asked).toEqual([['/run/away.sock', 'root']]);
  expect(t.works()).toBe(1);
});

test.each([[{}], [{ engine: '' }], [{ engine: 1 }], [{ engine: '/a', force: true }]])(
  'forget of %j is a mistake, and forgets nothing',
  async (body) => {
    const forgotten: string[] = [];
    const t = createTestApp({ engines: { list, forget: async (engine) => forgotten.push(engine) } });
    expect((await t.call('POST', '/api/v1/engines:forget', { body })).status).toBe(400);
    expect(forgotten).toEqual([]);
  },
);

test('one that may not be gone is a conflict, with its reason', async () => {
  const refusal = new TappetError('CONFLICT', 'It answers.', { fix: 'Look.' });
  const t = createTestApp({ engines: { list, forget: () => Promise.reject(refusal) } });
  const answer = await t.call('POST', '/api/v1/engines:forget', { body: { engine: '/a' } });
  expect(answer.status).toBe(409);
  expect(await answer.json()).toMatchObject({ code: 'CONFLICT', detail: 'It answers.', fix: 'Look.' });
  expect(t.works()).toBe(0);
});

test('listing is not enough to forget', async () => {
  const t = createTestApp({ engines: { list, forget: async () => 0 } });
  const headers = { authorization: 'Bearer tappet.engines.list' };
  expect((await t.call('GET', '/api/v1/engines', { headers })).status).toBe(200);
  const body = { engine: '/run/away.sock' };
  expect((await t.call('POST', '/api/v1/engines:forget', { headers, body })).status).toBe(403);
});
