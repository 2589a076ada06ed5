import { describe, expect, it } from 'vitest';
import { SystemIds } from '../../src/lib/system-ids.ts';

const START = Date.parse('2026-06-01T12:00:00Z');
const CYCLE_MS = 32 * 32 ** 3;

describe('the digits of a name', () => {
  it('are ten, as those of any suffix', () => {
    const ids = new SystemIds();
    for (let n = 0; n < 1000; n++) expect(ids.nameDigits()).toMatch(/^[0-9a-hjkmnp-tv-z]{10}$/);
  });

  it('begin alike within a moment, and later moments begin with later digits until they begin anew', () => {
    let now = Math.ceil(START / CYCLE_MS) * CYCLE_MS;
    const ids = new SystemIds(() => now);
    const beginning = (): string => ids.nameDigits().slice(0, 3);
    expect(beginning()).toBe('000');
    now += 31;
    expect(beginning()).toBe('000');
    now += 1;
    expect(beginning()).toBe('001');
    const seen: string[] = [];
    for (; now % CYCLE_MS !== 0; now += 32) seen.push(beginning());
    expect(seen).toHaveLength(32 ** 3 - 1);
    expect(seen).toEqual(seen.toSorted());
    expect(new Set(seen).size).toBe(seen.length);
    expect(beginning()).toBe('000');
  });

  it('are else of chance, also in one moment', () => {
    const ids = new SystemIds(() => START);
    const names = Array.from({ length: 2000 }, () => ids.nameDigits());
    // Two of a hundred are the same once in seven million runs.
    expect(new Set(names.slice(0, 100)).size).toBe(100);
    // Each of the seven places takes each of the 32 digits: that one is missing has a chance of 1 in 10^25.
    for (let place = 3; place < 10; place++) expect(new Set(names.map((name) => name[place])).size).toBe(32);
  });
});
