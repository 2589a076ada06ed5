import { afterAll, beforeAll } from 'vitest';
import { runnerContract } from '../contract/runner.contract.ts';
import { PODMAN_TELLS_MEMORY_KILLS, startPodman } from '../support/podman.ts';
import type { PodmanService } from '../support/podman.ts';
import { runnerFixture } from '../support/runner-fixture.ts';

let podman: PodmanService;
beforeAll(async () => {
  podman = await startPodman();
});
afterAll(() => podman.close());

runnerContract(
  'podman',
  () => runnerFixture(podman.endpoint),
  PODMAN_TELLS_MEMORY_KILLS ? [] : ['memory-kill-report'],
);
