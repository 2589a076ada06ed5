// @ts-check
// `npm run check`: everything that can be known without an engine. A line per step; output only of what failed.
import { STEPS, runSteps, verdict } from './lib/check-steps.mjs';
import { command } from './lib/command.mjs';
import { setUpTools } from './setup.mjs';

await command(async () => {
  await setUpTools();
  const start = Date.now();
  const results = await runSteps(STEPS, (text) => process.stdout.write(text));
  process.stdout.write(`${verdict(results, Date.now() - start)}\n`);
  return results.every((result) => result.passed) ? 0 : 1;
});
