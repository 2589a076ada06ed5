import { describe, expect, test } from 'vitest';
import { UnknownKids } from '../../src/auth/unknown-kids.ts';
import { IssuerSite } from '../support/issuer-site.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { makeKey } from '../support/tokens.ts';

const SECOND = 1000;
const first = makeKey('ES256', 'first').jwk;
const second = makeKey('ES256', 'second').jwk;

describe('a new key while others have used up the reads', () => {
  const attacked = async (): Promise<IssuerSite> => {
    const site = new IssuerSite([first]);
    await site.state('first');
    for (const kid of ['made-up', 'made-up-too']) expect(await site.state(kid)).toBe('unknown');
    site.serve(first, second);
    await site.clock.advance(10 * SECOND);
    return site;
  };

  test('is not refused: it is told when to come again, and is taken then', async () => {
    const site = await attacked();
    expect(await site.cache.lookup('second', 'ES256')).toEqual({
      state: 'unavailable',
      reason: expect.stringContaining('no key of the issuer fits'),
      retryAfter: 50,
    });
    expect(site.reads).toBe(3);
    await site.clock.advance(50 * SECOND);
    expect(await site.state('second')).toBe('found');
    expect(site.reads).toBe(4);
  });

  test('known keys are found meanwhile, and what was just looked for is refused', async () => {
    const site = await attacked();
    expect(await site.state('first')).toBe('found');
    expect(await site.state('made-up')).toBe('unknown');
  });

  test('the read that somebody else causes next brings it too', async () => {
    const site = await attacked();
    await site.clock.advance(50 * SECOND);
    expect(await site.state('made-up-again')).toBe('unknown');
    expect(await site.state('second')).toBe('found');
    expect(site.reads).toBe(4);
  });
});

describe('the reads that unknown kids cause', () => {
  const make = () => {
    const clock = new ManualClock();
    return { clock, kids: new UnknownKids(clock) };
  };
  const READ = { state: 'read' };
  const UNKNOWN = { state: 'unknown' };

  test('two a minute: the third waits for the first to be a minute old', async () => {
    const { clock, kids } = make();
    expect(kids.ask('a')).toEqual(READ);
    await clock.advance(20 * SECOND);
    expect(kids.ask('b')).toEqual(READ);
    expect(kids.ask('c')).toEqual({ state: 'later', waitMs: 40 * SECOND });
    await clock.advance(40 * SECOND - 1);
    expect(kids.ask('c')).toEqual({ state: 'later', waitMs: 1 });
    await clock.advance(1);
    expect(kids.ask('c')).toEqual(READ);
    expect(kids.ask('d')).toEqual({ state: 'later', waitMs: 20 * SECOND });
  });

  test('one kid causes the next after half a minute, as does a token without one', async () => {
    for (const kid of ['a', undefined]) {
      const { clock, kids } = make();
      expect(kids.ask(kid)).toEqual(READ);
      await clock.advance(30 * SECOND - 1);
      expect(kids.ask(kid)).toEqual(UNKNOWN);
      await clock.advance(1);
      expect(kids.ask(kid)).toEqual(READ);
    }
  });

  test('a clock that is set back closes no way', () => {
    const { clock, kids } = make();
    kids.ask('a');
    kids.ask('b');
    clock.set(clock.now() - 1);
    expect(kids.ask('a')).toEqual(READ);
  });
});
