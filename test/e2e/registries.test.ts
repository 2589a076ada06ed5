import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { eventually } from '../support/chaos-rounds.ts';
import { engineRequest, testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { ACCOUNT, publishImage, testRegistry } from '../support/registry.ts';
import type { TestRegistry } from '../support/registry.ts';

const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-registries-')));
const published = new Set<string>();
const LATER = join(import.meta.dirname, '../support/later-gateway.mjs');
const MINUTE_MS = 60_000;

let endpoint: EngineEndpoint;
let registry: TestRegistry;
let dockerHost = '';
let gateway: GatewayProcess;
beforeAll(async () => {
  endpoint = await testEngine();
  dockerHost = await engineHost();
  registry = await testRegistry({ account: true });
});
afterEach(() => gateway.stop());
afterAll(async () => {
  for (const name of published) await forget(name);
  await registry.close();
  rmSync(dir, { recursive: true, force: true });
});

const forget = (name: string) => engineRequest(endpoint, 'DELETE', `/v1.41/images/${name}?force=1`);
const isThere = async (digest: string) =>
  (await engineRequest(endpoint, 'GET', `/v1.41/images/${digest}/json`)).status === 200;

async function publish(name: string): Promise<{ image: string; digest: string; mark: string }> {
  const image = `${registry.host}/team/${name}:v1`;
  const account = { ...ACCOUNT, serveraddress: registry.host };
  const made = { image, ...(await publishImage(endpoint, image, account)) };
  published.add(image).add(made.digest);
  return made;
}

/** At the registry alone. */
async function pushed(name: string): Promise<{ image: string; digest: string; mark: string }> {
  const made = await publish(name);
  await forget(made.image);
  return made;
}

const sh = (image: string, script: string, more: JsonObject = {}): JsonObject => ({
  image,
  command: ['/bin/sh', '-c', script],
  memory: '64Mi',
  maxRetries: 0,
  ...more,
});
const withSecret = (): JsonObject => ({
  registries: { [registry.host]: { username: ACCOUNT.username, password: { env: 'PASS' } } },
});

/** The account's password is in its environment; only settings that say so make something of it. */
function newGateway(
  name: string,
  server: JsonObject,
  jobs: JsonObject,
  more: { program?: string } = {},
): void {
  const env = { DOCKER_HOST: dockerHost, PASS: ACCOUNT.password };
  gateway = new GatewayProcess({ dir: join(dir, name), config: { server, jobs }, env, ...more });
}

async function run(job: string): Promise<string> {
  const answer = await gateway.api('POST', `/api/v1/jobs/${job}:run`, {});
  expect(answer.status, answer.text).toBe(200);
  return `/api/v1/executions/${String(answer.json()['name'])}`;
}
const ended = (path: string): Promise<JsonObject> =>
  gateway.until(path, (one) => (one['completionTime'] === null ? undefined : one), 60_000);
const usageOf = (one: JsonObject | undefined): JsonObject => one?.['usage'] as JsonObject;
const attemptsOf = async (path: string): Promise<JsonObject[]> =>
  (await gateway.api('GET', `${path}/tasks/0/attempts`)).json()['attempts'] as JsonObject[];

describe('server.registries of a gateway', () => {
  it.each([
    ['a secret', withSecret],
    [
      'a Docker configuration',
      () => ({ registries: { [registry.host]: { dockerConfig: './config.json' } } }),
    ],
  ])(
    'gives a job its image by the account in %s, and says what was pulled and logged',
    async (words, server) => {
      const { image, digest } = await pushed('private');
      const name = words.replaceAll(' ', '-');
      const auth = Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString('base64');
      mkdirSync(join(dir, name));
      writeFileSync(join(dir, name, 'config.json'), JSON.stringify({ auths: { [registry.host]: { auth } } }));
      newGateway(name, server(), { hello: sh(image, 'echo out; echo error >&2') });
      await gateway.start();
      const path = await run('hello');
      const execution = await ended(path);
      expect(execution, JSON.stringify(execution)).toMatchObject({ state: 'SUCCEEDED', imageDigest: digest });
      const { pulledBytes, loggedBytes } = usageOf(execution);
      expect(Number(pulledBytes)).toBeGreaterThan(300_000);
      expect(loggedBytes).toBe('out\nerror\n'.length);
      expect(usageOf((await attemptsOf(path))[0])['pulledBytes']).toBe(pulledBytes);
      // It is there by now.
      const again = usageOf(await ended(await run('hello')));
      expect([again['pulledBytes'], again['loggedBytes']]).toEqual([0, loggedBytes]);
    },
  );

  it('has no account for it: the job fails at once and says whose affair it is', async () => {
    const { image } = await pushed('private');
    newGateway('none', {}, { hello: sh(image, 'echo out', { maxRetries: 3 }) });
    await gateway.start();
    const path = await run('hello');
    const execution = await ended(path);
    expect(execution).toMatchObject({ state: 'FAILED', reason: 'IMAGE_UNAUTHORIZED' });
    const words = `registry ${registry.host} does not let strangers pull "${image}"`;
    expect(String(execution['message'])).toContain(words);
    const attempts = await attemptsOf(path);
    expect(attempts).toMatchObject([{ reason: 'IMAGE_UNAUTHORIZED', imageDigest: null }]);
    expect(String(attempts[0]?.['message'])).toContain(words);
  });
});

it('a retry runs the image of the first attempt, though another was pushed under its tag and is pulled each time', async () => {
  const flags = join(dir, 'flags');
  mkdirSync(flags);
  const first = await pushed('moving');
  const script = `head -c 40 /etc/mark
    [ $CLOUD_RUN_TASK_ATTEMPT = 0 ] || exit 0
    until [ -e /flags/moved ]; do sleep 0.1; done; exit 3`;
  // Long enough that nothing in memory outlives the first attempt.
  const retry = { backoff: 'constant', initial: '3s', jitter: 'none' };
  const more = { pullPolicy: 'Always', maxRetries: 1, retry, volumes: [{ bind: flags, to: '/flags' }] };
  const moving = sh(first.image, script, more);
  newGateway('moving', { ...withSecret(), allowedBinds: [flags] }, { moving });
  await gateway.start();
  const path = await run('moving');
  const running = await gateway.until(path, (one) => (one['imageDigest'] === null ? undefined : one));
  expect(running['imageDigest']).toBe(first.digest);
  const second = await publish('moving');
  // Of the engine's own tags none is left to stand for the first.
  await forget(second.image);
  expect(second.digest).not.toBe(first.digest);
  writeFileSync(join(flags, 'moved'), '');
  await gateway.until(path, (one) => (one['retriedCount'] === 1 ? true : undefined));
  await gateway.stop();
  await gateway.start();

  const execution = await ended(path);
  expect(execution, JSON.stringify(execution)).toMatchObject({
    state: 'SUCCEEDED',
    imageDigest: first.digest,
  });
  const [failed, retried] = await attemptsOf(path);
  expect(failed).toMatchObject({ reason: 'NON_ZERO_EXIT_CODE', exitCode: 3, imageDigest: first.digest });
  expect(retried).toMatchObject({ reason: 'EXITED_ZERO', imageDigest: first.digest });
  const log = async (of: string, attempt: number) =>
    (await gateway.api('GET', `${of}/tasks/0/logs?attempt=${attempt}`)).text;
  const marks = [await log(path, 0), await log(path, 1)];
  expect(marks).toEqual([first.mark.slice(0, 40), first.mark.slice(0, 40)]);

  const next = await run('moving');
  expect(await ended(next)).toMatchObject({ imageDigest: second.digest });
  expect(await log(next, 1)).toBe(second.mark.slice(0, 40));
}, 120_000);

it('server.imagePrune removes the image that nothing has used for so long, not one that runs or ran since', async () => {
  const [unused, running, lately] = [await pushed('unused'), await pushed('running'), await pushed('lately')];
  const jobs = {
    unused: sh(unused.image, 'echo out'),
    running: sh(running.image, 'sleep 600', { timeout: '24h', gracePeriod: '1s' }),
    lately: sh(lately.image, 'echo out'),
  };
  const server = { ...withSecret(), imagePrune: { unusedFor: '2h' } };
  newGateway('prune', server, jobs, { program: LATER });
  await gateway.start({ LATER_MS: '0' });
  for (const job of ['unused', 'lately'] as const)
    expect(await ended(await run(job))).toMatchObject({ state: 'SUCCEEDED' });
  const runs = await run('running');
  await gateway.until(runs, (one) => (one['imageDigest'] === running.digest ? true : undefined));
  await gateway.stop();

  await gateway.start({ LATER_MS: String(90 * MINUTE_MS) });
  const used = await ended(await run('lately'));
  expect([used['state'], usageOf(used)['pulledBytes']]).toEqual(['SUCCEEDED', 0]);
  await gateway.stop();

  await gateway.start({ LATER_MS: String(150 * MINUTE_MS) });
  const done = 'Maintenance: remove unused images: 1 done.';
  await eventually('the image is removed', () => (gateway.output.includes(done) ? true : undefined), 30_000);
  expect(gateway.output).toContain(`Removed the image ${unused.image} (${unused.digest})`);
  expect(await Promise.all([unused, running, lately].map(({ digest }) => isThere(digest)))).toEqual([
    false,
    true,
    true,
  ]);
  // Whoever needs it again has it pulled again.
  expect(usageOf(await ended(await run('unused')))['pulledBytes']).toBeGreaterThan(300_000);
  expect((await gateway.api('GET', runs)).json()).toMatchObject({ state: 'RUNNING' });
  await gateway.api('POST', `${runs}:cancel`, {});
  expect(await ended(runs)).toMatchObject({ state: 'CANCELLED' });
}, 120_000);
