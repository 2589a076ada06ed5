import { randomBytes } from 'node:crypto';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { DockerRunner } from '../../src/runners/docker/docker-runner.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { engineRequest, testImage } from './engine.ts';
import { engineVolumes } from './engine-volumes.ts';
import { FakeLog } from './fake-log.ts';

/** What the contract of runners is held against: runners of one instance on a real engine, and what removes their traces. */
export async function runnerFixture(endpoint: EngineEndpoint) {
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
  const volumes = engineVolumes(endpoint);
  return { instance, image, otherImage: () => volumes.image(), runner, another, volumes, close };
}
