import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { deferred } from '../../src/lib/deferred.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { eventually } from '../support/chaos-rounds.ts';
import { engineRequest, importImage, pushImage, testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { fakeRegistry, pullsOf, testRegistry } from '../support/registry.ts';
import type { TestRegistry } from '../support/registry.ts';

const TASKS = 20;
const EXECUTIONS = 3;

const dir = mkdtempSync(join(tmpdir(), 'tappet-one-pull-'));
const requests: string[] = [];
/** What is asked of the registry goes on to it from here on. */
let open = deferred<void>();
let endpoint: EngineEndpoint;
let registry: TestRegistry;
let counted: TestRegistry;
let gateway: GatewayProcess;
let image = '';

const raw = (method: string, path: string) => engineRequest(endpoint, method, `/v1.41${path}`);
const forget = (name: string) => raw('DELETE', `/images/${name}?force=1`);

beforeAll(async () => {
  endpoint = await testEngine();
  registry = await testRegistry();
  const pushed = `${registry.host}/team/job:v1`;
  await importImage(endpoint, pushed, { 'etc/mark': randomBytes(8).toString('hex') });
  await pushImage(endpoint, pushed);
  await forget(pushed);
  counted = await fakeRegistry((incoming, outgoing) => {
    const { method, headers, url = '' } = incoming;
    requests.push(`${method} ${url}`);
    void open.promise.then(() => {
      const call = request(`http://${registry.host}${url}`, { method, headers, agent: false }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(outgoing);
      });
      call.on('error', () => outgoing.destroy());
      call.end();
    });
  });
  image = `${counted.host}/team/job:v1`;
  const job = { image, command: ['/bin/true'], taskCount: TASKS, parallelism: 0, memory: '16Mi', cpu: 0.05 };
  const config = { jobs: { many: job } };
  gateway = new GatewayProcess({ dir, config, env: { DOCKER_HOST: await engineHost() } });
  await gateway.start();
}, 60_000);
afterAll(async () => {
  open.resolve();
  await gateway.stop();
  await forget(image);
  await counted.close();
  await registry.close();
  rmSync(dir, { recursive: true, force: true });
});

it('an image that many tasks of several executions ask for at once is asked of its registry as one pull is', async () => {
  open.resolve();
  const query = new URLSearchParams({ fromImage: `${counted.host}/team/job`, tag: 'v1' });
  const pulled = await raw('POST', `/images/create?${query.toString()}`);
  expect(pulled.body).not.toContain('"error"');
  const ofOne = pullsOf(requests.splice(0));
  expect(ofOne.filter((one) => /^HEAD .*\/manifests\/v1$/.test(one))).toHaveLength(1);
  expect(ofOne.filter((one) => /^GET .*\/blobs\//.test(one)).length).toBeGreaterThan(0);
  await forget(image);

  open = deferred();
  const runs = Array.from({ length: EXECUTIONS }, () => gateway.api('POST', '/api/v1/jobs/many:run', {}));
  const executions = (await Promise.all(runs)).map((run) => String(run.json()['name']));
  // So many wait for it as may start at the same time, of each execution one at least.
  await eventually('the registry is asked', () => (requests.length > 0 ? true : undefined));
  for (const execution of executions)
    await gateway.until(`/api/v1/executions/${execution}`, (one) =>
      JSON.stringify(one['waitsFor']).includes('image') ? true : undefined,
    );
  open.resolve();
  for (const execution of executions)
    await gateway.until(
      `/api/v1/executions/${execution}`,
      (one) => (one['succeededCount'] === TASKS ? true : undefined),
      120_000,
    );
  expect(pullsOf(requests)).toEqual(ofOne);
}, 240_000);
