// @ts-check
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What is started or imported from outside of `dist`; each keeps its path, what they share goes into `dist/chunks`. */
const ENTRIES = ['src/cli', 'src/main', 'src/runners/docker/find-engine', 'src/config/json-schema'];

/** Stay packages: one is a native module, the other starts a worker from a file of its own. */
const EXTERNAL = ['better-sqlite3', 'pino'];

/** The engine's client would load this for engines by ssh, which we do not offer: a fifth of its modules. */
const LEFT_OUT = 'ssh2';
const leaveOut = {
  name: 'leave-out',
  resolveId: (/** @type {string} */ id) => (id === LEFT_OUT ? `\0${LEFT_OUT}` : undefined),
  load: (/** @type {string} */ id) => (id === `\0${LEFT_OUT}` ? 'module.exports = {};' : undefined),
};

/**
 * Our sources and the packages that they use as a few files in `outDir`. Loading some 600 modules one by one took half
 * of the gateway's start: 2.4 s against 1.4 s on a busy machine, and adoption waits for it. Types are not looked at.
 * @param {string} root
 * @param {string} outDir
 */
export async function bundle(root, outDir) {
  // Only now: this file is read before the packages are installed.
  const { rolldown } = await import('rolldown');
  const build = await rolldown({
    cwd: root,
    input: Object.fromEntries(ENTRIES.map((entry) => [entry, `${entry}.ts`])),
    platform: 'node',
    external: EXTERNAL,
    plugins: [leaveOut],
    transform: { define: { __dirname: 'import.meta.dirname' } },
    logLevel: 'warn',
  });
  try {
    const { output } = await build.write({
      dir: outDir,
      format: 'esm',
      sourcemap: true,
      entryFileNames: '[name].js',
      chunkFileNames: 'chunks/[name]-[hash].js',
    });
    const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
    writeFileSync(join(outDir, 'THIRD-PARTY.txt'), licences(modules));
  } finally {
    await build.close();
  }
}

/**
 * The licences of the packages that the bundle holds: most ask for their text to go along.
 * @param {readonly string[]} modules
 */
function licences(modules) {
  const folders = new Set(
    modules.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? []),
  );
  return [...folders]
    .sort()
    .map(licenceOf)
    .join(`\n${'-'.repeat(80)}\n`);
}

/** @param {string} folder */
function licenceOf(folder) {
  const manifest = join(folder, 'package.json');
  if (!existsSync(manifest)) return `${folder}\n`;
  const { name, version, license } = JSON.parse(readFileSync(manifest, 'utf8'));
  const file = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  const text = file === undefined ? `License: ${license}` : readFileSync(join(folder, file), 'utf8');
  return `${name} ${version} (${license})\n\n${text.trim()}\n`;
}
