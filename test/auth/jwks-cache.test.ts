import { describe, expect, test } from 'vitest';
import type { KeyLookup } from '../../src/auth/keys.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { ISSUER } from '../support/issuer-spec.ts';
import { DISCOVERY, IssuerSite, JWKS, json, type Answer } from '../support/issuer-site.ts';
import { settle } from '../support/manual-clock.ts';
import { makeKey } from '../support/tokens.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const first = makeKey('ES256', 'first').jwk;
const second = makeKey('ES256', 'second').jwk;
/** Nothing is signed with it, so that it need not be the product of two primes, which take time to find. */
const rsa: JsonObject = {
  kty: 'RSA',
  n: Buffer.alloc(256, 0xc5).toString('base64url'),
  e: 'AQAB',
  kid: 'rsa',
  alg: 'RS256',
  use: 'sig',
};

describe('reading', () => {
  test('the first lookup reads, the next ones do not', async () => {
    const site = new IssuerSite([first]);
    expect(await site.state('first')).toBe('found');
    expect(await site.state('first')).toBe('found');
    expect(site.asked).toEqual([DISCOVERY, JWKS]);
  });

  test('a known key is found without a promise', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    expect(site.cache.lookup('first', 'ES256')).toMatchObject({ state: 'found' });
  });

  test('start reads ahead; lookups that come meanwhile share that read', async () => {
    const site = new IssuerSite([first]);
    site.cache.start();
    const all = await Promise.all(Array.from({ length: 50 }, () => site.state('first')));
    expect(new Set(all)).toEqual(new Set(['found']));
    expect(site.reads).toBe(1);
  });

  test('a configured URL needs no discovery', async () => {
    const site = new IssuerSite([first], { url: JWKS });
    expect(await site.state('first')).toBe('found');
    expect(site.asked).toEqual([JWKS]);
  });

  test('refreshes every five minutes without being asked', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    await site.clock.advance(15 * MINUTE);
    expect(site.reads).toBe(4);
  });

  test('a key that the issuer withdrew is refused after the next refresh', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    site.serve(second);
    await site.clock.advance(5 * MINUTE);
    expect(await site.state('first')).toBe('unknown');
    expect(await site.state('second')).toBe('found');
  });

  test('stop ends the timers and what is known stays', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    site.cache.stop();
    site.cache.stop();
    expect(site.clock.pending).toBe(0);
    expect(await site.state('first')).toBe('found');
    expect(await site.state('other')).toBe('unknown');
    expect(site.reads).toBe(1);
  });

  test('stopped while reading: no timer is left', async () => {
    const site = new IssuerSite([first]);
    const lookup = site.state('first');
    site.cache.stop();
    await lookup;
    expect(site.clock.pending).toBe(0);
  });
});

describe('rotation', () => {
  test('a key published a second ago is found with one read', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    site.serve(first, second);
    await site.clock.advance(SECOND);
    expect(await site.state('second')).toBe('found');
    expect(site.reads).toBe(2);
  });

  test('ten thousand unknown kids cause at most two reads a minute', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    const states = new Set<KeyLookup['state']>();
    for (let i = 0; i < 10_000; i++) {
      states.add(await site.state(`no-${i}`));
      if (i % 100 === 99) await site.clock.advance(590);
    }
    expect([...states]).toEqual(['unknown']);
    expect(site.reads - 1).toBeLessThanOrEqual(2);
    expect(site.reads - 1).toBeGreaterThan(0);
  });

  test('at the same time they share one', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    await Promise.all(Array.from({ length: 200 }, (_, i) => site.state(`no-${i}`)));
    expect(site.reads).toBe(2);
  });

  test('a clock set back does not close the way for new keys', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    await site.state('no');
    site.clock.set(site.clock.now() - 10 * HOUR);
    site.serve(second);
    expect(await site.state('second')).toBe('found');
  });
});

describe('outage', () => {
  test('known keys go on for 24 hours, then the answer is unavailable; recovery is noticed within a minute', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    site.pages.clear();
    // A timer a minute for a whole day would only be slow: the wall time is moved, then some tries run.
    site.clock.set(site.clock.now() + 23 * HOUR);
    await site.clock.advance(10 * MINUTE);
    expect(await site.state('first')).toBe('found');
    site.clock.set(site.clock.now() + HOUR);
    await site.clock.advance(MINUTE);
    expect(await site.state('first')).toBe('unavailable');
    site.pages.set(DISCOVERY, json({ issuer: ISSUER, jwks_uri: JWKS }));
    site.serve(first);
    await site.clock.advance(MINUTE);
    expect(await site.state('first')).toBe('found');
  });

  test('an outage is one line of log, its end another', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    const page = site.pages.get(JWKS);
    site.pages.delete(JWKS);
    await site.clock.advance(20 * MINUTE);
    if (page !== undefined) site.pages.set(JWKS, page);
    await site.clock.advance(2 * MINUTE);
    expect(site.log.lines.map((line) => line.level)).toEqual(['warn', 'info']);
    expect(site.log.lines[0]?.fields).toMatchObject({
      issuer: 'main',
      error: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test('pauses double from 1 s to 60 s, whatever callers do', async () => {
    const site = new IssuerSite([first], { url: JWKS });
    site.pages.clear();
    const tries: number[] = [];
    const begin = site.clock.now();
    let seen = 0;
    for (let s = 0; s <= 200; s++) {
      await site.state('first');
      if (site.reads > seen) tries.push((site.clock.now() - begin) / 1000);
      seen = site.reads;
      await site.clock.advance(SECOND);
    }
    expect(tries).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183]);
  });

  test('unavailable says when to come again', async () => {
    const site = new IssuerSite([first]);
    site.pages.clear();
    await site.state('first');
    // Tries at 0, 1, 3, 7 and 15 s, the next one at 31 s.
    await site.clock.advance(20 * SECOND);
    const reason = expect.stringContaining('ECONNREFUSED');
    expect(await site.cache.lookup('first', 'ES256')).toEqual({
      state: 'unavailable',
      reason,
      retryAfter: 11,
    });
  });

  test('a moved jwks_uri is found by asking discovery again', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    const moved = `${ISSUER}/moved`;
    site.pages.delete(JWKS);
    site.pages.set(DISCOVERY, json({ issuer: ISSUER, jwks_uri: moved }));
    site.pages.set(moved, json({ keys: [second] }));
    await site.clock.advance(6 * MINUTE);
    expect(await site.state('second')).toBe('found');
  });
});

describe('bad answers never become keys', () => {
  const key = (change: JsonObject): JsonObject => ({ ...rsa, ...change });
  const e1 = Buffer.from([1]).toString('base64url');
  const e65538 = Buffer.from([1, 0, 2]).toString('base64url');
  const n1024 = Buffer.concat([Buffer.from([0x80]), Buffer.alloc(126), Buffer.from([1])]).toString(
    'base64url',
  );
  const n9000 = Buffer.concat([Buffer.from([0x80]), Buffer.alloc(1200), Buffer.from([1])]).toString(
    'base64url',
  );
  const even = Buffer.concat([Buffer.from([0x80]), Buffer.alloc(255)]).toString('base64url');
  const answers: Readonly<Record<string, Answer>> = {
    'status 500': json({ keys: [rsa] }, 500),
    'status 404': json('', 404),
    'a redirect that a fetch let through': () =>
      new Response(null, { status: 302, headers: { location: JWKS } }),
    'status 201': json({ keys: [rsa] }, 201),
    'not JSON': json('<html>'),
    'a list': json([rsa]),
    'keys not a list': json({ keys: { 0: rsa } }),
    'no keys': json({ keys: [] }),
    'keys twice': json(`{"keys":[],"keys":[${JSON.stringify(rsa)}]}`),
    'more than 100 keys': json({ keys: Array.from({ length: 101 }, (_, i) => key({ kid: `k${i}` })) }),
    'more than 256 KiB': json({ keys: [rsa], filler: 'x'.repeat(257 * 1024) }),
    'the same kid twice': json({ keys: [rsa, rsa] }),
    'a private key': json({ keys: [key({ d: 'AQAB' })] }),
    'a private prime': json({ keys: [key({ p: 'AQAB' })] }),
    'a shared secret': json({ keys: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'rsa' }] }),
    'e = 1': json({ keys: [key({ e: e1 })] }),
    'e = 3': json({ keys: [key({ e: 'Aw' })] }),
    'e even': json({ keys: [key({ e: e65538 })] }),
    'e very long': json({ keys: [key({ e: rsa['n'] ?? '' })] }),
    'n of 1024 bits': json({ keys: [key({ n: n1024 })] }),
    'n of 9000 bits': json({ keys: [key({ n: n9000 })] }),
    'n of 1024 bits behind zeros': json({ keys: [key({ n: `${'A'.repeat(172)}${n1024}` })] }),
    'n even': json({ keys: [key({ n: even })] }),
    'n not base64url': json({ keys: [key({ n: '$$$' })] }),
    'n missing': json({ keys: [{ kty: 'RSA', e: 'AQAB', kid: 'rsa' }] }),
    'for encryption': json({ keys: [key({ use: 'enc' })] }),
    'key_ops without verify': json({ keys: [key({ key_ops: ['sign'] })] }),
    'for another algorithm': json({ keys: [key({ alg: 'RS512' })] }),
    'kid a number': json({ keys: [key({ kid: 1 })] }),
    'a key that is a text': json({ keys: ['rsa'] }),
    'an RSA key called EC': json({ keys: [key({ kty: 'EC', crv: 'P-256' })] }),
    'an EC point off the curve': json({ keys: [{ ...first, kid: 'rsa', x: second['x'] ?? '' }] }),
  };
  test.each(Object.entries(answers))('%s', async (_name, answer) => {
    const site = new IssuerSite([first]);
    site.pages.set(JWKS, answer);
    expect(await site.state('rsa', 'RS256')).not.toBe('found');
    expect(await site.state('rsa', 'ES256')).not.toBe('found');
  });

  /** Answers that are no list of keys; each other one is a list without one that counts: those from before were withdrawn. */
  const NO_LIST =
    /^(status \d+|a redirect.*|not JSON|a list|keys not a list|keys twice|more than (100 keys|256 KiB))$/;
  const later = async (answer: Answer): Promise<KeyLookup['state']> => {
    const site = new IssuerSite([first]);
    await site.state('first');
    site.pages.set(JWKS, answer);
    await site.clock.advance(10 * MINUTE);
    return site.state('first');
  };
  test.each(Object.entries(answers).filter(([name]) => NO_LIST.test(name)))(
    '%s: the keys from before go on',
    async (_name, answer) => expect(await later(answer)).toBe('found'),
  );
  test.each(Object.entries(answers).filter(([name]) => !NO_LIST.test(name)))(
    '%s: the keys from before are withdrawn',
    async (_name, answer) => expect(await later(answer)).toBe('unknown'),
  );

  test('a bad key beside a good one is left out, with a reason in the log, once', async () => {
    const site = new IssuerSite([first]);
    site.serve(first, key({ e: e1 }));
    await site.clock.advance(0);
    expect(await site.state('first')).toBe('found');
    expect(await site.state('rsa', 'RS256')).toBe('unknown');
    await site.clock.advance(20 * MINUTE);
    const lines = site.log.lines.filter((line) => line.message.includes('left out'));
    expect(lines).toHaveLength(1);
    expect(lines[0]?.fields).toMatchObject({ skipped: expect.stringContaining('exponent') });
  });

  test('a body that never ends is left at 256 KiB', async () => {
    const site = new IssuerSite([first]);
    let sent = 0;
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 16 * 1024;
        controller.enqueue(new Uint8Array(16 * 1024));
      },
      cancel() {
        cancelled = true;
      },
    });
    site.pages.set(JWKS, () => new Response(endless));
    expect(await site.state('first')).toBe('unavailable');
    expect(cancelled).toBe(true);
    expect(sent).toBeLessThan(512 * 1024);
  });

  test.each<[string, Answer]>([
    ['no answer', () => new Promise<Response>(() => {})],
    [
      'a body that drips',
      () => new Response(new ReadableStream({ pull: () => new Promise<void>(() => {}) })),
    ],
  ])('%s is given up after 5 s, and the request is aborted', async (_name, answer) => {
    const site = new IssuerSite([first]);
    let signal: AbortSignal | undefined | null;
    site.pages.set(JWKS, (init) => {
      signal = init?.signal;
      return answer(init);
    });
    const lookup = site.cache.lookup('first', 'ES256');
    await settle();
    await site.clock.advance(5 * SECOND);
    expect(await lookup).toMatchObject({ state: 'unavailable', reason: expect.stringContaining('5 s') });
    expect(signal?.aborted).toBe(true);
  });
});

describe('discovery', () => {
  test.each<[string, JsonObject]>([
    ['names another issuer', { issuer: 'https://evil.example', jwks_uri: JWKS }],
    ['names the issuer with a slash more', { issuer: `${ISSUER}/`, jwks_uri: JWKS }],
    ['has no jwks_uri', { issuer: ISSUER }],
    ['has a jwks_uri of plain http', { issuer: ISSUER, jwks_uri: JWKS.replace('https', 'http') }],
    ['has a jwks_uri of a file', { issuer: ISSUER, jwks_uri: 'file:///etc/passwd' }],
    ['has a jwks_uri with a password', { issuer: ISSUER, jwks_uri: 'https://a:b@issuer.example/keys' }],
  ])('that %s is refused', async (_name, document) => {
    const site = new IssuerSite([first]);
    site.pages.set(DISCOVERY, json(document));
    expect(await site.state('first')).toBe('unavailable');
    expect(site.asked).toEqual([DISCOVERY]);
  });

  test('plain http only where the issuer allows it', async () => {
    const issuer = 'http://127.0.0.1:9';
    const site = new IssuerSite([first], { spec: { issuer, allowHttp: true } });
    site.pages.set(
      `${issuer}/.well-known/openid-configuration`,
      json({ issuer, jwks_uri: `${issuer}/keys` }),
    );
    site.pages.set(`${issuer}/keys`, json({ keys: [first] }));
    expect(await site.state('first')).toBe('found');
  });
});
