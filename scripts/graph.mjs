// @ts-check
// Draws which room imports which, read from the code, into docs/architecture.md between its two markers.
// `--check` only tells whether the page still says the truth.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, tail } from './lib/run.mjs';
import { root } from './lib/say.mjs';

const PAGE = 'docs/architecture.md';
const BEGIN = '<!-- graph:start -->';
const END = '<!-- graph:end -->';

const graph = drawGraph(await roomImports());
const page = readFileSync(join(root, PAGE), 'utf8');
const begin = page.indexOf(BEGIN);
const end = page.indexOf(END);
if (begin < 0 || end < begin) {
  throw new Error(`${PAGE} has no place for the graph: it needs the lines ${BEGIN} and ${END}`);
}
const fresh = `${page.slice(0, begin + BEGIN.length)}\n\n${graph}\n\n${page.slice(end)}`;
if (!process.argv.includes('--check')) writeFileSync(join(root, PAGE), fresh);
else if (fresh !== page) {
  process.stdout.write(
    `The graph in ${PAGE} is not what the code says any more. This line draws it anew:\n  npm run graph\n`,
  );
  process.exitCode = 1;
}

/**
 * Pairs of rooms, each once.
 * @returns {Promise<[string, string][]>}
 */
async function roomImports() {
  const cruiser = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const result = await run(process.execPath, [
    cruiser,
    'src',
    'triggers',
    '--output-type=json',
    '--no-progress',
  ]);
  /** @type {{ modules: { source: string, dependencies: { resolved: string }[] }[] }} */
  let cruised;
  try {
    cruised = JSON.parse(result.output);
  } catch (cause) {
    throw new Error(`dependency-cruiser failed:\n${tail(result.output)}`, { cause });
  }
  /** @type {Set<string>} */
  const pairs = new Set();
  for (const { source, dependencies } of cruised.modules) {
    for (const { resolved } of dependencies) {
      const [from, to] = [roomOf(source), roomOf(resolved)];
      if (from !== undefined && to !== undefined && from !== to) pairs.add(`${from} ${to}`);
    }
  }
  return [...pairs].sort().map((pair) => /** @type {[string, string]} */ (pair.split(' ')));
}

/**
 * `src/core/job.ts` → core, `src/runners/docker/…` → runners/docker, `src/main.ts` → main, `triggers/cron/…` → triggers/cron.
 * @param {string} path
 */
function roomOf(path) {
  const parts = path.split('/');
  if (parts[0] === 'triggers') return parts.length > 2 ? `triggers/${parts[1]}` : 'triggers';
  if (parts[0] !== 'src') return undefined;
  if (parts[1] === 'cli.ts') return 'cli';
  // Everything beside main.ts belongs to it.
  if (parts.length === 2) return 'main';
  return ['runners', 'stores'].includes(parts[1] ?? '') && parts.length > 3
    ? `${parts[1]}/${parts[2]}`
    : parts[1];
}

/**
 * Arrows mean "imports". core and lib are left out as targets: every room may import them, and almost all do.
 * @param {readonly [string, string][]} pairs
 */
function drawGraph(pairs) {
  const everywhere = ['core', 'lib'];
  const id = (/** @type {string} */ room) => room.replaceAll('/', '_');
  const shown = pairs.filter(([, to]) => !everywhere.includes(to));
  const rooms = [...new Set(pairs.flat())].filter((room) => !everywhere.includes(room)).sort();
  return [
    '```mermaid',
    'flowchart TD',
    ...rooms.map((room) => `  ${id(room)}["${room}"]`),
    ...shown.map(([from, to]) => `  ${id(from)} --> ${id(to)}`),
    '```',
  ].join('\n');
}
