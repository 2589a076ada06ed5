import { expect, test } from 'vitest';
import { pageLink } from '../../src/lib/page-link.ts';
import { cli } from '../support/cli-runner.ts';
import { createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';

test('link prints an address that opens the page, once', async () => {
  const t = createTestApp();
  const fetch = (url: string, init?: RequestInit) =>
    t.app.fetch(new Request(url, init), { remoteAddress: '' });
  const env = { TAPPET_URL: 'http://gateway.test:8080', TAPPET_TOKEN: ROOT_TOKEN };
  const { code, out, err } = await cli(['link'], { env, fetch });
  expect({ code, err }).toEqual({ code: 0, err: 'It works once, within ten minutes.\n' });
  expect(out).toMatch(/^http:\/\/gateway\.test:8080\/\?code=[0-9a-z]{26}\n$/);
  expect((await fetch(out.trim())).headers.get('set-cookie')).toContain('tappet-8080=');
  expect((await fetch(out.trim())).status).toBe(401);
  const json = await cli(['link', '-o', 'json'], { env, fetch });
  expect(JSON.parse(json.out)).toEqual({
    url: expect.stringContaining('/?code='),
    expireTime: '2026-01-01T00:10:00.000Z',
  });
});

test('link with a token that may not is refused in words', async () => {
  const t = createTestApp();
  const fetch = (url: string, init?: RequestInit) =>
    t.app.fetch(new Request(url, init), { remoteAddress: '' });
  const env = { TAPPET_URL: 'http://gateway.test', TAPPET_TOKEN: 'run.jobs.list' };
  const { code, out, err } = await cli(['link'], { env, fetch });
  expect({ code, out }).toEqual({ code: 3, out: '' });
  expect(err).toContain('tappet.links.create');
});

test.each([
  ['http://127.0.0.1:8080', 'http://127.0.0.1:8080/?code=c'],
  ['http://0.0.0.0:8080', 'http://127.0.0.1:8080/?code=c'],
  ['http://[::]:8080', 'http://[::1]:8080/?code=c'],
  ['https://jobs.example.com', 'https://jobs.example.com/?code=c'],
])('of a gateway at %s it is %s', (url, link) => {
  expect(pageLink(url, 'c')).toBe(link);
});
