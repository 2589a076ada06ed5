import { expect, test } from 'vitest';
import { PERMISSIONS } from '../../src/core/permissions.ts';
import type { DeclaredRoute } from '../../src/http/permissions.ts';
import { createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';

const real = (path: string): string =>
  path
    .replace(/:name\{\[\^\/\]\+(:\w+)\}/, 'hello$1')
    .replace(/:name(?:\{\[\^\/:\]\+\})?/, 'hello')
    .replace(':trigger', 'nightly')
    .replace(/:\w+$/, (word) => (word === ':index' ? '0' : word))
    .replace(':index', '0')
    .replace(':uid', 'u1');

/** Other spellings of a path, by which other gateways were entered. */
function variants(path: string): string[] {
  return [
    path,
    `/${path}`,
    path.replaceAll('/', '//'),
    `${path}/`,
    `${path}/.`,
    path.toUpperCase(),
    path.replace('/api', '/Api'),
    path.replaceAll('/', '%2f').replace('%2f', '/'),
    path.replace('/v1/', '/v1%2F'),
    `${path};a=b`,
    `${path}%00`,
    `${path}?x=/livez`,
    `/livez/..${path}`,
    `/livez/..;${path}`,
    `${path}%2f..%2f..%2flivez`,
    `/hooks/..%2f${path}`,
    `${path}/configs`,
    `${path}.json`,
  ];
}

test('every mounted route is declared with its access', () => {
  const { app } = createTestApp();
  const declared = app.routes.map(({ method, path }) => `${method} ${path}`).sort();
  const mounted = app.mounted.map(({ method, path }) => `${method} ${path}`).sort();
  expect(mounted).toEqual(declared);
  expect(mounted.length).toBeGreaterThan(18);
});

test('only health is open and only hooks answer for themselves', () => {
  const { app } = createTestApp();
  const special = app.routes.filter(({ access }) => access === 'open' || access === 'source');
  expect(special.map(({ path, access }) => `${path} ${access}`)).toEqual([
    '/hooks/:trigger source',
    '/notify/storage/:connection source',
    '/livez open',
    '/readyz open',
  ]);
});

test.each(createTestApp().app.routes.filter(({ access }) => access !== 'open'))(
  'without a token $method $path is 401 in every spelling',
  async ({ method, path }) => {
    const { app } = createTestApp();
    for (const spelling of variants(real(path))) {
      for (const headers of [
        {},
        { authorization: 'Basic cm9vdDpyb290' },
        { authorization: 'Bearer wrong' },
      ]) {
        const request = new Request(`http://gateway.test${spelling}`, {
          method: method === 'ALL' ? 'POST' : method,
          headers: headers as Record<string, string>,
        });
        const response = await app.fetch(request, { remoteAddress: '127.0.0.1' });
        expect({ spelling, status: response.status }).toEqual({ spelling, status: 401 });
        expect(response.headers.get('www-authenticate')).toBe('Bearer');
      }
    }
  },
);

const ofApi = ({ access, page }: DeclaredRoute): boolean =>
  page === undefined && PERMISSIONS.some((p) => p === access);

test.each(createTestApp().app.routes.filter(ofApi))(
  '$method $path asks for $access and takes no other permission',
  async ({ method, path, access }) => {
    const others = PERMISSIONS.filter((permission) => permission !== access).join(',');
    const { call } = createTestApp();
    const denied = await call(method, real(path), { headers: { authorization: `Bearer ${others}` } });
    expect(denied.status).toBe(403);
    expect(await denied.json()).toMatchObject({
      code: 'PERMISSION_DENIED',
      detail: expect.stringContaining(access),
    });
    const allowed = await call(method, real(path), { headers: { authorization: `Bearer ${access}` } });
    // 400 where it asks for a body.
    expect([200, 400, 404]).toContain(allowed.status);
  },
);

test('a path that does not exist is 404 with a token and 401 without', async () => {
  const { call } = createTestApp();
  expect((await call('GET', '/api/v1/nothing')).status).toBe(404);
  expect((await call('GET', '/api/v1/nothing', { headers: { authorization: '' } })).status).toBe(401);
});

test.each([
  ['PUT', '/api/v1/jobs', 'GET, HEAD'],
  ['POST', '/api/v1/jobs/hello', 'GET, HEAD'],
  ['GET', '/api/v1/jobs/hello:run', 'POST'],
  ['HEAD', '/api/v1/executions/x:cancel', 'POST'],
  ['DELETE', '/api/v1/executions/x:cancel', 'POST'],
  ['PATCH', '/api/v1/executions/x', 'GET, HEAD, DELETE'],
  ['OPTIONS', '/api/v1/executions/x/tasks/0/logs', 'GET, HEAD'],
  ['PROPFIND', '/api/v1/events', 'GET, HEAD'],
  ['GET', '/api/v1/triggers/nightly:fire', 'POST'],
  ['POST', '/livez', 'GET, HEAD'],
  ['DELETE', '/readyz', 'GET, HEAD'],
])('%s %s is 405 with what is allowed, for any token', async (method, path, allow) => {
  const { call } = createTestApp();
  for (const token of [ROOT_TOKEN, 'tappet.status.get']) {
    const { status, headers } = await call(method, path, { headers: { authorization: `Bearer ${token}` } });
    expect({ status, allow: headers.get('allow') }).toEqual({ status: 405, allow });
    expect(headers.get('content-type')).toBe('application/problem+json');
  }
});

test('a wrong method without a token is 401 word for word like a path that does not exist', async () => {
  const { call } = createTestApp();
  const answer = async (path: string) => {
    const response = await call('PUT', path, { headers: { authorization: '' } });
    return { status: response.status, headers: [...response.headers], body: await response.text() };
  };
  const unknown = await answer('/api/v1/nothing');
  expect(unknown.status).toBe(401);
  expect(await answer('/api/v1/jobs')).toEqual(unknown);
  expect(await answer('/api/v1/jobs/hello:run')).toEqual(unknown);
});

test('a wrong method of an open path needs no token to hear so', async () => {
  const { call } = createTestApp();
  const response = await call('POST', '/livez', { headers: { authorization: '' } });
  expect(response.status).toBe(405);
  expect(await response.json()).toMatchObject({ code: 'METHOD_NOT_ALLOWED', status: 405 });
  expect((await call('POST', '/livez/', { headers: { authorization: '' } })).status).toBe(401);
});

test('API answers are not stored, not sniffed and not shared with other origins', async () => {
  const { call } = createTestApp();
  for (const path of ['/api/v1/jobs', '/api/v1/jobs/none']) {
    const { headers } = await call('GET', path, { headers: { origin: 'http://evil.test' } });
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('access-control-allow-origin')).toBeNull();
  }
});
