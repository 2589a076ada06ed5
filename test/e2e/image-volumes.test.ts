import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { eventually, untilNoContainer } from '../support/chaos-rounds.ts';
import { testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { engineVolumes, VOLUME } from '../support/engine-volumes.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const SECRET = 'what the file says';
/** Whether it has its secret, and then what its case does. */
const script = (work: string): string => `[ "$(cat ${VOLUME}/secret)" = "${SECRET}" ] || exit 9; ${work}`;
/** How an attempt ends, and how many of them there are. */
const CASES: Record<string, { work: string; more: JsonObject; reason: string; attempts: number }> = {
  succeeds: { work: 'exit 0', more: {}, reason: 'EXITED_ZERO', attempts: 1 },
  fails: { work: 'exit 3', more: { maxRetries: 1 }, reason: 'NON_ZERO_EXIT_CODE', attempts: 2 },
  'takes-long': { work: 'sleep 300', more: { timeout: '2s' }, reason: 'TIMED_OUT', attempts: 1 },
  'is-cancelled': { work: 'sleep 300', more: {}, reason: 'CANCELLED', attempts: 1 },
  'has-no-program': {
    work: '',
    more: { command: ['/no/program'] },
    reason: 'CONTAINER_START_FAILED',
    attempts: 1,
  },
};

const dir = mkdtempSync(join(tmpdir(), 'tappet-volumes-'));
let gateway: GatewayProcess;
beforeAll(async () => {
  const host = await engineHost();
  const image = await engineVolumes(await testEngine()).image();
  const jobs = Object.entries(CASES).map(([name, { work, more }]) => [
    name,
    {
      image,
      command: ['/bin/sh', '-c', script(work)],
      inputs: [{ from: { env: 'THE_SECRET' }, to: `${VOLUME}/secret` }],
      maxRetries: 0,
      memory: '64Mi',
      gracePeriod: '1s',
      ...more,
    },
  ]);
  const env = { DOCKER_HOST: host, THE_SECRET: SECRET };
  gateway = new GatewayProcess({ dir, config: { jobs: Object.fromEntries(jobs) as JsonObject }, env });
  await gateway.start();
});
afterAll(async () => {
  await gateway.stop();
  rmSync(dir, { recursive: true, force: true });
});

it('the volumes that an image declares go with each attempt, however it ends; its secret is a file in one', async () => {
  const engine = await testEngine();
  const volumes = engineVolumes(engine);
  const before = await volumes.names();
  const added = async () => (await volumes.names()).filter((name) => !before.includes(name));
  for (const [name, { reason, attempts }] of Object.entries(CASES)) {
    const run = await gateway.api('POST', `/api/v1/jobs/${name}:run`, {});
    const execution = String(run.json()['name']);
    const path = `/api/v1/executions/${execution}`;
    if (name === 'is-cancelled') {
      await gateway.until(path, (one) => (one['runningCount'] === 1 ? true : undefined));
      await eventually('its volume', async () => ((await added()).length === 1 ? true : undefined));
      await gateway.api('POST', `${path}:cancel`, {});
    }
    await gateway.until(path, (one) => (one['completionTime'] === null ? undefined : true), 30_000);
    const found = (await gateway.api('GET', `${path}/tasks/0/attempts`)).json()['attempts'] as JsonObject[];
    expect(
      found.map((attempt) => attempt['reason']),
      name,
    ).toEqual(Array.from({ length: attempts }, () => reason));
    await untilNoContainer(engine, execution);
    expect(await added(), name).toEqual([]);
  }
});
