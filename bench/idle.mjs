// Resident memory of an idle gateway with a schedule, a webhook and a job, against a bare service of the same libraries.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratch, startGateway, startProgram } from './lib.mjs';

/** V8 and the kernel take some 20 s to give back what only the start needed. */
const IDLE_MS = 30_000;

export async function benchIdle() {
  const { dir, remove } = scratch();
  const triggers = {
    in: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'none' } },
    nightly: { source: { kind: 'cron', cron: '0 3 * * *', zone: 'Europe/Berlin' }, run: { job: 'none' } },
  };
  const config = { jobs: { none: { image: 'none:1' } }, triggers };
  const gateway = await startGateway(dir, config, { DOCKER_HOST: 'unix:///nowhere/docker.sock' });
  const floor = await startProgram([join(import.meta.dirname, 'floors/idle.mjs'), join(dir, 'floor.db')]);
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const [ours, bare] = [rssMb(gateway.pid), rssMb(floor.pid)];
  await gateway.stop();
  await floor.stop();
  remove();
  return [{ name: 'idle-rss', ours: ours, floor: bare, note: `MB after ${IDLE_MS / 1000} s` }];
}

export function rssMb(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
}
