import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { containersOf, eventually, untilNoContainer } from '../support/chaos-rounds.ts';
import { engineRequest, TEST_IMAGE, testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const dir = mkdtempSync(join(tmpdir(), 'tappet-orphans-'));
const SLEEP = ['/bin/sleep', '600'];
/** A strange container is removed when it is older than five minutes. */
const LATER_MS = 6 * 60_000;
/** Labels and names as the product gives them. */
const labelsOf = (instance: string, execution: string) => ({
  'dev.tappet.instance': instance,
  'dev.tappet.execution': execution,
  'dev.tappet.job': 'short',
  'dev.tappet.task-index': '0',
  'dev.tappet.attempt': '0',
  'dev.tappet.epoch': '1',
});

let endpoint: EngineEndpoint;
let gateway: GatewayProcess;
const planted: string[] = [];
const raw = (method: string, path: string, body?: object) =>
  engineRequest(endpoint, method, `/v1.41${path}`, body === undefined ? undefined : JSON.stringify(body));

/** A container that runs, made by nobody whom the gateway knows. */
async function plant(name: string, Labels: Record<string, string>): Promise<string> {
  const HostConfig = { NetworkMode: 'none' };
  const body = { Image: TEST_IMAGE, Cmd: SLEEP, Labels, HostConfig };
  expect((await raw('POST', `/containers/create?name=${name}`, body)).status).toBe(201);
  expect((await raw('POST', `/containers/${name}/start`)).status).toBe(204);
  planted.push(name);
  return name;
}
const runs = async (name: string): Promise<boolean> =>
  (await raw('GET', `/containers/${name}/json`)).body.includes('"Running":true');
const untilGone = (name: string) =>
  eventually(
    `${name} is gone`,
    async () => ((await raw('GET', `/containers/${name}/json`)).status === 404 ? true : undefined),
    60_000,
  );
const instance = async (): Promise<string> =>
  String((await gateway.api('GET', '/api/v1/status')).json()['instance']);
const run = async (job: string): Promise<string> =>
  String((await gateway.api('POST', `/api/v1/jobs/${job}:run`, {})).json()['name']);

beforeAll(async () => {
  endpoint = await testEngine();
  const job = { image: TEST_IMAGE, memory: '16Mi', maxRetries: 0 };
  gateway = new GatewayProcess({
    dir,
    config: {
      jobs: { short: { ...job, command: ['/bin/true'] }, long: { ...job, command: SLEEP, timeout: '1h' } },
    },
    env: { DOCKER_HOST: await engineHost(), LATER_MS: '0' },
    program: join(import.meta.dirname, '../support/later-gateway.mjs'),
  });
  await gateway.start();
});
afterAll(async () => {
  await gateway.stop();
  for (const name of planted) await raw('DELETE', `/containers/${name}?force=1&v=1`);
  rmSync(dir, { recursive: true, force: true });
});

it('containers that no attempt needs are removed, those of a restored database after five minutes; others are left alone', async () => {
  const own = await instance();
  const ended = await run('short');
  await gateway.until(`/api/v1/executions/${ended}`, (one) =>
    one['state'] === 'SUCCEEDED' ? true : undefined,
  );
  await untilNoContainer(endpoint, ended);
  const kept = await run('long');
  const needed = await nameOf(kept);

  // The database is one of before the next execution, whose container runs on.
  await gateway.stop();
  const backup = join(dir, 'backup');
  cpSync(gateway.dataDir, backup, { recursive: true });
  await gateway.start();
  const forgotten = await run('long');
  const strange = await nameOf(forgotten);
  planted.push(needed, strange);
  await gateway.kill();
  rmSync(gateway.dataDir, { recursive: true });
  cpSync(backup, gateway.dataDir, { recursive: true });
  await gateway.start();
  expect(await instance()).toBe(own);
  expect((await gateway.api('GET', `/api/v1/executions/${forgotten}`)).status).toBe(404);

  const others = [
    await plant('tappet-other-x-t0-a0', labelsOf('tappet-other', 'x')),
    await plant(`${own}-without-labels`, {}),
  ];
  // Two rounds of maintenance: each removes what belongs to an attempt that has ended.
  for (let round = 0; round < 2; round++)
    await untilGone(await plant(`${own}-${ended}-t0-a0`, labelsOf(own, ended)));
  expect(await runs(strange)).toBe(true);

  await gateway.stop();
  await gateway.start({ LATER_MS: String(LATER_MS) });
  await untilGone(strange);
  expect(gateway.output).toContain(`Removed the container ${strange}: nothing in the store knows of it.`);
  expect(gateway.output).toContain(`Removed the container ${own}-${ended}-t0-a0: its attempt has ended.`);
  for (const name of [...others, needed]) expect(await runs(name), name).toBe(true);

  // A database that is gone for good was another gateway's, as far as the next one knows.
  await gateway.stop();
  rmSync(gateway.dataDir, { recursive: true });
  await gateway.start({ LATER_MS: String(LATER_MS) });
  const next = await instance();
  expect(next).not.toBe(own);
  const over = await run('short');
  await gateway.until(`/api/v1/executions/${over}`, (one) =>
    one['state'] === 'SUCCEEDED' ? true : undefined,
  );
  await untilGone(await plant(`${next}-unknown-t0-a0`, labelsOf(next, 'unknown')));
  for (const name of [...others, needed]) expect(await runs(name), name).toBe(true);
}, 240_000);

/** Of the one container of an execution, once it runs. */
function nameOf(execution: string): Promise<string> {
  return eventually(
    `the container of ${execution}`,
    async () => {
      const [found] = await containersOf(endpoint, execution);
      return found?.State === 'running' ? found.Names[0]?.replace('/', '') : undefined;
    },
    30_000,
  );
}
