import { describe, expect, it } from 'vitest';
import { runSeeds } from '../run-seeds.ts';
import { EXECUTOR } from '../simulations.ts';
import { simulateExecutor } from './world.ts';

runSeeds(EXECUTOR, 'first');

describe('a seed of the executor', () => {
  it('gives the same run each time', async () => {
    const [one, two, other] = [
      await simulateExecutor(7),
      await simulateExecutor(7),
      await simulateExecutor(8),
    ];
    expect(one.trace.length).toBeGreaterThan(150);
    expect(two).toEqual(one);
    expect(other.trace).not.toEqual(one.trace);
  });
});
