import { expect, it } from 'vitest';
import { simulateExecutor } from './executor/world.ts';
import { simulate } from './world.ts';

// `SEED=n npm run sim` runs this file alone (vitest.config.ts) and tells all of it.
const SEED = Number(process.env['SEED']);

it.each([
  ['', simulate],
  [' of the executor', simulateExecutor],
])(`seed ${SEED}%s`, async (_, run) => {
  const { findings, trace, tally } = await run(SEED);
  const found = findings.map(({ kind, what }) => `${kind}: ${what}`);
  console.log([...trace, '', JSON.stringify(tally), ...found].join('\n'));
  expect(findings).toEqual([]);
});
