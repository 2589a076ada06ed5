import { describe, expect, it } from 'vitest';
import { runSeeds } from './run-seeds.ts';
import { FRONT } from './simulations.ts';
import { simulate } from './world.ts';

runSeeds(FRONT, 'first');

describe('a seed', () => {
  it('gives the same run each time', async () => {
    const [one, two, other] = [await simulate(7), await simulate(7), await simulate(8)];
    expect(one.trace.length).toBeGreaterThan(200);
    expect(two.trace).toEqual(one.trace);
    expect(other.trace).not.toEqual(one.trace);
  });
});
