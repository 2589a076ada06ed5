// @ts-check
/**
 * A dockerd of this clone's own, for machines where none answers. Its images and layers stay in `.tappet/engine`
 * between runs; its sockets live under a short path in /tmp. Several commands of the clone share it: each writes its
 * identity into `users/`, and the last one to leave stops it. What a killed command left is found by those files and
 * by /proc/<pid>/cmdline, and ended before anything new is started; nothing else is ever signalled.
 */
import { spawn } from 'node:child_process';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeClone, freeSubnet, readRoutes } from './clone.mjs';
import { callEngine, pingEngine } from './engine-api.mjs';
import { ownerLives, withLock, writeIdentity } from './lock.mjs';
import { endProcess, findByArguments, tryKill, withDescendants } from './processes.mjs';
import { run, tail, withSbin } from './run.mjs';
import { SetupError, say, step } from './say.mjs';

/**
 * @typedef {import('./clone.mjs').Clone} Clone
 */

/** @param {Clone} clone */
function paths(clone) {
  const dir = join(clone.stateDir, 'engine');
  return {
    dir,
    users: join(dir, 'users'),
    lock: join(dir, 'lock'),
    config: join(dir, 'daemon.json'),
    subnet: join(dir, 'subnet.json'),
    data: join(dir, 'data'),
    log: join(dir, 'dockerd.log'),
    exec: join(clone.tempDir, 'exec'),
    pid: join(clone.tempDir, 'docker.pid'),
    socket: join(clone.tempDir, 'docker.sock'),
  };
}

/**
 * Joins this clone's engine, or starts it. Call `leavePrivateEngine` before the process ends.
 * @returns {Promise<string>} for DOCKER_HOST
 */
export async function startPrivateEngine(clone = describeClone()) {
  const path = paths(clone);
  const dockerHost = `unix://${path.socket}`;
  mkdirSync(path.users, { recursive: true });
  await withLock(path.lock, async () => {
    if ((await pingEngine(dockerHost)) === undefined || findDaemon(clone) === undefined) {
      await cleanUp(clone);
      await step(`starting a private container engine (${dockerHost})`, () => launch(clone));
    }
    writeIdentity(join(path.users, String(process.pid)));
  });
  return dockerHost;
}

/**
 * Whether a private engine of this clone is there to be joined.
 * @returns {Promise<boolean>}
 */
export async function privateEngineRuns(clone = describeClone()) {
  return findDaemon(clone) !== undefined && (await pingEngine(`unix://${paths(clone).socket}`)) !== undefined;
}

/** Stops the engine, unless another command of this clone still uses it. */
export async function leavePrivateEngine(clone = describeClone()) {
  const path = paths(clone);
  await withLock(path.lock, async () => {
    rmSync(join(path.users, String(process.pid)), { force: true });
    if (liveUsers(path.users) > 0) return;
    await emptyEngine(`unix://${path.socket}`);
    await cleanUp(clone);
  });
}

/** @param {string} dir */
function liveUsers(dir) {
  let live = 0;
  for (const name of readdirSync(dir)) {
    if (ownerLives(join(dir, name))) live++;
    else rmSync(join(dir, name), { force: true });
  }
  return live;
}

// ---- start -------------------------------------------------------------------------------------------------------

/** What to try in turn: machines that hide iptables from us still run containers, without a way out. */
const FALLBACKS = [{}, { iptables: false, 'ip-masq': false, 'ip-forward': false }];

/** @param {Clone} clone */
async function launch(clone) {
  const path = paths(clone);
  ownFolder(clone.tempDir);
  const subnet = chooseSubnet(clone);
  await makeBridge(clone.bridge, subnet.gateway);
  let trouble = '';
  for (const fallback of FALLBACKS) {
    const config = {
      'data-root': path.data,
      'exec-root': path.exec,
      pidfile: path.pid,
      hosts: [`unix://${path.socket}`],
      bridge: clone.bridge,
      'default-address-pools': [{ base: subnet.pool, size: 24 }],
      'log-level': 'warn',
      ...fallback,
    };
    writeFileSync(path.config, JSON.stringify(config, null, 2));
    if (await answers(clone)) {
      if (fallback !== FALLBACKS[0])
        say('set-up: dockerd runs without iptables: containers cannot reach the outside');
      return;
    }
    trouble = tail(readFileSync(path.log, 'utf8'), 12);
    await endDaemon(clone);
  }
  await cleanUp(clone);
  throw new SetupError(
    `No container engine answers, and a private dockerd does not start here. Its last words (${path.log}):\n${trouble}\n` +
      'Start an engine yourself and set DOCKER_HOST, or give this machine the rights that dockerd needs.',
  );
}

/**
 * Starts dockerd in a session of its own, so that a Ctrl-C meant for us does not take it away under the containers.
 * @param {Clone} clone
 */
async function answers(clone) {
  const path = paths(clone);
  const log = openSync(path.log, 'w');
  const env = withSbin();
  const child = spawn('dockerd', ['--config-file', path.config], {
    detached: true,
    stdio: ['ignore', log, log],
    env,
  });
  closeSync(log);
  let ended = false;
  child.on('exit', () => (ended = true));
  child.on('error', (error) => {
    ended = true;
    writeFileSync(path.log, `dockerd: ${error.message}\n`);
  });
  child.unref();
  const until = Date.now() + 60_000;
  while (!ended && Date.now() < until) {
    if ((await pingEngine(`unix://${path.socket}`, 1_000)) !== undefined) return true;
    await sleep(100);
  }
  return false;
}

/**
 * A folder in /tmp whose name anyone can guess must be ours before a root daemon puts its socket there.
 * @param {string} dir
 */
function ownFolder(dir) {
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { mode: 0o700 });
  const stat = lstatSync(dir);
  if (!stat.isDirectory() || stat.uid !== process.getuid?.())
    throw new SetupError(`${dir} belongs to someone else.`);
}

/**
 * The subnet of the last run where it is still free: networks in the data folder keep their addresses.
 * @param {Clone} clone
 */
function chooseSubnet(clone) {
  const path = paths(clone);
  let last;
  try {
    last = JSON.parse(readFileSync(path.subnet, 'utf8')).block;
  } catch {
    last = undefined;
  }
  const subnet = freeSubnet(last ?? clone.block, readRoutes());
  if (subnet === undefined)
    throw new SetupError('No free subnet in 10.128.0.0-10.247.0.0 for a private engine.');
  // Networks of another block would be brought back with addresses that are now someone else's.
  if (subnet.block !== last) rmSync(join(path.data, 'network'), { recursive: true, force: true });
  writeFileSync(path.subnet, JSON.stringify(subnet));
  return subnet;
}

/**
 * @param {string} bridge
 * @param {string} address
 */
async function makeBridge(bridge, address) {
  const commands = [
    ['link', 'add', bridge, 'type', 'bridge'],
    ['address', 'add', address, 'dev', bridge],
    ['link', 'set', bridge, 'up'],
  ];
  for (const command of commands) {
    const result = await run('ip', command, { env: withSbin() });
    if (result.code !== 0) {
      throw new SetupError(
        `A network for the private engine could not be made: ip ${command.join(' ')}: ${tail(result.output)}`,
      );
    }
  }
}

// ---- stop --------------------------------------------------------------------------------------------------------

/**
 * Containers and networks that tests or a demo left; images stay for the next run.
 * @param {string} dockerHost
 */
async function emptyEngine(dockerHost) {
  const version = await pingEngine(dockerHost);
  if (version === undefined) return;
  try {
    const list = await callEngine(dockerHost, `${version}/containers/json?all=1`);
    /** @type {{ Id: string }[]} */
    const containers = JSON.parse(list.text);
    for (const { Id } of containers) {
      await callEngine(dockerHost, `${version}/containers/${Id}?force=1&v=1`, { method: 'DELETE' });
    }
    await callEngine(dockerHost, `${version}/networks/prune`, { method: 'POST' });
  } catch (error) {
    say(
      `set-up: the private engine could not be emptied: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/**
 * Ends the daemon if it runs, and takes away what it leaves on the machine: its containerd, containers whose
 * shepherds outlived it, mounts, firewall rules, bridges, sockets.
 * @param {Clone} clone
 */
async function cleanUp(clone) {
  await endDaemon(clone);
  for (const pid of strayProcesses(clone)) tryKill(pid, 'SIGKILL');
  await unmountAll(clone);
  await removeNetwork(clone);
  rmSync(clone.tempDir, { recursive: true, force: true });
}

/** @param {Clone} clone */
async function endDaemon(clone) {
  const pid = findDaemon(clone);
  if (pid !== undefined) await endProcess(pid, 20_000);
  const containerd = findByArguments(
    (args) => /(^|\/)containerd$/.test(args[0] ?? '') && args.includes(containerdToml(clone)),
  );
  for (const child of containerd) await endProcess(child, 5_000);
}

/** @param {Clone} clone */
const containerdToml = (clone) => join(paths(clone).exec, 'containerd/containerd.toml');

/**
 * The dockerd that was started with our configuration file, whatever a pid file may say.
 * @param {Clone} clone
 */
function findDaemon(clone) {
  const { config } = paths(clone);
  return findByArguments((args) => /(^|\/)dockerd$/.test(args[0] ?? '') && args.includes(config))[0];
}

/**
 * Container shims that serve our containerd's socket, with everything below them.
 * @param {Clone} clone
 */
function strayProcesses(clone) {
  const address = join(paths(clone).exec, 'containerd/containerd.sock');
  const shims = findByArguments(
    (args) => (args[0] ?? '').includes('containerd-shim') && args.includes(address),
  );
  return withDescendants(shims);
}

/** @param {Clone} clone */
async function unmountAll(clone) {
  // dockerd also mounts its data folder onto itself. The kernel writes spaces and the like as octal.
  const { data, exec } = paths(clone);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .map((path) => path.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8))));
  const ours = mounts.filter(
    (mount) => mount === data || [data, exec].some((dir) => mount.startsWith(`${dir}/`)),
  );
  for (const mount of ours.sort((a, b) => b.length - a.length)) await run('umount', ['-l', mount]);
}

/**
 * dockerd takes neither its bridges nor its firewall rules away when it ends.
 * @param {Clone} clone
 */
async function removeNetwork(clone) {
  const env = withSbin();
  const devices = await ourDevices(clone);
  for (const table of ['filter', 'nat', 'raw']) {
    const rules = await run('iptables', ['-w', '-t', table, '-S'], { env });
    for (const rule of rules.output.split('\n').filter((line) => line.startsWith('-A '))) {
      const words = rule.split(' ');
      if (!words.some((word) => devices.includes(word))) continue;
      await run('iptables', ['-w', '-t', table, '-D', ...words.slice(1)], { env });
    }
  }
  for (const device of devices) await run('ip', ['link', 'delete', device], { env });
}

/**
 * Our bridge, and the bridges of networks in our address pool.
 * @param {Clone} clone
 */
async function ourDevices(clone) {
  /** @type {import('./clone.mjs').Subnet | undefined} */
  let subnet;
  try {
    subnet = JSON.parse(readFileSync(paths(clone).subnet, 'utf8'));
  } catch {
    return [];
  }
  const block = `${subnet?.gateway.split('.', 2).join('.')}.`;
  const addresses = await run('ip', ['-4', '-o', 'address'], { env: withSbin() });
  const found = addresses.output
    .split('\n')
    .map((line) => line.split(/\s+/))
    .filter(
      ([, device = '', , address = '']) =>
        address.startsWith(block) && (device === clone.bridge || device.startsWith('br-')),
    )
    .map(([, device = '']) => device);
  const bridge = await run('ip', ['link', 'show', clone.bridge], { env: withSbin() });
  return [...new Set(bridge.code === 0 ? [clone.bridge, ...found] : found)];
}
