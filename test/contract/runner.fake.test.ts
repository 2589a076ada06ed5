import { MIB } from '../../src/core/job.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { contractProgram } from '../support/contract-programs.ts';
import { FakeRunner } from '../support/fake-runner.ts';
import { memoryRunnerContract } from './runner.contract.ts';

const instance = 'tpt-fake';
const image = 'busybox';

/**
 * What the fast tests and the simulation of the executor run on keeps what a real engine's runner promises, so that
 * they mean what they say. It holds no image and no file system: programs are played, files are only handed on.
 */
memoryRunnerContract('fake', () => {
  const runner = new FakeRunner(new SystemClock());
  runner.script = (spec) => contractProgram(spec, () => runner.received.get(spec.name) ?? []);
  runner.images.gone.add(`sha256:${'0'.repeat(64)}`);
  const begin = Date.now();
  runner.measure = () => ({ time: Date.now(), cpuMs: Date.now() - begin, memoryBytes: 31 * MIB });
  // The containers are in it, not in who uses it: there is nothing that another could have remembered.
  const another = (): FakeRunner => runner;
  const otherImage = (): Promise<string> => Promise.resolve('other');
  return Promise.resolve({ instance, image, otherImage, runner, another, close: () => Promise.resolve() });
});
