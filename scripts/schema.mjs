// @ts-check
// Writes config.schema.json from the zod schemas; `--check` only tells whether the file still says the same.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './lib/build.mjs';
import { explain, root } from './lib/say.mjs';

const FILE = join(root, 'config.schema.json');

try {
  await ensureBuilt();
  /** @type {typeof import('../src/config/json-schema.ts')} */
  const { configJsonSchema } = await import(pathToFileURL(join(root, 'dist/src/config/json-schema.js')).href);
  const fresh = `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
  if (!process.argv.includes('--check')) writeFileSync(FILE, fresh);
  else if (readFileSync(FILE, 'utf8') !== fresh) {
    process.stdout.write(
      'config.schema.json is not what the code says any more. This line writes it anew:\n  npm run schema\n',
    );
    process.exitCode = 1;
  }
} catch (error) {
  explain(error);
  process.exitCode = 1;
}
