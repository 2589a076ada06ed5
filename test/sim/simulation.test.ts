import { describe, expect, it } from 'vitest';
import { ONE_SEED, runSeeds } from './run-seeds.ts';
import { simulate } from './world.ts';

describe.runIf(ONE_SEED !== undefined)('one seed', () => {
  it(`seed ${ONE_SEED}`, async () => {
    const { findings, trace, tally } = await simulate(Number(ONE_SEED));
    console.log(
      [...trace, '', JSON.stringify(tally), ...findings.map(({ kind, what }) => `${kind}: ${what}`)].join(
        '\n',
      ),
    );
    expect(findings).toEqual([]);
  });
});

describe.runIf(ONE_SEED === undefined)('nothing is lost, done twice, made up or stuck', () => {
  runSeeds(1, 100);
});

describe.runIf(ONE_SEED === undefined)('a seed', () => {
  it('gives the same run each time', async () => {
    const [one, two, other] = [await simulate(7), await simulate(7), await simulate(8)];
    expect(one.trace.length).toBeGreaterThan(200);
    expect(two.trace).toEqual(one.trace);
    expect(other.trace).not.toEqual(one.trace);
  });
});
