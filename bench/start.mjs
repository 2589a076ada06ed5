// From sending a call to the container's process running, against the same create and start done bare with
// dockerode: the floor takes its create body from a container that the gateway made, so the two cannot drift apart.
import Docker from 'dockerode';
import { interleave, median, scratch, startGateway } from './lib.mjs';

const ROUNDS = 40;
const IMAGE = 'tappet-demo/busybox:1';

export async function benchStart() {
  const { dir, remove } = scratch();
  const docker = new Docker({ socketPath: new URL(process.env.DOCKER_HOST).pathname });
  const job = { image: IMAGE, command: ['/bin/sleep', '0.3'], maxRetries: 0, timeout: '1m' };
  const triggers = { go: { source: { kind: 'webhook', auth: 'none' }, run: { job: 'nap' } } };
  const gateway = await startGateway(dir, { jobs: { nap: job }, triggers });
  let body;
  const ours = async () => {
    const sent = Date.now();
    const response = await fetch(`${gateway.url}/hooks/go`, { method: 'POST' });
    const [execution] = (await response.json()).executions;
    const { info, container } = await started(docker, `dev.tappet.execution=${execution}`);
    body ??= createBody(info);
    await gone(container);
    return Date.parse(info.State.StartedAt) - sent;
  };
  const floor = async () => {
    const sent = Date.now();
    const container = await docker.createContainer({ ...body, Labels: { 'bench.floor': '1' } });
    await container.start();
    const info = await container.inspect();
    await ended(container);
    await container.remove({ v: true, force: true });
    return Date.parse(info.State.StartedAt) - sent;
  };
  const results = await interleave(ROUNDS, ours, floor);
  await gateway.stop();
  remove();
  const [a, b] = [median(results.ours), median(results.floor)];
  return [
    { name: 'start-total', ours: a, floor: b, note: `ms, median of ${ROUNDS}` },
    { name: 'start-own-part-ms', ours: a - b, note: 'difference of the medians' },
  ];
}

function createBody({ Config, HostConfig }) {
  return { ...Config, HostConfig };
}

/** Waits for the one container with this label to have started, by asking the engine. */
async function started(docker, label) {
  for (;;) {
    const [found] = await docker.listContainers({ all: true, filters: { label: [label] } });
    if (found !== undefined) {
      const container = docker.getContainer(found.Id);
      const info = await container.inspect();
      if (!info.State.StartedAt.startsWith('0001')) return { info, container };
    }
    await pause();
  }
}

async function ended(container) {
  while ((await container.inspect()).State.Running) await pause();
}

async function gone(container) {
  for (;;) {
    try {
      await container.inspect();
    } catch (error) {
      if (error.statusCode === 404) return;
      throw error;
    }
    await pause();
  }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 10));
