import { expect, it } from 'vitest';
import { simulate } from './world.ts';

// `SEED=n npm run sim` runs this file alone (vitest.config.ts) and tells all of it.
const SEED = Number(process.env['SEED']);

it(`seed ${SEED}`, async () => {
  const { findings, trace, tally } = await simulate(SEED);
  const found = findings.map(({ kind, what }) => `${kind}: ${what}`);
  console.log([...trace, '', JSON.stringify(tally), ...found].join('\n'));
  expect(findings).toEqual([]);
});
