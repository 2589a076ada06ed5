import { expect, test } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import { createTestApp } from '../support/http-fakes.ts';

test('lists jobs by name, page by page', async () => {
  const { call } = createTestApp();
  const first = (await (await call('GET', '/api/v1/jobs?pageSize=1')).json()) as Listed;
  expect(first.jobs.map(({ name }) => name)).toEqual(['hello']);
  const second = (await (
    await call('GET', `/api/v1/jobs?pageSize=1&pageToken=${first.nextPageToken}`)
  ).json()) as Listed;
  expect(second.jobs.map(({ name }) => name)).toEqual(['other']);
  expect(second.nextPageToken).toBe('');
});
test.each(['%ff', 'nowhere', '!', 'aGVsbG8='])('the page token %s is from no page: 400', async (token) => {
  const { call } = createTestApp();
  const response = await call('GET', `/api/v1/jobs?pageToken=${token}`);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ errors: [{ path: 'pageToken' }] });
});

interface Listed {
  jobs: { name: string }[];
  nextPageToken: string;
}

test('shows a job in the words it was written in', async () => {
  const { call } = createTestApp();
  expect(await (await call('GET', '/api/v1/jobs/hello')).json()).toEqual({
    name: 'hello',
    uid: 'uid-hello',
    generation: 2,
    etag: 'etag-hello',
    labels: { team: 'x' },
    annotations: {},
    createTime: '1970-01-01T00:00:00.000Z',
    updateTime: '1970-01-01T00:00:01.000Z',
    creator: 'config',
    template: {
      image: 'busybox',
      args: ['true'],
      env: { A: '1' },
      volumes: [],
      cpu: 1,
      memory: '512Mi',
      taskCount: 1,
      parallelism: 1,
      maxRetries: 3,
      timeout: '10m',
      gracePeriod: '30s',
      retention: '30d',
      maxLogBytes: '100Mi',
    },
  });
});

test('runs a job, wakes the executor and answers with the execution', async () => {
  const { call, works, store } = createTestApp();
  const response = await call('POST', '/api/v1/jobs/hello:run');
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({
    name: expect.stringMatching(/^hello-[0-9a-z]{10}$/),
    job: 'hello',
    state: 'PENDING',
    generation: 2,
    cause: { principal: 'root' },
    creator: 'root',
    spec: { image: 'busybox' },
    taskCount: 1,
    runningCount: 0,
  });
  expect(store.executions).toHaveLength(1);
  expect(works()).toBe(1);
});

test('overrides reach the execution', async () => {
  const { call } = createTestApp();
  const overrides = { env: { B: '2' }, args: ['echo', 'x'], taskCount: 4, timeout: '90s' };
  expect(await (await call('POST', '/api/v1/jobs/hello:run', { body: { overrides } })).json()).toMatchObject({
    taskCount: 4,
    spec: { env: { A: '1', B: '2' }, args: ['echo', 'x'], taskCount: 4, timeout: '1m30s' },
  });
});

test('overrides need their own permission, an empty set of them does not', async () => {
  const { call } = createTestApp();
  const headers = { authorization: 'Bearer run.jobs.run' };
  const denied = await call('POST', '/api/v1/jobs/hello:run', {
    headers,
    body: { overrides: { taskCount: 2 } },
  });
  expect(denied.status).toBe(403);
  expect(await denied.json()).toMatchObject({ detail: expect.stringContaining('run.jobs.runWithOverrides') });
  expect((await call('POST', '/api/v1/jobs/hello:run', { headers, body: { overrides: {} } })).status).toBe(
    200,
  );
});

test('validateOnly shows the execution and stores nothing', async () => {
  const { call, store, works } = createTestApp();
  const response = await call('POST', '/api/v1/jobs/hello:run', { body: { validateOnly: true } });
  expect(await response.json()).toMatchObject({ job: 'hello', state: 'PENDING' });
  expect(store.executions).toEqual([]);
  expect(works()).toBe(0);
});

test.each([
  [{ overrides: { taskCount: 'x' } }, 'overrides.taskCount'],
  [{ overrides: { taskCount: 0 } }, 'overrides.taskCount'],
  [{ overrides: { taskCount: 99_999 } }, 'overrides.taskCount'],
  [{ overrides: { timeout: '5 parsecs' } }, 'overrides.timeout'],
  [{ overrides: { timeout: 5 } }, 'overrides.timeout'],
  [{ overrides: { env: { LD_PRELOAD: '/x.so' } } }, 'overrides.env.LD_PRELOAD'],
  [{ overrides: { env: { A: 1 } } }, 'overrides.env.A'],
  [{ overrides: { args: 'x' } }, 'overrides.args'],
  [{ overrides: { args: ['x', null] } }, 'overrides.args[1]'],
  [{ overrides: { args: ['x', 'a\0b'] } }, 'overrides.args[1]'],
  [{ overrides: { image: 'evil' } }, 'overrides.image'],
  [{ validateonly: true }, 'validateonly'],
  [[], ''],
])('refuses the body %j and names the field', async (body, path) => {
  const { call, store } = createTestApp();
  const response = await call('POST', '/api/v1/jobs/hello:run', { body });
  expect(response.status).toBe(400);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  expect(await response.json()).toMatchObject({ code: 'INVALID_ARGUMENT', status: 400, errors: [{ path }] });
  expect(store.executions).toEqual([]);
});

test.each([
  ['not JSON', '{', 'application/json', 400],
  ['not UTF-8', new Uint8Array([0x22, 0xff, 0x22]), 'application/json', 400],
  ['called a form', 'a=b', 'application/x-www-form-urlencoded', 415],
  ['called nothing', '{}', '', 415],
  ['nested too deep', '['.repeat(2000) + ']'.repeat(2000), 'application/json', 400],
  ['a number too large', '{"x":[1e400]}', 'application/json', 400],
  ['too large', JSON.stringify({ overrides: { args: ['x'.repeat(5000)] } }), 'application/json', 413],
])('refuses a body that is %s', async (_what, body, type, status) => {
  const { app, store } = createTestApp();
  const request = new Request('http://gateway.test/api/v1/jobs/hello:run', {
    method: 'POST',
    body,
    headers: { authorization: 'Bearer root-token', 'content-type': type },
  });
  const response = await app.fetch(request, { remoteAddress: '::1' });
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({
    status,
    type: expect.stringMatching(/^urn:tappet:error:[A-Z_]+$/),
  });
  expect(store.executions).toEqual([]);
});

test('a store that refuses is 503 with Retry-After', async () => {
  const { call, store, works } = createTestApp();
  store.failure = new TappetError('STORE_UNAVAILABLE', 'The disk is full.', { retryAfter: 7 });
  const response = await call('POST', '/api/v1/jobs/hello:run');
  expect(response.status).toBe(503);
  expect(response.headers.get('retry-after')).toBe('7');
  expect(works()).toBe(0);
});

test('an unexpected error is 500 with an id, and the stack stays in the log', async () => {
  const { call, store, logged } = createTestApp();
  store.failure = new TypeError('secret detail at /home/x');
  const response = await call('POST', '/api/v1/jobs/hello:run');
  expect(response.status).toBe(500);
  const text = await response.text();
  const { instance } = JSON.parse(text) as { instance: string };
  expect(text).not.toMatch(/secret detail|\.ts:|\bat /);
  expect(logged).toHaveLength(1);
  expect(logged[0]).toContain(instance);
  expect(logged[0]).toContain('secret detail');
});

test.each([
  ['GET', '/api/v1/jobs/none'],
  ['POST', '/api/v1/jobs/none:run'],
  ['POST', '/api/v1/jobs/hello:stop'],
])('%s %s is 404', async (method, path) => {
  const response = await createTestApp().call(method, path);
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ code: 'NOT_FOUND' });
});

test.each(['pageSize=0', 'pageSize=1001', 'pageSize=x', 'page=1', 'pageSize=1&pageSize=2'])(
  'refuses the query %s',
  async (query) => {
    const response = await createTestApp().call('GET', `/api/v1/jobs?${query}`);
    expect(response.status).toBe(400);
    const { errors } = (await response.json()) as { errors: { path: string; message: string }[] };
    expect(errors[0]?.path).toMatch(/^page/);
  },
);

test.each([
  [{ overrides: { taskCount: 0 } }, 'overrides.taskCount: must be at least 1.'],
  [{ overrides: { args: 'x' } }, 'overrides.args: must be a list, not a text.'],
  [{ overrides: { env: { A: null } } }, 'overrides.env.A: must be a text, but nothing stands there.'],
  [{ overrides: { timeout: 5 } }, 'overrides.timeout: must have a unit: write "5s".'],
  [{ validateonly: true }, 'validateonly: unknown key "validateonly": did you mean "validateOnly"?'],
])('says what is wrong with %j in plain words', async (body, detail) => {
  const response = await createTestApp().call('POST', '/api/v1/jobs/hello:run', { body });
  expect(await response.json()).toMatchObject({ detail });
});
