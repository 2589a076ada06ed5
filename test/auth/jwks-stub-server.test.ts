import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { JwksCache } from '../../src/auth/jwks-cache.ts';
import type { KeyLookup } from '../../src/auth/keys.ts';
import type { IssuerSpec } from '../../src/core/auth.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { filteredFetch } from '../../src/lib/filtered-fetch.ts';
import { FakeLog } from '../support/fake-log.ts';
import { issuerSpec } from '../support/issuer-spec.ts';
import { ManualClock, settle } from '../support/manual-clock.ts';
import { makeKey } from '../support/tokens.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const first = makeKey('ES256', 'first').jwk;
const second = makeKey('ES256', 'second').jwk;
const rsa = makeKey('RS256', 'rsa').jwk;

type Page = (response: ServerResponse) => void;
const keys = (...list: readonly JsonObject[]): Page => status(200, JSON.stringify({ keys: list }));
function status(code: number, body: string, headers: Record<string, string> = {}): Page {
  return (response) => void response.writeHead(code, headers).end(body);
}

let page: Page = keys(first);
let reads = 0;
let onRequest = (): void => {};
const server = createServer((_request, response) => {
  reads++;
  page(response);
  onRequest();
});
let url = '';
beforeAll(async () => {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

let cache: JwksCache | undefined;
afterEach(() => {
  cache?.stop();
  server.closeAllConnections();
});

class Site {
  readonly clock = new ManualClock();
  readonly cache: JwksCache;

  constructor(spec: Partial<IssuerSpec> = {}) {
    page = keys(first);
    reads = 0;
    onRequest = () => {};
    const fetch = filteredFetch({ allowed: () => true });
    const whole = issuerSpec({ allowHttp: true, ...spec });
    this.cache = new JwksCache({
      name: 'main',
      spec: whole,
      url,
      fetch,
      clock: this.clock,
      log: new FakeLog(),
    });
    cache = this.cache;
  }
  lookup(kid: string, alg = 'ES256'): KeyLookup | Promise<KeyLookup> {
    return this.cache.lookup(kid, alg);
  }
  async state(kid: string, alg = 'ES256'): Promise<KeyLookup['state']> {
    return (await this.lookup(kid, alg)).state;
  }
  /** Lets the read that is due now happen, and waits for its end. */
  async refresh(ms: number): Promise<void> {
    const asked = new Promise<void>((resolve) => void (onRequest = resolve));
    await this.clock.advance(ms);
    await asked;
    // Whoever asks for an unknown key while one is read waits for that.
    await this.lookup('nobody');
  }
}

describe('rotation', () => {
  test('a key published a second ago is taken after one read', async () => {
    const site = new Site();
    await site.state('first');
    page = keys(first, second);
    await site.clock.advance(SECOND);
    expect(await site.state('second')).toBe('found');
    expect(reads).toBe(2);
  });

  test('also where a sender with an old key has just had them read', async () => {
    const site = new Site();
    await site.state('first');
    expect(await site.state('withdrawn')).toBe('unknown');
    page = keys(first, second);
    await site.clock.advance(SECOND);
    for (let i = 0; i < 50; i++) expect(await site.state('withdrawn')).toBe('unknown');
    expect(await site.state('second')).toBe('found');
    expect(reads).toBe(3);
  });

  test('a key that was withdrawn is refused after the next refresh', async () => {
    const site = new Site();
    await site.state('first');
    page = keys(second);
    await site.refresh(5 * MINUTE);
    expect(await site.state('second')).toBe('found');
    expect(await site.state('first')).toBe('unknown');
  });

  test('calls with known keys go on at once while the keys are read', async () => {
    const site = new Site();
    await site.state('first');
    const held: ServerResponse[] = [];
    const asked = new Promise<void>((resolve) => void (onRequest = resolve));
    page = (response) => void held.push(response);
    const waiting = site.lookup('second');
    await asked;
    for (let i = 0; i < 1000; i++) expect(site.lookup('first', 'ES256')).toMatchObject({ state: 'found' });
    for (const response of held) keys(first, second)(response);
    expect(await waiting).toMatchObject({ state: 'found' });
  });
});

describe('an answer that is no use never brings keys', () => {
  const n = (bits: number): string => Buffer.alloc(bits / 8, 0xc5).toString('base64url');
  const chunk = Buffer.alloc(64 * 1024, 0x20);
  const endless: Page = (response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', more);
    more();
  };
  const pages: Readonly<Record<string, Page>> = {
    'status 500': status(500, 'no'),
    'status 503 with keys': status(503, JSON.stringify({ keys: [second] })),
    'status 204': status(204, ''),
    'a redirect': status(302, '', { location: '/other' }),
    'a connection that ends': (response) => void response.destroy(),
    'half an answer': (response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"keys":[', () => response.destroy());
    },
    '10 MB': status(200, JSON.stringify({ keys: [second], filler: 'x'.repeat(10_000_000) })),
    'without end': endless,
    'invalid JSON': status(200, '{"keys": [}'),
    HTML: status(200, '<html></html>'),
    'JSON that is no object': status(200, '[]'),
    'no keys': keys(),
    'a private key': keys({ ...second, d: 'AQAB' }),
    'an RSA key with e = 1': keys({ ...rsa, e: 'AQ' }),
    'an RSA key of 1024 bits': keys({ ...rsa, n: n(1024) }),
    'a shared secret': keys({ kty: 'oct', k: 'c2VjcmV0', kid: 'first', alg: 'HS256' }),
  };
  /** A list of keys all the same: the old ones are no longer on it. */
  const WITHDRAWN = new Set([
    'no keys',
    'a private key',
    'an RSA key with e = 1',
    'an RSA key of 1024 bits',
    'a shared secret',
  ]);
  test.each(Object.entries(pages))('%s', async (name, bad) => {
    const site = new Site();
    await site.state('first');
    page = bad;
    await site.refresh(5 * MINUTE);
    expect(await site.state('first')).toBe(WITHDRAWN.has(name) ? 'unknown' : 'found');
    expect(await site.state('second')).not.toBe('found');
    expect(await site.state('rsa', 'RS256')).not.toBe('found');
  });

  test('two keys of one kid: neither counts', async () => {
    const site = new Site();
    page = keys(first, { ...second, kid: 'first' });
    expect(await site.state('first')).toBe('unknown');
  });

  test.each<[string, Page]>([
    ['no answer', () => {}],
    ['an answer that drips', (response) => void response.writeHead(200).write('{"keys":')],
  ])('%s is given up after 5 s', async (_name, slow) => {
    const site = new Site();
    const asked = new Promise<void>((resolve) => void (onRequest = resolve));
    page = slow;
    const lookup = site.lookup('first');
    await asked;
    await settle();
    await site.clock.advance(5 * SECOND);
    expect(await lookup).toMatchObject({ state: 'unavailable', reason: expect.stringContaining('5 s') });
  });
});

describe('an issuer that is away', () => {
  test('for an hour: the keys go on, and a new one is told to come again rather than refused', async () => {
    const site = new Site();
    await site.state('first');
    page = status(503, '');
    await site.refresh(5 * MINUTE);
    for (let minute = 0; minute < 60; minute += 5) {
      site.clock.set(site.clock.now() + 5 * MINUTE);
      expect(await site.state('first')).toBe('found');
      expect(await site.state('second')).toBe('unavailable');
    }
  });

  test('for longer than maxKeyAge: the keys no longer count', async () => {
    const site = new Site({ maxKeyAgeMs: HOUR });
    await site.state('first');
    page = status(503, '');
    await site.refresh(5 * MINUTE);
    site.clock.set(site.clock.now() + 54 * MINUTE);
    expect(await site.state('first')).toBe('found');
    site.clock.set(site.clock.now() + 2 * MINUTE);
    expect(await site.state('first')).toBe('unavailable');
  });
});

test('ten thousand unknown kids in ten minutes: at most two reads a minute for them', async () => {
  const site = new Site();
  await site.state('first');
  const times: number[] = [];
  for (let i = 0; i < 10_000; i++) {
    const before = reads;
    await site.lookup(`no-${i % 3000}`);
    if (reads > before) times.push(site.clock.now());
    if (i % 20 === 19) site.clock.set(site.clock.now() + 1.2 * SECOND);
  }
  for (const [i, time] of times.entries()) {
    expect(times.slice(i).filter((other) => other < time + MINUTE).length).toBeLessThanOrEqual(2);
  }
  expect(times.length).toBeGreaterThan(10);
  expect(times.length).toBeLessThanOrEqual(20);
  expect(await site.state('first')).toBe('found');
});
