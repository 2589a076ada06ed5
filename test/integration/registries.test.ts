import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RegistrySpec } from '../../src/core/registry.ts';
import type { Runner } from '../../src/core/runner.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { DockerRunner } from '../../src/runners/docker/docker-runner.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { createRegistries } from '../../src/secrets/registry-accounts.ts';
import { createSecrets } from '../../src/secrets/secret-reader.ts';
import { scriptSpec } from '../support/container-specs.ts';
import { engineRequest, testEngine } from '../support/engine.ts';
import { FakeLog } from '../support/fake-log.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import type { Fault, FaultProxy } from '../support/fault-proxy.ts';
import { MemoryLogWriter } from '../support/memory-log-writer.ts';
import { ACCOUNT, fakeRegistry, publishImage, testRegistry } from '../support/registry.ts';
import type { TestRegistry } from '../support/registry.ts';

let endpoint: EngineEndpoint;
let dir = '';
beforeAll(async () => {
  endpoint = await testEngine();
  dir = await mkdtemp(join(tmpdir(), 'tpt-registries-'));
});
afterAll(() => rm(dir, { recursive: true }));

interface Options {
  readonly specs?: Record<string, RegistrySpec>;
  readonly timeoutMs?: number;
  readonly idleMs?: number;
}
const env = { PASS: ACCOUNT.password, WRONG: 'guess' };
const newRunner = (
  { specs = {}, timeoutMs = 60_000, idleMs = 30_000 }: Options = {},
  log = new FakeLog(),
): Runner =>
  new DockerRunner({
    endpoint,
    engine: 'e',
    instance: 'tpt',
    network: 'tpt',
    clock: new SystemClock(),
    log,
    registries: createRegistries({ specs: () => specs, secrets: createSecrets({ env, baseDir: dir }) }),
    pullLimits: () => ({ timeoutMs, idleMs }),
  });
const forget = (name: string) => engineRequest(endpoint, 'DELETE', `/v1.41/images/${name}?force=1`);
const isThere = async (name: string) =>
  (await engineRequest(endpoint, 'GET', `/v1.41/images/${name}/json`)).status === 200;

/** Another image under this name, here and at its registry; gives its id here. */
async function publish(name: string, account?: object): Promise<string> {
  await forget(name);
  return (await publishImage(endpoint, name, account)).digest;
}

describe('a registry that wants an account', () => {
  let registry: TestRegistry;
  let image = '';
  let digest = '';
  beforeAll(async () => {
    registry = await testRegistry({ account: true });
    image = `${registry.host}/team/secret:v1`;
    digest = await publish(image, { ...ACCOUNT, serveraddress: registry.host });
  });
  afterAll(async () => {
    await forget(image);
    await registry.close();
  });
  const asking = (spec?: RegistrySpec) =>
    newRunner({ specs: spec === undefined ? {} : { [registry.host]: spec } }).prepare(image);

  it('gives the image to the account of server.registries', async () => {
    await forget(image);
    const prepared = await asking({ username: ACCOUNT.username, password: { env: 'PASS' } });
    expect(prepared).toMatchObject({ digest, pulledBytes: expect.any(Number) as unknown });
    expect(prepared.pulledBytes).toBeGreaterThan(300_000);
    expect(prepared.repoDigest).toMatch(new RegExp(`^${registry.host}/team/secret@sha256:`));
  });

  it('gives it to the account of a Docker configuration', async () => {
    await forget(image);
    const auth = Buffer.from(`${ACCOUNT.username}:${ACCOUNT.password}`).toString('base64');
    const dockerConfig = join(dir, 'config.json');
    await writeFile(dockerConfig, JSON.stringify({ auths: { [registry.host]: { auth } } }));
    expect(await asking({ dockerConfig })).toMatchObject({ digest });
  });

  it('refuses strangers and a wrong password, and says what to do', async () => {
    await forget(image);
    await expect(asking()).rejects.toMatchObject({
      code: 'IMAGE_UNAUTHORIZED',
      message: expect.stringMatching(/does not let strangers pull/) as unknown,
    });
    const wrong = { username: ACCOUNT.username, password: { env: 'WRONG' } };
    await expect(asking(wrong)).rejects.toMatchObject({
      code: 'IMAGE_UNAUTHORIZED',
      message: expect.stringMatching(/does not let the account of server\.registries pull/) as unknown,
    });
    await expect(asking({ username: 'x', password: { env: 'NOPE' } })).rejects.toMatchObject({
      code: 'SECRET_UNREADABLE',
    });
  });
});

describe('a registry behind a bad line', () => {
  let registry: TestRegistry;
  let line: FaultProxy;
  let image = '';
  beforeAll(async () => {
    registry = await testRegistry();
    line = await startFaultProxy(`http://${registry.host}`);
    const published = `${registry.host}/team/far:v1`;
    await publish(published);
    await forget(published);
    image = `${new URL(line.url).host}/team/far:v1`;
  });
  afterAll(async () => {
    await forget(image);
    await line.close();
    await registry.close();
  });
  const isLayer = (url: string) => url.includes('/blobs/');
  const layers = (fault: Fault) => {
    line.fault = ({ url }) => (isLayer(url) ? fault : 'pass');
  };

  it('that goes silent in the middle of a layer is given up after the idle time', async () => {
    layers({ stall: 10_000 });
    await expect(newRunner({ idleMs: 2_000 }).prepare(image)).rejects.toMatchObject({
      code: 'IMAGE_PULL_FAILED',
      message: expect.stringMatching(/no progress for 2s/) as unknown,
    });
    expect(await isThere(image)).toBe(false);
  });

  it('that hangs from the beginning too', async () => {
    line.fault = () => 'hang';
    await expect(newRunner({ idleMs: 2_000 }).prepare(image)).rejects.toMatchObject({
      code: 'IMAGE_PULL_FAILED',
      message: expect.stringMatching(/no progress for 2s/) as unknown,
    });
  });

  it('that cuts every layer is given up after the total time, though the engine goes on trying', async () => {
    layers({ cut: 10_000 });
    await expect(newRunner({ timeoutMs: 4_000 }).prepare(image)).rejects.toMatchObject({
      code: 'IMAGE_PULL_FAILED',
    });
    expect(await isThere(image)).toBe(false);
  });

  it('that counts pulls says so', async () => {
    line.fault = ({ url }) => (url.includes('/manifests/') ? { refuse: 429 } : 'pass');
    await expect(newRunner().prepare(image)).rejects.toMatchObject({ code: 'IMAGE_RATE_LIMITED' });
  });

  it('that is slow but goes on gives the image, though it takes longer than the idle time', async () => {
    const slow = await slowRegistry(registry.host);
    const name = image.replace(new URL(line.url).host, slow.host);
    const begun = Date.now();
    expect((await newRunner({ idleMs: 1_000 }).prepare(name)).pulledBytes).toBeGreaterThan(0);
    expect(Date.now() - begun).toBeGreaterThan(1_500);
    await forget(name);
    await slow.close();
  });

  it('that is cut once and then mended gives the image all the same', async () => {
    let cuts = 0;
    line.fault = ({ url }) => (isLayer(url) && cuts++ === 0 ? { cut: 10_000 } : 'pass');
    expect((await newRunner().prepare(image)).pulledBytes).toBeGreaterThan(0);
    expect(cuts).toBeGreaterThan(1);
  });
});

/** Passes on to the real one what is asked, each layer in twenty parts. */
function slowRegistry(host: string): Promise<TestRegistry> {
  return fakeRegistry((incoming, outgoing) => {
    const { method, headers, url = '' } = incoming;
    const call = request(`http://${host}${url}`, { method, headers, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      void (url.includes('/blobs/') ? inParts(answer, outgoing) : pipeline(answer, outgoing));
    });
    call.end();
  });
}

async function inParts(answer: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const body = await buffer(answer);
  for (let i = 0; i < 20; i++) {
    outgoing.write(
      body.subarray(Math.floor((body.length * i) / 20), Math.floor((body.length * (i + 1)) / 20)),
    );
    // What is slow is the line: this is its pace, not a wait for anything.
    await setTimeout(100);
  }
  outgoing.end();
}

describe('a tag that moves', () => {
  let registry: TestRegistry;
  let image = '';
  const made = new Set<string>();
  beforeAll(async () => {
    registry = await testRegistry();
    image = `${registry.host}/team/moving`;
  });
  afterAll(async () => {
    for (const name of [`${image}:latest`, `${image}:v1`, ...made]) await forget(name);
    await registry.close();
  });

  it('is followed where it is latest, and what an execution runs stays', async () => {
    const first = await publish(`${image}:latest`);
    const runner = newRunner();
    const pinned = await runner.prepare(image);
    expect(pinned.digest).toBe(first);
    const second = await publish(`${image}:latest`);
    made.add(first).add(second);
    // Here is the first again, as if it had been pulled before the other was published.
    await forget(`${image}:latest`);
    await newRunner().prepare(image, { pinned });
    await engineRequest(endpoint, 'POST', `/v1.41/images/${first}/tag?repo=${image}&tag=latest`);
    expect((await newRunner().prepare(image)).digest).toBe(second);
    expect((await newRunner().prepare(image, { pinned })).digest).toBe(first);
    await forget(first);
    const again = await newRunner().prepare(image, { pinned });
    expect(again).toMatchObject({ digest: first, pulledBytes: expect.any(Number) as unknown });
  });

  it('is left where the registry is gone, and runs as it is here', async () => {
    const log = new FakeLog();
    const lone = await testRegistry();
    const name = `${lone.host}/team/lone`;
    const digest = await publish(`${name}:latest`);
    await lone.close();
    expect(await newRunner({}, log).prepare(name)).toMatchObject({ digest });
    expect(log.lines).toMatchObject([
      { message: expect.stringMatching(/could not be asked for a newer/) as unknown },
    ]);
    await expect(newRunner().prepare(name, { pullPolicy: 'Always' })).rejects.toMatchObject({
      code: 'IMAGE_PULL_FAILED',
    });
    await forget(`${name}:latest`);
  });
});

describe('removing an image', () => {
  let registry: TestRegistry;
  let image = '';
  beforeAll(async () => {
    registry = await testRegistry();
    image = `${registry.host}/team/unused:v1`;
  });
  afterAll(async () => {
    await forget(image);
    await registry.close();
  });

  it('spares what a container is made of, running or not, and what has another name', async () => {
    await publish(image);
    await forget(image);
    const runner = newRunner();
    const { digest } = await runner.prepare(image);
    const spec = scriptSpec({ instance: 'tpt', image, digest }, 'sleep 300');
    await runner.ensure(spec, new MemoryLogWriter());
    expect(await runner.removeImage(digest, image)).toBe('kept');
    await runner.kill(spec.name);
    expect(await runner.removeImage(digest, image)).toBe('kept');
    await runner.remove(spec.name);
    await engineRequest(endpoint, 'POST', `/v1.41/images/${digest}/tag?repo=tappet-test/mine&tag=1`);
    expect(await runner.removeImage(digest, image)).toBe('kept');
    await forget('tappet-test/mine:1');
    expect(await isThere(digest)).toBe(true);
    expect(await runner.removeImage(digest, image)).toBe('removed');
    expect(await isThere(digest)).toBe(false);
    expect(await runner.removeImage(digest, image)).toBe('missing');
  });
});
