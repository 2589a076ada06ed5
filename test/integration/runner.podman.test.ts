import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { DockerRunner } from '../../src/runners/docker/docker-runner.ts';
import { runnerContract } from '../contract/runner.contract.ts';
import { engineRequest, testImage } from '../support/engine.ts';
import { FakeLog } from '../support/fake-log.ts';
import { PODMAN_TELLS_MEMORY_KILLS, startPodman } from '../support/podman.ts';
import type { PodmanService } from '../support/podman.ts';

let podman: PodmanService;
beforeAll(async () => {
  podman = await startPodman();
});
afterAll(() => podman.close());

runnerContract(
  'podman',
  async () => {
    const { endpoint } = podman;
    const image = await testImage(endpoint);
    const instance = `tpt-${randomBytes(4).toString('hex')}`;
    const another = () =>
      new DockerRunner({
        endpoint,
        engine: 'test',
        instance,
        network: instance,
        clock: new SystemClock(),
        log: new FakeLog(),
      });
    const runner = another();
    const close = async () => {
      for (const { name } of await runner.list()) await runner.remove(name);
      await engineRequest(endpoint, 'DELETE', `/v1.41/networks/${instance}`);
    };
    return { instance, image, runner, another, close };
  },
  PODMAN_TELLS_MEMORY_KILLS ? [] : ['memory-kill-report'],
);
