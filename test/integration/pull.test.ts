import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import type { RequestListener } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { DockerRunner } from '../../src/runners/docker/docker-runner.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { engineRequest, importImage, pushImage, testEngine } from '../support/engine.ts';
import { FakeLog } from '../support/fake-log.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { fakeRegistry, pullsOf, testRegistry } from '../support/registry.ts';
import type { TestRegistry } from '../support/registry.ts';

let endpoint: EngineEndpoint;
let registry: TestRegistry;
let image = '';
let digest = '';

const newRunner = () =>
  new DockerRunner({
    endpoint,
    engine: 'e',
    instance: 'tpt',
    network: 'tpt',
    clock: new SystemClock(),
    log: new FakeLog(),
  });
const forget = (name: string) => engineRequest(endpoint, 'DELETE', `/v1.41/images/${name}?force=1`);

beforeAll(async () => {
  endpoint = await testEngine();
  registry = await testRegistry();
  image = `${registry.host}/team/job:v1`;
  await importImage(endpoint, image, { 'etc/mark': randomBytes(8).toString('hex') });
  ({ digest } = await newRunner().prepare(image));
  await pushImage(endpoint, image);
});
afterAll(async () => {
  await forget(image);
  await registry.close();
});

describe('an image that the engine does not have', () => {
  it('is pulled, once for all that ask at the same time, and is the same image', async () => {
    await forget(image);
    const runner = newRunner();
    const all = await Promise.all([runner.prepare(image), runner.prepare(image), runner.prepare(image)]);
    expect(all).toMatchObject([{ digest }, { digest }, { digest }]);
  });

  it('is pulled by its digest too', async () => {
    const { body } = await engineRequest(endpoint, 'GET', `/v1.41/images/${image}/json`);
    const byDigest = /"RepoDigests":\["([^"]+)"/.exec(body)?.[1] ?? '';
    expect(byDigest).toContain('@sha256:');
    await forget(image);
    await forget(byDigest);
    expect(await newRunner().prepare(byDigest)).toMatchObject({ digest, repoDigest: byDigest });
    await forget(byDigest);
  });

  it('is not found where the registry has no such tag or no such name', async () => {
    for (const name of [`${registry.host}/team/job:v2`, `${registry.host}/team/nothing:v1`]) {
      await expect(newRunner().prepare(name)).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' });
    }
  });

  it('cannot be pulled where nobody listens', async () => {
    const gone = await fakeRegistry(() => {});
    await gone.close();
    const refused = newRunner().prepare(`${gone.host}/job:v1`);
    await expect(refused).rejects.toMatchObject({
      code: 'IMAGE_PULL_FAILED',
      message: expect.stringMatching(/refused/),
    });
  });

  it('is not given to strangers by a registry that wants an account', async () => {
    const strict = await fakeRegistry((_, response) => {
      const headers = { 'www-authenticate': 'Basic realm="r"', 'content-type': 'application/json' };
      response
        .writeHead(401, headers)
        .end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}');
    });
    const refused = newRunner().prepare(`${strict.host}/job:v1`);
    await expect(refused).rejects.toMatchObject({ code: 'IMAGE_UNAUTHORIZED' });
    await strict.close();
  });

  it('is said to have failed where the layers do not arrive, though the engine’s answer says 200', async () => {
    // Passes on to the real registry what is asked, but breaks every layer off.
    const forward: RequestListener = (incoming, outgoing) => {
      const { method, headers } = incoming;
      const call = request(
        `http://${registry.host}${incoming.url ?? ''}`,
        { method, headers, agent: false },
        (response) => {
          const layer = response.headers['content-type'] === 'application/octet-stream';
          outgoing.writeHead(layer ? 404 : (response.statusCode ?? 500), layer ? {} : response.headers);
          if (layer) outgoing.end();
          else response.pipe(outgoing);
        },
      );
      // The engine tries a layer again for a while: the registry may be closed before that ends.
      call.on('error', () => outgoing.destroy());
      call.end();
    };
    const broken = await fakeRegistry(forward);
    const name = `${broken.host}/team/job:v1`;
    await forget(image);
    await expect(newRunner().prepare(name)).rejects.toMatchObject({ code: expect.stringMatching(/^IMAGE_/) });
    const { status } = await engineRequest(endpoint, 'GET', `/v1.41/images/${name}/json`);
    expect(status).toBe(404);
    await broken.close();
  });

  it('is asked of its registry as one pull is, however many ask for it at once', async () => {
    const counted = await startFaultProxy(`http://${registry.host}`);
    const pushed = `${registry.host}/team/once:v1`;
    const name = `${counted.url.replace('http://', '')}/team/once:v1`;
    // Of its own: the engine fetches no layer of another image that it has, or still tries to get.
    await importImage(endpoint, pushed, { 'etc/mark': randomBytes(8).toString('hex') });
    await pushImage(endpoint, pushed);
    let seen = 0;
    const asked = () => pullsOf(counted.requests.slice(seen));
    const forgotten = async () => {
      await forget(pushed);
      await forget(name);
      seen = counted.requests.length;
    };
    await forgotten();
    // What one pull asks, by the engine alone.
    const [repo, tag] = [name.slice(0, name.lastIndexOf(':')), name.slice(name.lastIndexOf(':') + 1)];
    const query = new URLSearchParams({ fromImage: repo, tag });
    const pulled = await engineRequest(endpoint, 'POST', `/v1.41/images/create?${query.toString()}`);
    expect(pulled.body).not.toContain('"error"');
    const ofOne = asked();
    expect(ofOne.filter((one) => /^HEAD .*\/manifests\/v1$/.test(one))).toHaveLength(1);
    expect(ofOne.filter((one) => /^GET .*\/blobs\//.test(one)).length).toBeGreaterThan(0);

    await forgotten();
    const runner = newRunner();
    const all = await Promise.all(Array.from({ length: 20 }, () => runner.prepare(name)));
    expect(new Set(all.map((one) => one.digest)).size).toBe(1);
    expect(asked()).toEqual(ofOne);
    // The bytes came once, and count for one of them.
    expect(all.filter(({ pulledBytes }) => pulledBytes !== null)).toHaveLength(1);

    // Where each pulls by itself, the registry sees it: the engine does not gather them all.
    await forgotten();
    await Promise.all(Array.from({ length: 5 }, () => newRunner().prepare(name)));
    expect(asked().length).toBeGreaterThan(ofOne.length);
    await forgotten();
    await counted.close();
  });
});
