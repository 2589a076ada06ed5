import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { ISSUER } from '../support/issuer-spec.ts';
import { DISCOVERY, IssuerSite, JWKS, json } from '../support/issuer-site.ts';
import { settle } from '../support/manual-clock.ts';
import { makeKey } from '../support/tokens.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const first = makeKey('ES256', 'first').jwk;
const second = makeKey('ES256', 'second').jwk;
const notForSignatures: JsonObject = { ...second, use: 'enc' };
const refused = `${JWKS}: fetch failed: ECONNREFUSED`;

const answerOf = async (site: IssuerSite, kid = 'first') => site.cache.lookup(kid, 'ES256');
const lines = ({ log }: IssuerSite) => log.lines.map(({ level, message }) => `${level} ${message}`);

describe('which keys count', () => {
  test('known ones to the last moment of their age, and not a moment longer', async () => {
    const site = new IssuerSite([first], { spec: { maxKeyAgeMs: HOUR } });
    await site.state('first');
    site.pages.clear();
    site.clock.set(site.clock.now() + HOUR);
    expect(site.cache.lookup('first', 'ES256')).toMatchObject({ state: 'found' });
    site.clock.set(site.clock.now() + 1);
    expect(await site.state('first')).toBe('unavailable');
  });

  test('for as long as the newest configuration says', async () => {
    const site = new IssuerSite([first], { spec: { maxKeyAgeMs: HOUR } });
    await site.state('first');
    site.pages.clear();
    site.cache.keepFor(MINUTE);
    site.clock.set(site.clock.now() + MINUTE + 1);
    expect(await site.state('first')).toBe('unavailable');
    site.cache.keepFor(HOUR);
    expect(await site.state('first')).toBe('found');
  });

  test('one that is not known while its issuer is away may be new: it is to come again, not refused', async () => {
    const site = new IssuerSite([first], { url: JWKS });
    await site.state('first');
    site.pages.clear();
    expect(await answerOf(site, 'second')).toEqual({ state: 'unavailable', reason: refused, retryAfter: 1 });
    expect(await site.state('first')).toBe('found');
    site.serve(first);
    await site.clock.advance(SECOND);
    expect(await site.state('second')).toBe('unknown');
  });
});

describe('reads', () => {
  test('start reads before anybody asks', async () => {
    const site = new IssuerSite([first]);
    site.cache.start();
    await settle();
    expect(site.asked).toEqual([DISCOVERY, JWKS]);
    expect(site.cache.lookup('first', 'ES256')).toMatchObject({ state: 'found' });
  });

  test('unknown keys wait for one that is under way, and use up none of the reads that such may cause', async () => {
    const site = new IssuerSite([first], { url: JWKS });
    await site.state('first');
    const page = site.pages.get(JWKS);
    const gate = deferred<void>();
    site.pages.set(JWKS, async (init) => {
      await gate.promise;
      return page?.(init) ?? new Response();
    });
    await site.clock.advance(5 * MINUTE);
    const waiting = ['a', 'b', 'c'].map((kid) => site.state(kid));
    await settle();
    gate.resolve();
    expect(await Promise.all(waiting)).toEqual(['unknown', 'unknown', 'unknown']);
    expect(site.reads).toBe(2);
    site.serve(first, second);
    expect(await site.state('second')).toBe('found');
  });

  test('start reads nothing where keys are known, or after a stop', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    site.cache.start();
    await site.clock.advance(0);
    expect(site.reads).toBe(1);
    const stopped = new IssuerSite([first]);
    stopped.cache.stop();
    stopped.cache.start();
    const reason = 'its keys have not been read yet';
    expect(await answerOf(stopped)).toEqual({ state: 'unavailable', reason, retryAfter: 1 });
    expect(stopped.asked).toEqual([]);
  });

  test('a caller has none made right after one that failed, however long the pause', async () => {
    const site = new IssuerSite([first], { url: JWKS });
    site.pages.clear();
    for (const pause of [1, 2, 4, 8, 16, 32, 60, 60]) {
      const answer = { state: 'unavailable', reason: refused, retryAfter: pause };
      expect(await answerOf(site)).toEqual(answer);
      const { reads } = site;
      expect(await answerOf(site)).toEqual(answer);
      expect(site.reads).toBe(reads);
      await site.clock.advance(pause * SECOND);
    }
  });

  test('a clock set back does not make the pause after a failure any longer', async () => {
    const site = new IssuerSite([first], { url: JWKS });
    site.pages.clear();
    await site.state('first');
    site.serve(first);
    site.clock.set(site.clock.now() - HOUR);
    expect(await site.state('first')).toBe('found');
  });

  test('the issuer’s own slash is not doubled on the way to its document', async () => {
    const issuer = `${ISSUER}/`;
    const site = new IssuerSite([first], { spec: { issuer } });
    site.pages.set(DISCOVERY, json({ issuer, jwks_uri: JWKS }));
    expect(await site.state('first')).toBe('found');
    expect(site.asked).toEqual([DISCOVERY, JWKS]);
  });
});

describe('the log, and whoever has to come again, hear', () => {
  test.each<[string, JsonObject, string]>([
    [
      'that the document is another issuer’s',
      { issuer: 'https://evil.example', jwks_uri: JWKS },
      `${DISCOVERY} names another issuer than ${ISSUER}`,
    ],
    ['that it has no address of keys', { issuer: ISSUER }, `${DISCOVERY} has no jwks_uri`],
    ['that it has a strange one', { issuer: ISSUER, jwks_uri: 1 }, `${DISCOVERY} has no jwks_uri`],
  ])('%s', async (_what, document, reason) => {
    const site = new IssuerSite([first]);
    site.pages.set(DISCOVERY, json(document));
    expect(await answerOf(site)).toMatchObject({ state: 'unavailable', reason });
    expect(site.log.lines).toMatchObject([{ fields: { issuer: 'main', url: ISSUER, error: reason } }]);
  });

  test('that there was no usable key from the beginning, and why', async () => {
    const site = new IssuerSite([notForSignatures], { url: JWKS });
    const reason = `${JWKS}: the key set has no usable key (key 0: not for signatures)`;
    expect(await answerOf(site)).toMatchObject({ state: 'unavailable', reason });
    expect(site.log.lines[0]?.fields).toEqual({ issuer: 'main', url: JWKS, error: reason });
  });

  test('for how long known keys go on, and when the outage is over', async () => {
    const site = new IssuerSite([first], { spec: { maxKeyAgeMs: HOUR } });
    await site.state('first');
    site.pages.delete(JWKS);
    await site.clock.advance(6 * MINUTE);
    site.serve(first);
    await site.clock.advance(2 * MINUTE);
    expect(lines(site)).toEqual([
      'warn the keys of an issuer cannot be read; known keys go on for 1h',
      'info the keys of an issuer can be read again',
    ]);
    expect(site.log.lines.map(({ fields }) => fields)).toEqual([
      { issuer: 'main', url: JWKS, error: refused },
      { issuer: 'main', url: JWKS },
    ]);
  });

  test('that an issuer has withdrawn its keys, once', async () => {
    const site = new IssuerSite([first]);
    await site.state('first');
    site.serve(notForSignatures);
    await site.clock.advance(20 * MINUTE);
    expect(site.log.lines).toEqual([
      {
        level: 'warn',
        message: 'an issuer has withdrawn its keys: none of its tokens is taken',
        fields: {
          issuer: 'main',
          url: JWKS,
          reason: 'the key set has no usable key (key 0: not for signatures)',
        },
      },
    ]);
  });

  test('which keys are left out, and again when that changes', async () => {
    const site = new IssuerSite([first, notForSignatures, 'text'], { url: JWKS });
    await site.state('first');
    await site.clock.advance(10 * MINUTE);
    site.serve(first, 'text');
    await site.clock.advance(5 * MINUTE);
    site.serve(first);
    await site.clock.advance(5 * MINUTE);
    site.serve(first, 'text');
    await site.clock.advance(5 * MINUTE);
    expect(new Set(lines(site))).toEqual(new Set(['info some keys of an issuer are left out']));
    expect(site.log.lines.map(({ fields }) => fields)).toEqual([
      { issuer: 'main', url: JWKS, skipped: 'key 1: not for signatures; key 2: not an object' },
      { issuer: 'main', url: JWKS, skipped: 'key 1: not an object' },
      { issuer: 'main', url: JWKS, skipped: 'key 1: not an object' },
    ]);
  });
});
