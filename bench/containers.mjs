// Containers a second: one execution of many tasks, as many at a time as there is room for, against a bare loop of create,
// start, wait and remove with the same create body at the concurrency that is its best.
import Docker from 'dockerode';
import { bodyOfOne } from './start.mjs';
import { interleave, median, ROUNDS, scratch, startGateway } from './lib.mjs';

const TASKS = 40;
/** Which of them is the loop's best shows before, by as many rounds as tell them apart, in turn. */
const CONCURRENCIES = [1, 2, 4, 8, 16];
const TRIALS = 3;
const TRIAL_TASKS = 24;
const LOOK_MS = 20;
const IMAGE = 'tappet-demo/busybox:1';

export async function benchContainers() {
  const { dir, remove } = scratch();
  const docker = new Docker({ socketPath: new URL(process.env.DOCKER_HOST).pathname });
  const job = {
    image: IMAGE,
    command: ['/bin/true'],
    taskCount: TASKS,
    parallelism: 0,
    memory: '16Mi',
    cpu: 0.1,
  };
  const gateway = await startGateway(dir, { jobs: { many: job } }, { DOCKER_HOST: process.env.DOCKER_HOST });
  const body = await bodyOf(docker, gateway);
  const bare = (concurrency, tasks = TASKS) => rate(tasks, () => loop(docker, body, tasks, concurrency));
  const tried = await trials(bare);
  const best = tried.reduce((a, b) => (b.rate > a.rate ? b : a));
  const results = await interleave(
    ROUNDS,
    () => rate(TASKS, () => execute(gateway)),
    () => bare(best.concurrency),
  );
  await gateway.stop();
  remove();
  const rates = tried.map((one) => `${one.concurrency}: ${one.rate.toFixed(2)}`).join(', ');
  const note = `containers a second, ${TASKS} in all; the bare loop with ${best.concurrency} at a time (tried ${rates})`;
  return [{ name: 'containers', ours: median(results.ours), floor: median(results.floor), note }];
}

/** The loop's rate at each concurrency: the median of rounds that take turns, so that a loud minute meets all of them. */
async function trials(bare) {
  const rates = CONCURRENCIES.map(() => []);
  for (let trial = 0; trial < TRIALS; trial++) {
    for (const [i, concurrency] of CONCURRENCIES.entries())
      rates[i].push(await bare(concurrency, TRIAL_TASKS));
  }
  return CONCURRENCIES.map((concurrency, i) => ({ concurrency, rate: median(rates[i]) }));
}

async function rate(count, work) {
  const before = performance.now();
  await work();
  return (count / (performance.now() - before)) * 1000;
}

async function execute({ api }) {
  const { name } = await api('POST', '/api/v1/jobs/many:run', {});
  for (;;) {
    const { state } = await api('GET', `/api/v1/executions/${name}`);
    if (state === 'SUCCEEDED') return;
    if (state === 'FAILED' || state === 'CANCELLED') throw new Error(`execution ${name} has ${state}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** What the gateway asks the engine for, seen at one of its containers. */
async function bodyOf(docker, gateway) {
  const seen = (async () => {
    for (;;) {
      const body = await bodyOfOne(docker, { ancestor: [IMAGE] });
      if (body) return body;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  await execute(gateway);
  return seen;
}

async function loop(docker, body, count, concurrency) {
  let left = count;
  const worker = async () => {
    while (left-- > 0) {
      const container = await docker.createContainer(body);
      await container.start();
      await container.wait();
      await container.remove({ v: true, force: true });
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}
