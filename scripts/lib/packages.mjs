// @ts-check
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { withLock } from './lock.mjs';
import { onPath, run, tail, withSbin } from './run.mjs';
import { SetupError, consent, root, step } from './say.mjs';

const MIN_NODE = /** @type {const} */ ([20, 19]);
const DAY = 24 * 3600_000;

/** @param {string} [version] */
export function checkNode(version = process.versions.node) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return;
  throw new SetupError(
    `Tappet needs Node.js ${MIN_NODE.join('.')} or newer; this is ${version}.\n` +
      'Install a newer one (https://nodejs.org, or your version manager: `nvm install 24`) and run this again.',
  );
}

// ---- Debian packages -----------------------------------------------------------------------------------------------

/**
 * What an apt package brings, so that nothing is installed that is there already.
 * @typedef {{ apt: string, programs: readonly string[] }} Component
 */

/** @param {Component} component */
export function hasComponent({ programs }) {
  return programs.every((program) => onPath(program));
}

/** @param {string} [osRelease] */
export function isDebianLike(osRelease) {
  let text = osRelease;
  try {
    text ??= readFileSync('/etc/os-release', 'utf8');
  } catch {
    return false;
  }
  const ids = [...text.matchAll(/^(?:ID|ID_LIKE)=(.*)$/gm)].flatMap((match) =>
    (match[1] ?? '').replaceAll('"', '').split(' '),
  );
  return (ids.includes('debian') || ids.includes('ubuntu')) && onPath('apt-get');
}

/** @param {readonly string[]} packages */
export function aptLine(packages) {
  const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
  return `${sudo}apt-get install --no-remove --no-install-recommends ${packages.join(' ')}`;
}

/**
 * Installs what is missing of these components. Throws a SetupError with the line that does it where we may not.
 * @param {readonly Component[]} components
 * @param {string} why completes "needed …"
 */
export async function ensureComponents(components, why) {
  const packages = components
    .filter((component) => !hasComponent(component))
    .map((component) => component.apt);
  if (packages.length === 0) return;
  const names = packages.join(', ');
  if (!isDebianLike()) {
    throw new SetupError(
      `Missing: ${names} (needed ${why}). Install them with your system's package manager.`,
    );
  }
  if (process.getuid?.() !== 0) {
    throw new SetupError(
      `Missing: ${names} (needed ${why}). This line installs them:\n  ${aptLine(packages)}`,
    );
  }
  if (!(await consent(`installing the Debian packages ${names} (needed ${why}): ${aptLine(packages)}`))) {
    throw new SetupError(`Not installed. This line does it:\n  ${aptLine(packages)}`);
  }
  await step(`apt-get install ${packages.join(' ')}`, () => aptInstall(packages));
}

/** @param {readonly string[]} packages */
async function aptInstall(packages) {
  const lists = listsAge();
  if (lists > 7 * DAY) await apt(['update']);
  const args = ['install', '-y', '--no-remove', '--no-install-recommends', ...packages];
  let result = await apt(args);
  if (result.code !== 0 && lists <= 7 * DAY) {
    // The lists may name versions that the mirror no longer has.
    await apt(['update']);
    result = await apt(args);
  }
  if (result.code !== 0) {
    throw new SetupError(`apt-get could not install ${packages.join(' ')}:\n${tail(result.output)}`);
  }
}

/** @param {readonly string[]} args */
function apt(args) {
  const env = { ...withSbin(), DEBIAN_FRONTEND: 'noninteractive' };
  return run('apt-get', ['-q', '-o', 'Dpkg::Use-Pty=0', '-o', 'DPkg::Lock::Timeout=300', ...args], { env });
}

/** Age of the package lists in ms; infinite where there are none. */
function listsAge(dir = '/var/lib/apt/lists') {
  try {
    const lists = readdirSync(dir).filter((name) => name.includes('_Packages'));
    const times = lists.map((name) => statSync(join(dir, name)).mtimeMs);
    // apt keeps the server's time on the files; the folder's own time tells of the last update.
    return times.length === 0 ? Infinity : Date.now() - Math.max(...times, statSync(dir).mtimeMs);
  } catch {
    return Infinity;
  }
}

// ---- npm packages --------------------------------------------------------------------------------------------------

const COMPILERS = [
  { apt: 'python3', programs: ['python3'] },
  { apt: 'make', programs: ['make'] },
  { apt: 'g++', programs: ['g++'] },
];

/** Brings node_modules to what the lockfile says, and does nothing where it is there. */
export async function ensureDependencies() {
  await withLock(join(root, '.tappet/install.lock'), async () => {
    if (dependenciesInstalled()) return;
    // better-sqlite3 has no ready-made binary for Node 20 and is compiled there.
    if (Number(process.versions.node.split('.')[0]) < 22) {
      await ensureComponents(COMPILERS, 'to compile better-sqlite3 for Node 20');
    }
    await step('npm ci (about a minute where better-sqlite3 is compiled)', npmCi);
  });
}

async function npmCi() {
  const env = { ...process.env };
  const prefix = dirname(dirname(process.execPath));
  // Node's own headers, where they came with it: no download.
  if (existsSync(join(prefix, 'include/node/node.h'))) env['npm_config_nodedir'] ??= prefix;
  let result = await run('npm', ['ci'], { env });
  if (result.code !== 0 && COMPILERS.some((component) => !hasComponent(component))) {
    await ensureComponents(COMPILERS, 'to compile better-sqlite3');
    result = await run('npm', ['ci'], { env });
  }
  if (result.code !== 0) throw new SetupError(`npm ci failed:\n${tail(result.output, 40)}`);
}

/**
 * node_modules holds exactly the versions of the lockfile (npm keeps its own account of what it installed), and the
 * one compiled package loads in this Node.
 */
export function dependenciesInstalled(dir = root) {
  try {
    const wanted = readLock(join(dir, 'package-lock.json'));
    const installed = readLock(join(dir, 'node_modules/.package-lock.json'));
    for (const [path, entry] of Object.entries(wanted)) {
      if (path === '' || entry.optional === true) continue;
      if (installed[path]?.version !== entry.version) return false;
    }
  } catch {
    return false;
  }
  const probe = "new (require('better-sqlite3'))(':memory:').close()";
  return spawnSync(process.execPath, ['-e', probe], { cwd: dir, stdio: 'ignore' }).status === 0;
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, optional?: boolean }>}
 */
function readLock(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages;
}
