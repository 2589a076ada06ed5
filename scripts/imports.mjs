// @ts-check
// The step `imports` of `npm run check`: whether the import rules hold, and whether the graph in the docs is still true.
import { PAGE, brokenRules, pageOf, walk } from './lib/imports.mjs';

const walked = await walk();
const broken = await brokenRules(walked);
const { page, fresh } = pageOf(walked);
if (broken !== undefined) process.stdout.write(`${broken}\n`);
if (fresh !== page) {
  process.stdout.write(
    `The graph in ${PAGE} is not what the code says any more. This line draws it anew:\n  npm run graph\n`,
  );
}
if (walked.summary.error > 0 || fresh !== page) process.exitCode = 1;
