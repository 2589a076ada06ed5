// @ts-check
// What demo, test, check and bench share: bring this machine to where they can run. Node's own modules only.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from './lib/build.mjs';
import { atEnd } from './lib/command.mjs';
import { ensureImages } from './lib/images.mjs';
import { aptLine, checkNode, ensureComponents, ensureDependencies, isDebianLike } from './lib/packages.mjs';
import { leavePrivateEngine, privateEngineRuns, startPrivateEngine } from './lib/private-engine.mjs';
import { onPath } from './lib/run.mjs';
import { SetupError, root, say } from './lib/say.mjs';

/**
 * What an engine needs on Debian and Ubuntu: the engine, the init that passes signals on in containers, the busybox
 * that images are made from, and what makes the private engine's bridge.
 */
const ENGINE_COMPONENTS = [
  { apt: 'docker.io', programs: ['dockerd'] },
  { apt: 'tini', programs: ['docker-init'] },
  { apt: 'busybox-static', programs: ['busybox'] },
  { apt: 'iproute2', programs: ['ip'] },
];

/**
 * @typedef {{ dockerHost: string, description: string }} Engine
 * @typedef {import('./lib/packages.mjs').Component} Component
 */

/** Node and the npm packages. Enough for `check`. */
export async function setUpTools() {
  checkNode();
  await ensureDependencies();
}

/**
 * Everything up to an engine that answers, with DOCKER_HOST set for this process and its children.
 * @param {readonly string[]} images
 * @returns {Promise<Engine>}
 */
export async function setUp(images) {
  await setUpTools();
  await ensureBuilt();
  const engine = await ensureEngine();
  process.env['DOCKER_HOST'] = engine.dockerHost;
  await ensureImages(engine.dockerHost, images);
  say(`set-up: container engine: ${engine.description}`);
  return engine;
}

// ---- the engine --------------------------------------------------------------------------------------------------

/**
 * What `ensureEngine` asks and changes: a test hands in another.
 * @typedef {object} EngineParts
 * @property {() => Promise<{ engine?: Engine, tried: FoundEngine['tried'] }>} askFinder
 * @property {() => Promise<boolean>} privateEngineRuns
 * @property {() => Promise<Engine>} joinPrivate
 * @property {() => boolean} mayInstall
 * @property {(components: readonly Component[], why: string) => Promise<void>} ensureComponents
 * @property {(text: string) => void} say
 * @property {NodeJS.ProcessEnv} env
 */

/**
 * The engine of this machine if one answers, else one that this installs, else a private one.
 * @param {EngineParts} [parts]
 * @returns {Promise<Engine>}
 */
export async function ensureEngine(parts = THIS_MACHINE) {
  const found = await parts.askFinder();
  if (found.engine !== undefined) return found.engine;
  const tried = found.tried.map(({ place, why }) => `  ${place}: ${why}`).join('\n');
  // Who names an engine does not expect another one.
  if (parts.env['DOCKER_HOST']) {
    throw new SetupError(
      `The engine that DOCKER_HOST names cannot be used:\n${tried}\nStart it, or unset DOCKER_HOST.`,
    );
  }
  if (await parts.privateEngineRuns()) return parts.joinPrivate();
  parts.say(`set-up: no container engine answers:\n${tried}`);
  if (!parts.mayInstall()) throw new SetupError(howToGetAnEngine());
  await parts.ensureComponents(ENGINE_COMPONENTS, 'to run containers');
  const again = await parts.askFinder();
  return again.engine ?? parts.joinPrivate();
}

/** @type {EngineParts} */
const THIS_MACHINE = {
  askFinder,
  privateEngineRuns: () => privateEngineRuns(),
  joinPrivate,
  mayInstall: () => isDebianLike() && process.getuid?.() === 0,
  ensureComponents: (components, why) => ensureComponents(components, why),
  say,
  env: process.env,
};

/** @returns {Promise<Engine>} */
async function joinPrivate() {
  // Registered before the start: a Ctrl-C while it starts must stop it too.
  atEnd(leavePrivateEngine);
  const dockerHost = await startPrivateEngine();
  return { dockerHost, description: `a private one of this clone, stopped again at the end (${dockerHost})` };
}

/**
 * @typedef {import('../src/runners/docker/find-engine.ts').FoundEngine} FoundEngine
 * @typedef {import('../src/runners/docker/find-engine.ts').EngineEndpoint} EngineEndpoint
 */

/**
 * The product's own finder, so that the set-up and `tappet doctor` never disagree.
 * @returns {Promise<{ engine?: Engine, tried: FoundEngine['tried'] }>}
 */
async function askFinder() {
  const file = join(root, 'dist/src/runners/docker/find-engine.js');
  /** @type {typeof import('../src/runners/docker/find-engine.ts')} */
  const { findEngine } = await import(pathToFileURL(file).href);
  const found = await findEngine({ env: process.env });
  if (!found.found) return { tried: found.tried };
  const dockerHost = dockerHostOf(found.endpoint);
  const name = found.kind === 'podman' ? 'Podman' : 'Docker';
  return {
    tried: found.tried,
    engine: { dockerHost, description: `${name} ${found.version} at ${dockerHost}` },
  };
}

/** @param {EngineEndpoint} endpoint */
function dockerHostOf(endpoint) {
  return endpoint.kind === 'unix' ? `unix://${endpoint.path}` : `tcp://${endpoint.host}:${endpoint.port}`;
}

function howToGetAnEngine() {
  const mayUse = 'sudo usermod -aG docker $USER   # then log in again';
  if (process.platform === 'linux' && onPath('dockerd')) {
    const why = 'A container engine is installed, but it does not run or is not open to you.';
    return `${why} This line changes that:\n  sudo systemctl start docker && ${mayUse}`;
  }
  const line = 'A container engine is needed. This line installs and starts one:';
  if (isDebianLike())
    return `${line}\n  ${aptLine(ENGINE_COMPONENTS.map((component) => component.apt))} && ${mayUse}`;
  if (process.platform === 'darwin') return `${line}\n  brew install colima docker && colima start`;
  return 'A container engine is needed: install and start Docker or Podman; set DOCKER_HOST if its socket is in an unusual place.';
}
