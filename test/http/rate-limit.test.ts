import { expect, test } from 'vitest';
import { createTestApp, testConfig } from '../support/http-fakes.ts';

function limited(settings: { trustedProxies?: readonly string[] } = {}) {
  const rateLimit = { requests: 2, perMs: 10_000 };
  const config = testConfig({ rateLimit, ...settings });
  const t = createTestApp({
    config: () => config,
    hooks: { handle: async () => new Response(null, { status: 202 }) },
  });
  const hook = (remoteAddress: string, headers: Record<string, string> = {}) =>
    t.app.fetch(new Request('http://gateway.test/hooks/call', { method: 'POST', headers }), {
      remoteAddress,
    });
  return { ...t, hook };
}

test('more calls from one address than the limit are 429 and say when to come back', async () => {
  const { hook } = limited();
  const statuses = [await hook('192.0.2.1'), await hook('192.0.2.1')].map(({ status }) => status);
  expect(statuses).toEqual([202, 202]);
  const refused = await hook('192.0.2.1');
  expect(refused.status).toBe(429);
  expect(refused.headers.get('retry-after')).toBe('5');
  expect(await refused.json()).toMatchObject({ code: 'TOO_MANY_REQUESTS' });
  expect((await hook('192.0.2.2')).status).toBe(202);
});

test('all addresses of one IPv6 network of 64 bits are one caller', async () => {
  const { hook } = limited();
  const statuses: number[] = [];
  for (const host of ['1', '2', '3']) statuses.push((await hook(`2001:db8::${host}`)).status);
  expect(statuses).toEqual([202, 202, 429]);
  expect((await hook('2001:db8:0:1::1')).status).toBe(202);
});

test('behind a trusted proxy its callers are counted, each by himself', async () => {
  const { hook } = limited({ trustedProxies: ['192.0.2.1'] });
  for (let i = 0; i < 6; i++)
    expect((await hook('192.0.2.1', { 'x-forwarded-for': `198.51.100.${i}` })).status).toBe(202);
  const forged = { 'x-forwarded-for': '203.0.113.9, 198.51.100.200' };
  const statuses: number[] = [];
  for (let i = 0; i < 3; i++)
    statuses.push(
      (await hook('192.0.2.1', { ...forged, 'x-forwarded-for': `203.0.113.${i}, 198.51.100.200` })).status,
    );
  expect(statuses).toEqual([202, 202, 429]);
});

test('without the setting nobody is counted', async () => {
  const t = createTestApp({ hooks: { handle: async () => new Response(null, { status: 202 }) } });
  for (let i = 0; i < 200; i++) {
    const request = new Request('http://gateway.test/hooks/call', { method: 'POST' });
    expect((await t.app.fetch(request, { remoteAddress: '192.0.2.1' })).status).toBe(202);
  }
});
