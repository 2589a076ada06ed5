// The log of a task, 100,000 lines of 100 bytes: from the start of the container until all of it is stored and the attempt
// has ended, against `docker logs -f` of the same container to nowhere. Every byte must be there.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import Docker from 'dockerode';
import { bodyOfOne } from './start.mjs';
import { interleave, median, scratch, startGateway } from './lib.mjs';

const ROUNDS = 5;
const LINES = 100_000;
const LINE = 'x'.repeat(99);
const LOOK_MS = 5;
const IMAGE = 'tappet-demo/busybox:1';
const BYTES = LINES * (LINE.length + 1);
const COMMAND = ['/bin/sh', '-c', `yes ${LINE} | head -n ${LINES}`];

export async function benchLogCapture() {
  const { dir, remove } = scratch();
  const docker = new Docker({ socketPath: new URL(process.env.DOCKER_HOST).pathname });
  const jobs = { lines: { image: IMAGE, command: COMMAND, maxRetries: 0 } };
  const gateway = await startGateway(dir, { jobs }, { DOCKER_HOST: process.env.DOCKER_HOST });
  let body;
  const ours = async () => {
    const { name } = await gateway.api('POST', '/api/v1/jobs/lines:run', {});
    for (;;) {
      body ??= await bodyOfOne(docker, { label: [`dev.tappet.execution=${name}`] });
      const execution = await gateway.api('GET', `/api/v1/executions/${name}`);
      if (execution.state === 'SUCCEEDED') break;
      if (execution.state === 'FAILED') throw new Error(execution.message);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    const [attempt] = (await gateway.api('GET', `/api/v1/executions/${name}/tasks/0/attempts`)).attempts;
    if (attempt.logBytes.stdout !== BYTES)
      throw new Error(`${attempt.logBytes.stdout} of ${BYTES} bytes were stored`);
    const execution = await gateway.api('GET', `/api/v1/executions/${name}`);
    return perSecond(Date.parse(execution.completionTime) - Date.parse(attempt.startTime));
  };
  const floor = async () => {
    const container = await docker.createContainer(body);
    await container.start();
    const began = Date.parse((await container.inspect()).State.StartedAt);
    const reader = spawn('docker', ['logs', '-f', container.id], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await once(reader, 'exit');
    const ms = Date.now() - began;
    await container.remove({ v: true, force: true });
    return perSecond(ms);
  };
  const results = await interleave(ROUNDS, ours, floor);
  await gateway.stop();
  remove();
  const note = `MB/s, ${LINES} lines`;
  return [{ name: 'log-capture', ours: median(results.ours), floor: median(results.floor), note }];
}

const perSecond = (ms) => BYTES / 1e6 / (ms / 1000);
