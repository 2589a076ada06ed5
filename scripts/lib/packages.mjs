// @ts-check
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { withLock } from './lock.mjs';
import { onPath, run, tail, withSbin } from './run.mjs';
import { SetupError, consent, root, say, step } from './say.mjs';

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
 * What an apt package brings, so that nothing is installed that is there already. `instead` is the package that
 * brings it where no `apt` exists: Debian 13 took docker-cli out of docker.io.
 * @typedef {{ apt: string, programs: readonly string[], instead?: string }} Component
 */

/**
 * What these functions ask and change: a test hands in another.
 * @typedef {object} Machine
 * @property {(component: Component) => boolean} has
 * @property {() => boolean} isDebianLike
 * @property {() => boolean} isRoot
 * @property {(what: string) => Promise<boolean>} consent
 * @property {(program: string, args: readonly string[], options?: import('./run.mjs').RunOptions) => Promise<import('./run.mjs').Ran>} run
 * @property {() => number} listsAge of apt's package lists in ms; infinite where there are none
 */

/** @param {Component} component */
export function hasComponent({ programs }) {
  return programs.every((program) => onPath(program));
}

const isRoot = () => process.getuid?.() === 0;

/** @type {Machine} */
const THIS_MACHINE = {
  has: hasComponent,
  isDebianLike: () => isDebianLike(),
  isRoot,
  consent: (what) => consent(what),
  run,
  listsAge: () => listsAge(),
};

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

/**
 * @param {readonly string[]} packages
 * @param {boolean} byRoot whether root is to type it
 */
export function aptLine(packages, byRoot = isRoot()) {
  return `${byRoot ? '' : 'sudo '}apt-get install --no-remove --no-install-recommends ${packages.join(' ')}`;
}

/**
 * Installs what is missing of these components. Throws a SetupError with the line that does it where we may not.
 * @param {readonly Component[]} components
 * @param {string} why completes "needed …"
 */
export async function ensureComponents(components, why, machine = THIS_MACHINE) {
  const missing = components.filter((component) => !machine.has(component));
  if (missing.length === 0) return;
  if (!machine.isDebianLike()) {
    const names = missing.map((component) => component.apt).join(', ');
    throw new SetupError(
      `Missing: ${names} (needed ${why}). Install them with your system's package manager.`,
    );
  }
  const packages = await packagesOf(missing, machine);
  const names = packages.join(', ');
  const line = aptLine(packages, machine.isRoot());
  if (!machine.isRoot()) {
    throw new SetupError(`Missing: ${names} (needed ${why}). This line installs them:\n  ${line}`);
  }
  if (!(await machine.consent(`installing the Debian packages ${names} (needed ${why}): ${line}`))) {
    throw new SetupError(`Not installed. This line does it:\n  ${line}`);
  }
  await install(packages, machine);
  // With the lists that the first install has fetched, a package may have another name.
  const left = missing.filter((component) => !machine.has(component));
  const renamed = (await packagesOf(left, machine)).filter((name) => !packages.includes(name));
  if (renamed.length > 0) await install(renamed, machine);
  const absent = left.filter((component) => !machine.has(component)).flatMap(({ programs }) => programs);
  if (absent.length > 0) say(`set-up: installed, but still not to be found: ${absent.join(', ')}`);
}

/**
 * @param {readonly Component[]} components
 * @param {Machine} machine
 * @returns {Promise<string[]>} each name once
 */
async function packagesOf(components, machine) {
  /** @type {Set<string>} */
  const names = new Set();
  for (const component of components) {
    const { instead = component.apt } = component;
    const known = instead === component.apt || (await hasCandidate(component.apt, machine));
    names.add(known ? component.apt : instead);
  }
  return [...names];
}

/**
 * @param {string} name
 * @param {Machine} machine
 */
async function hasCandidate(name, machine) {
  const env = { ...process.env, LC_ALL: 'C' };
  const { output } = await machine.run('apt-cache', ['policy', name], { env });
  return /^ *Candidate: (?!\(none\))/m.test(output);
}

/**
 * @param {readonly string[]} packages
 * @param {Machine} machine
 */
async function install(packages, machine) {
  await step(`apt-get install ${packages.join(' ')}`, () => aptInstall(packages, machine));
}

/**
 * @param {readonly string[]} packages
 * @param {Machine} machine
 */
async function aptInstall(packages, machine) {
  const lists = machine.listsAge();
  if (lists > 7 * DAY) await apt(['update'], machine);
  const args = ['install', '-y', '--no-remove', '--no-install-recommends', ...packages];
  let result = await apt(args, machine);
  if (result.code !== 0 && lists <= 7 * DAY) {
    // The lists may name versions that the mirror no longer has.
    await apt(['update'], machine);
    result = await apt(args, machine);
  }
  if (result.code !== 0) {
    throw new SetupError(`apt-get could not install ${packages.join(' ')}:\n${tail(result.output)}`);
  }
}

/**
 * @param {readonly string[]} args
 * @param {Machine} machine
 */
function apt(args, machine) {
  const env = { ...withSbin(), DEBIAN_FRONTEND: 'noninteractive' };
  return machine.run('apt-get', ['-q', '-o', 'Dpkg::Use-Pty=0', '-o', 'DPkg::Lock::Timeout=300', ...args], {
    env,
  });
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
