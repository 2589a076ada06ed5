// @ts-check
// PostgreSQL for the tests of two examples: Debian's server, and its psql with the libraries it loads for an image.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ensureComponents } from './packages.mjs';
import { run, tail } from './run.mjs';
import { SetupError } from './say.mjs';
import { isExecutable } from './user-cache.mjs';

/** Debian keeps each version in a folder of its own, which is on nobody's PATH. */
const VERSIONS = '/usr/lib/postgresql';
const PROGRAMS = ['postgres', 'initdb', 'psql'];

/**
 * The folder of the programs of the newest version that is whole, if there is one.
 * @param {string} [versions]
 * @returns {string | undefined}
 */
export function findPostgres(versions = VERSIONS) {
  return list(versions)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(versions, version, 'bin'))
    .find((bin) => PROGRAMS.every((program) => isExecutable(join(bin, program))));
}

/** @param {string} folder */
function list(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** What `ensureComponents` is asked for: its programs are where they are found, or have names that nothing has. */
const COMPONENT = {
  apt: 'postgresql',
  get programs() {
    const bin = findPostgres();
    return PROGRAMS.map((program) => (bin === undefined ? join(VERSIONS, program) : join(bin, program)));
  },
};

/**
 * The folder with `postgres`, `initdb` and `psql`; installs Debian's package where it is missing.
 * @returns {Promise<string>}
 */
export async function ensurePostgres() {
  await ensureComponents([COMPONENT], 'to test the examples that write to a real PostgreSQL');
  const bin = findPostgres();
  if (bin === undefined) throw new SetupError(`There is no PostgreSQL server below ${VERSIONS}.`);
  return bin;
}

/**
 * What an image needs to run this machine's psql: the program as `bin/psql`, and each library that it loads, where it
 * is here. As entries of a tar.
 * @returns {Promise<{ name: string, mode: number, type: '0', body: Buffer }[]>}
 */
export async function psqlFiles() {
  const program = join(await ensurePostgres(), 'psql');
  const { code, output } = await run('ldd', [program]);
  if (code !== 0) throw new SetupError(`ldd does not tell what ${program} loads:\n${tail(output, 5)}`);
  const libraries = [...output.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map(([, path = '']) => path);
  return [
    { name: 'bin/psql', path: program },
    ...libraries.sort().map((path) => ({ name: path.slice(1), path })),
  ].map(({ name, path }) => ({ name, mode: 0o755, type: '0', body: readFileSync(path) }));
}
