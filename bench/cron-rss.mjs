// 10,000 schedules in five zones: resident memory of the idle gateway.
import { rssMb } from './idle.mjs';
import { scratch, startGateway } from './lib.mjs';

const SCHEDULES = 10_000;
const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Sydney'];

export async function benchCron() {
  const { dir, remove } = scratch();
  const triggers = {};
  for (let i = 0; i < SCHEDULES; i++) {
    const cron = `${i % 60} ${Math.floor(i / 60) % 24} ${1 + (i % 28)} * *`;
    triggers[`s-${i}`] = {
      source: { kind: 'cron', cron, zone: ZONES[i % ZONES.length] },
      run: { job: 'none' },
    };
  }
  const config = { jobs: { none: { image: 'none:1' } }, triggers };
  const began = Date.now();
  const gateway = await startGateway(dir, config, { DOCKER_HOST: 'unix:///nowhere/docker.sock' });
  const startMs = Date.now() - began;
  // Idle: V8 and the kernel take some 20 s to give back what only the start needed.
  await new Promise((resolve) => setTimeout(resolve, 30_000));
  const ours = rssMb(gateway.pid);
  await gateway.stop();
  remove();
  return [{ name: 'cron-10000-rss-mb', ours, note: `started in ${startMs} ms` }];
}
