import { runnerContract } from '../contract/runner.contract.ts';
import { testEngine } from '../support/engine.ts';
import { runnerFixture } from '../support/runner-fixture.ts';

runnerContract('docker', async () => runnerFixture(await testEngine()));
