import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { findEngine } from '../../src/runners/docker/find-engine.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';

/** Podman's Docker socket, of the test's own, with images and containers of its own. Needs root. */
export interface PodmanService {
  readonly endpoint: EngineEndpoint;
  close(): Promise<void>;
}

/**
 * Where the kernel has cgroups in their first version, Debian's conmon hears of a kill for memory but leaves its note,
 * a file `oom`, where the service was started, not beside the container, where Podman 4.3 looks for it.
 */
export const PODMAN_TELLS_MEMORY_KILLS = existsSync('/sys/fs/cgroup/cgroup.controllers');

/**
 * Podman gives containers as many files and processes as the kernel knows, which not every root may; ours are what any
 * machine allows.
 */
const CONF = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n';

/** Starts one in a short path: a socket's path ends at 107 bytes. */
export async function startPodman(): Promise<PodmanService> {
  const dir = await mkdtemp('/tmp/tptp-');
  const socket = join(dir, 'p.sock');
  await writeFile(join(dir, 'containers.conf'), CONF);
  const env = { ...process.env, CONTAINERS_CONF: join(dir, 'containers.conf') };
  const log = await open(join(dir, 'log'), 'a');
  const command = [...globalOptions(dir), 'system', 'service', '--time', '0', `unix://${socket}`];
  // Where conmon leaves its notes.
  const service = spawn('podman', command, { cwd: dir, env, stdio: ['ignore', log.fd, log.fd] });
  // `podman` is not there: said below.
  service.on('error', () => undefined);
  await log.close();
  const close = async () => {
    spawnSync('podman', [...globalOptions(dir), 'rm', '-af', '-t', '0'], { env });
    if (service.exitCode === null && service.signalCode === null && service.pid !== undefined) {
      const ended = once(service, 'exit');
      service.kill('SIGTERM');
      await ended;
    }
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  };
  const signal = AbortSignal.timeout(30_000);
  while (!signal.aborted && service.exitCode === null && service.pid !== undefined) {
    const found = await findEngine({ env: { DOCKER_HOST: `unix://${socket}` } });
    if (found.found) return { endpoint: { kind: 'unix', path: socket }, close };
    await setTimeout(50);
  }
  const words = await readFile(join(dir, 'log'), 'utf8');
  await close();
  throw new Error(`podman did not start:\n${words.slice(-3000)}`);
}

/**
 * Everything below `dir`, beside any other Podman of the machine. runc and cgroupfs: Debian's crun wants what a machine
 * without systemd does not have.
 */
const globalOptions = (dir: string): string[] => {
  const options = {
    root: join(dir, 'root'),
    runroot: join(dir, 'run'),
    tmpdir: join(dir, 'tmp'),
    'network-config-dir': join(dir, 'net'),
    'storage-driver': 'vfs',
    runtime: 'runc',
    'cgroup-manager': 'cgroupfs',
    'events-backend': 'file',
  };
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
};
