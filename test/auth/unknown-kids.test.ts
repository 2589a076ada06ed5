import { describe, expect, test } from 'vitest';
import { UnknownKids } from '../../src/auth/unknown-kids.ts';
import { IssuerSite } from '../support/issuer-site.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { makeKey } from '../support/tokens.ts';

const SECOND = 1000;
const first = makeKey('ES256', 'first').jwk;
const second = makeKey('ES256', 'second').jwk;

test('a new key is found with the read that somebody else causes next, and known keys meanwhile', async () => {
  const site = new IssuerSite([first]);
  await site.state('first');
  for (const kid of ['made-up', 'made-up-too']) expect(await site.state(kid)).toBe('unknown');
  site.serve(first, second);
  await site.clock.advance(10 * SECOND);
  expect([await site.state('first'), await site.state('second')]).toEqual(['found', 'unknown']);
  await site.clock.advance(50 * SECOND);
  expect(await site.state('made-up-again')).toBe('unknown');
  expect(await site.state('second')).toBe('found');
  expect(site.reads).toBe(4);
});

describe('the reads that unknown kids cause', () => {
  const make = () => {
    const clock = new ManualClock();
    return { clock, kids: new UnknownKids(clock) };
  };
  test('two a minute: the third waits for the first to be a minute old', async () => {
    const { clock, kids } = make();
    expect(kids.mayRead('a')).toBe(true);
    await clock.advance(20 * SECOND);
    expect(kids.mayRead('b')).toBe(true);
    expect(kids.mayRead('c')).toBe(false);
    await clock.advance(40 * SECOND - 1);
    expect(kids.mayRead('c')).toBe(false);
    await clock.advance(1);
    expect(kids.mayRead('c')).toBe(true);
    expect(kids.mayRead('d')).toBe(false);
  });

  test('one kid causes the next after half a minute, as does a token without one', async () => {
    for (const kid of ['a', undefined]) {
      const { clock, kids } = make();
      expect(kids.mayRead(kid)).toBe(true);
      await clock.advance(30 * SECOND - 1);
      expect(kids.mayRead(kid)).toBe(false);
      await clock.advance(1);
      expect(kids.mayRead(kid)).toBe(true);
    }
  });

  test('a clock that is set back closes no way', () => {
    const { clock, kids } = make();
    kids.mayRead('a');
    kids.mayRead('b');
    clock.set(clock.now() - 1);
    expect(kids.mayRead('a')).toBe(true);
  });
});
