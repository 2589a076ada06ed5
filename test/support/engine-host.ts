import { describeEndpoint } from '../../src/runners/docker/find-engine.ts';
import { testEngine, testImage } from './engine.ts';

/** The engine of the tests as a `DOCKER_HOST` for another process, with the test image on it. */
export async function engineHost(): Promise<string> {
  const endpoint = await testEngine();
  await testImage(endpoint);
  return endpoint.kind === 'unix' ? `unix://${endpoint.path}` : describeEndpoint(endpoint);
}
