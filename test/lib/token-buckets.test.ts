import { describe, expect, it } from 'vitest';
import { TokenBuckets } from '../../src/lib/token-buckets.ts';

const NOW = Date.parse('2026-06-01T12:00:00Z');
const LIMIT = { requests: 3, perMs: 60_000 };

function taken(buckets: TokenBuckets, times: number, now = NOW, limit = LIMIT, key = 'a'): number[] {
  return Array.from({ length: times }, () => Math.round(buckets.take(key, now, limit)));
}

describe('token buckets', () => {
  it('give so many at once, then one after each share of the time', () => {
    const buckets = new TokenBuckets();
    expect(taken(buckets, 5)).toEqual([0, 0, 0, 20_000, 20_000]);
    expect(taken(buckets, 2, NOW + 19_000)).toEqual([1_000, 1_000]);
    expect(taken(buckets, 2, NOW + 20_000)).toEqual([0, 20_000]);
    expect(taken(buckets, 4, NOW + 200_000)).toEqual([0, 0, 0, 20_000]);
  });

  it('count each key by itself', () => {
    const buckets = new TokenBuckets();
    taken(buckets, 4);
    expect(taken(buckets, 4, NOW, LIMIT, 'b')).toEqual([0, 0, 0, 20_000]);
  });

  it('wait no longer after the clock was set back, or the limit was changed', () => {
    const buckets = new TokenBuckets();
    taken(buckets, 4);
    expect(taken(buckets, 1, NOW - 3_600_000)).toEqual([20_000]);
    expect(taken(buckets, 1, NOW, { requests: 10, perMs: 1_000 })).toEqual([100]);
  });

  it.each([1, 7, 1_000, 99_991])('lose and give away nothing: %i in a minute', (requests) => {
    const buckets = new TokenBuckets();
    const limit = { requests, perMs: 60_000 };
    let first = 0;
    while (buckets.take('a', NOW, limit) === 0) first++;
    expect(first).toBe(requests);
  });

  it('hold no more than so many keys, and forget the one that was used longest ago', () => {
    const buckets = new TokenBuckets(3);
    for (const key of ['a', 'b', 'c', 'a', 'a', 'd', 'e']) buckets.take(key, NOW, LIMIT);
    expect(buckets.size).toBe(3);
    expect(buckets.take('a', NOW, LIMIT)).toBeGreaterThan(0);
    expect(taken(buckets, 3, NOW, LIMIT, 'b')).toEqual([0, 0, 0]);
  });
});
