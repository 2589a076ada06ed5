// @ts-check
// `npm run bench [-- name…]`: the set-up, then the benchmarks.
import { command } from './lib/command.mjs';
import { DEMO_IMAGE } from './lib/images.mjs';
import { ensureComponents } from './lib/packages.mjs';
import { setUp } from './setup.mjs';

await command(async () => {
  await setUp([DEMO_IMAGE]);
  await ensureComponents([{ apt: 'wrk', programs: ['wrk'] }], 'to make the load of the webhook benchmarks');
  const { main } = await import('../bench/main.mjs');
  return main(process.argv.slice(2).filter((arg) => arg !== '--yes'));
});
