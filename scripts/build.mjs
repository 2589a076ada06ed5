// @ts-check
// `npm run build`: dist/, made anew where the sources have changed.
import { ensureBuilt } from './lib/build.mjs';
import { command } from './lib/command.mjs';
import { setUpTools } from './setup.mjs';

await command(async () => {
  await setUpTools();
  await ensureBuilt();
  return 0;
});
