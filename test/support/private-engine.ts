import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { findEngine } from '../../src/runners/docker/find-engine.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { engineRequest } from './engine.ts';

/** A dockerd of the test's own, to be killed and started again. Needs root and Debian's docker.io. */
export interface PrivateEngine {
  readonly endpoint: EngineEndpoint;
  /** SIGKILL: no word to anyone. */
  kill(): Promise<void>;
  /** SIGTERM: it ends its containers first, unless it is to leave them running. */
  stop(): Promise<void>;
  /** With the data of before. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Starts one in a short path: a socket's path ends at 107 bytes. `liveRestore`: its containers outlive it. */
export async function privateEngine({ liveRestore = false } = {}): Promise<PrivateEngine> {
  const dir = await mkdtemp('/tmp/tpte-');
  const socket = join(dir, 'd.sock');
  const endpoint: EngineEndpoint = { kind: 'unix', path: socket };
  // No bridge of its own and no firewall rules: it may stand beside any other engine of the machine.
  const args = [
    '--data-root',
    join(dir, 'data'),
    '--exec-root',
    join(dir, 'exec'),
    '--pidfile',
    join(dir, 'd.pid'),
  ];
  const more = ['-H', `unix://${socket}`, '--bridge', 'none', '--iptables=false', '--ip6tables=false'];
  if (liveRestore) more.push('--live-restore');
  const output = join(dir, 'dockerd.log');
  let daemon: ChildProcess = spawn('true');

  const start = async () => {
    const log = await open(output, 'a');
    daemon = spawn('dockerd', [...args, ...more], { stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    const signal = AbortSignal.timeout(40_000);
    while (!signal.aborted) {
      const found = await findEngine({ env: { DOCKER_HOST: `unix://${socket}` } });
      if (found.found) return;
      if (daemon.exitCode !== null) break;
      await setTimeout(50);
    }
    throw new Error(`dockerd did not start:\n${(await readFile(output, 'utf8')).slice(-3000)}`);
  };
  const end = async (signal: NodeJS.Signals) => {
    if (daemon.exitCode !== null || daemon.signalCode !== null) return;
    const ended = once(daemon, 'exit');
    daemon.kill(signal);
    await ended;
  };
  const pidFile = join(dir, 'exec', 'containerd', 'containerd.pid');
  // dockerd's own containerd goes with it, but may stay a zombie that the next dockerd takes for a live one.
  const endContainerd = async (signal: NodeJS.Signals) => {
    const pid = Number(await readFile(pidFile, 'utf8').catch(() => '0'));
    if (pid > 0) endProcess(pid, signal);
    await rm(pidFile, { force: true });
  };
  const kill = async () => {
    await end('SIGKILL');
    await endContainerd('SIGKILL');
  };
  const stop = async () => {
    await end('SIGTERM');
    await endContainerd('SIGTERM');
  };
  const close = async () => {
    await empty(endpoint);
    await end('SIGTERM');
    await endContainerd('SIGTERM');
    // A killed dockerd leaves its data folder mounted onto itself, once for each start.
    while (spawnSync('umount', [join(dir, 'data')]).status === 0);
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  };
  await start();
  return { endpoint, start, kill, stop, close };
}

/** Containers that a failed test left would outlive an engine that leaves them running, bridges any engine. */
async function empty(endpoint: EngineEndpoint): Promise<void> {
  try {
    const containers = await engineRequest(endpoint, 'GET', '/v1.41/containers/json?all=1');
    for (const { Id } of JSON.parse(containers.body) as { Id: string }[])
      await engineRequest(endpoint, 'DELETE', `/v1.41/containers/${Id}?force=1&v=1`);
    await engineRequest(endpoint, 'POST', '/v1.41/networks/prune');
  } catch {
    // It does not run: there is nobody to ask.
  }
}

function endProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}
