import { createServer } from 'node:net';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  compareApi,
  describeEndpoint,
  findEngine,
  parseDockerHost,
} from '../../../src/runners/docker/find-engine.ts';
import { answer, fakeEngine, silence } from '../../support/fake-engine.ts';
import type { EngineHandler, FakeEngine } from '../../support/fake-engine.ts';

let dir = '';
const engines: FakeEngine[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tpt-find-'));
});
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close();
  await rm(dir, { recursive: true });
});

async function engineAt(version: EngineHandler): Promise<string> {
  const engine = await fakeEngine({ 'GET /version': version });
  engines.push(engine);
  return describeEndpoint(engine.endpoint);
}
const nowhere = () => ({ dockerSocket: join(dir, 'none'), podmanSocket: join(dir, 'none2') });
const docker = answer(200, { Version: '28.1.0', ApiVersion: '1.49', Components: [{ Name: 'Engine' }] });
const podman = answer(200, { Version: '4.3.1', ApiVersion: '1.41', Components: [{ Name: 'Podman Engine' }] });

describe('findEngine', () => {
  it('takes the default socket', async () => {
    const path = await engineAt(docker);
    const found = await findEngine({ env: {}, ...nowhere(), dockerSocket: path });
    expect(found).toEqual({
      found: true,
      endpoint: { kind: 'unix', path },
      kind: 'docker',
      version: '28.1.0',
      apiVersion: '1.49',
      tried: [{ place: path, why: `Docker 28.1.0 answers at ${path}` }],
    });
  });

  it('goes on to Podman, and says where it has been', async () => {
    const path = await engineAt(podman);
    const found = await findEngine({ env: { XDG_RUNTIME_DIR: dir }, ...nowhere(), podmanSocket: path });
    expect(found).toMatchObject({ found: true, kind: 'podman', endpoint: { path } });
    expect(found.tried.map(({ place }) => place)).toEqual([
      join(dir, 'none'),
      join(dir, 'docker.sock'),
      path,
    ]);
    expect(found.tried[0]?.why).toContain('no such socket');
  });

  it('takes no other engine than the one DOCKER_HOST names', async () => {
    const path = await engineAt(docker);
    const named = await findEngine({ env: { DOCKER_HOST: `unix://${path}` }, ...nowhere() });
    expect(named).toMatchObject({ found: true, endpoint: { path } });
    const other = await findEngine({ env: { DOCKER_HOST: 'unix:///nowhere' }, dockerSocket: path });
    expect(other).toMatchObject({ found: false, tried: [{ place: 'DOCKER_HOST=unix:///nowhere' }] });
  });

  it.each<[string, EngineHandler, RegExp]>([
    ['is too old', answer(200, { Version: '18.09', ApiVersion: '1.39' }), /too old: it speaks API 1.39/],
    ['is something else', answer(200, { hello: 'world' }), /not a container engine/],
    ['is a web page', (_, response) => response.end('<html>'), /not a container engine/],
    ['does not answer', silence, /no answer within 0.2 s/],
    ['never ends', (_, response) => response.write('x'.repeat(300_000)), /too long/],
  ])('says so in plain words where it %s', async (_, handler, why) => {
    const path = await engineAt(handler);
    const found = await findEngine({ env: {}, ...nowhere(), dockerSocket: path, timeoutMs: 200 });
    expect(found.found).toBe(false);
    expect(found.tried[0]?.why).toMatch(why);
  });

  it('says so where nobody listens, a file is in the place, or the host is wrong', async () => {
    const file = join(dir, 'file');
    await writeFile(file, '');
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const address = closed.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    closed.close();
    const why = async (host: string) => (await findEngine({ env: { DOCKER_HOST: host } })).tried[0]?.why;
    expect(await why(`unix://${file}`)).toMatch(/not running|not a socket/);
    expect(await why(`tcp://127.0.0.1:${port}`)).toMatch(/not running/);
    expect(await why('ssh://host')).toMatch(/ssh -L/);
    expect(await why('docker.example')).toMatch(/must look like/);
  });

  it('tells who may not use the socket what to do', async () => {
    const path = await engineAt(docker);
    await chmod(path, 0);
    const found = await asOrdinaryUser(() => findEngine({ env: {}, ...nowhere(), dockerSocket: path }));
    expect(found.tried[0]?.why).toMatch(/docker group/);
  });
});

/** Root may open anything: as root, becomes `nobody` for the call. */
async function asOrdinaryUser<T>(call: () => Promise<T>): Promise<T> {
  const root = process.getuid?.() === 0;
  if (root) process.seteuid?.(65534);
  try {
    return await call();
  } finally {
    if (root) process.seteuid?.(0);
  }
}

describe('parseDockerHost', () => {
  it.each([
    ['unix:///a/b.sock', {}, { kind: 'unix', path: '/a/b.sock' }],
    ['tcp://10.0.0.1', {}, { kind: 'tcp', host: '10.0.0.1', port: 2375, tlsDir: null }],
    ['tcp://[::1]:99', {}, { kind: 'tcp', host: '::1', port: 99, tlsDir: null }],
    [
      'tcp://h',
      { DOCKER_TLS_VERIFY: '1', HOME: '/home/u' },
      { kind: 'tcp', host: 'h', port: 2376, tlsDir: '/home/u/.docker' },
    ],
    [
      'tcp://h:1',
      { DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/c' },
      { kind: 'tcp', host: 'h', port: 1, tlsDir: '/c' },
    ],
  ])('reads %s', (value, env, endpoint) => {
    expect(parseDockerHost(value, env)).toEqual(endpoint);
  });

  it.each(['unix://relative', 'ssh://h', 'http://h', 'nonsense'])(
    'explains what is wrong with %s',
    (value) => {
      expect(parseDockerHost(value, {})).toEqual(expect.any(String));
    },
  );
});

it('compares API versions as numbers', () => {
  expect(compareApi('1.9', '1.41')).toBeLessThan(0);
  expect(compareApi('1.41', '1.41')).toBe(0);
  expect(compareApi('2.0', '1.47')).toBeGreaterThan(0);
});
