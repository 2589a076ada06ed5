// @ts-check
// `npm run graph`: draws which room imports which, read from the code, into docs/architecture.md between its two markers.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PAGE, pageOf, walk } from './lib/imports.mjs';
import { root } from './lib/say.mjs';

writeFileSync(join(root, PAGE), pageOf(await walk()).fresh);
