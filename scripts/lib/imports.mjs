// @ts-check
// What imports what in the product, read from the code in one walk: for the import rules, and for the graph of the docs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, tail } from './run.mjs';
import { root } from './say.mjs';

export const PAGE = 'docs/architecture.md';
const BEGIN = '<!-- graph:start -->';
const END = '<!-- graph:end -->';

/** @typedef {import('dependency-cruiser').ICruiseResult} Walk */

/** @returns {Promise<Walk>} */
export async function walk() {
  const cruiser = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const args = [cruiser, 'src', 'triggers', '--output-type=json', '--no-progress'];
  const { output } = await run(process.execPath, args);
  try {
    return JSON.parse(output);
  } catch (cause) {
    throw new Error(`dependency-cruiser failed:\n${tail(output)}`, { cause });
  }
}

/**
 * The rules that are broken, with the files; undefined where none is.
 * @param {Walk} walked
 */
export async function brokenRules(walked) {
  if (walked.summary.violations.length === 0) return undefined;
  // Loaded only here: it takes as long as the walk.
  const { format } = await import('dependency-cruiser');
  const { output } = await format(walked, { outputType: 'err-long' });
  return /** @type {string} */ (output);
}

/**
 * The page with the graph in it, as it stands and as the code says that it must be.
 * @param {Walk} walked
 */
export function pageOf(walked) {
  const page = readFileSync(join(root, PAGE), 'utf8');
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) {
    throw new Error(`${PAGE} has no place for the graph: it needs the lines ${BEGIN} and ${END}`);
  }
  const graph = drawGraph(roomImports(walked));
  return { page, fresh: `${page.slice(0, begin + BEGIN.length)}\n\n${graph}\n\n${page.slice(end)}` };
}

/**
 * Pairs of rooms, each once.
 * @param {Walk} walked
 */
function roomImports({ modules }) {
  /** @type {Set<string>} */
  const pairs = new Set();
  for (const { source, dependencies } of modules) {
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
