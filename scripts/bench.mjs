// @ts-check
// `npm run bench [-- name…]`: the set-up, then the benchmarks.
import { command } from './lib/command.mjs';
import { TEST_IMAGE } from './lib/images.mjs';
import { setUp } from './setup.mjs';

await command(async () => {
  await setUp([TEST_IMAGE]);
  const { main } = await import('../bench/main.mjs');
  return main(process.argv.slice(2).filter((arg) => arg !== '--yes'));
});
