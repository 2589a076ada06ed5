import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MIB } from '../../src/core/job.ts';
import type { ContainerSpec } from '../../src/core/runner.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { createBody } from '../../src/runners/docker/container-spec.ts';
import { DockerRunner } from '../../src/runners/docker/docker-runner.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { scriptSpec } from '../support/container-specs.ts';
import { engineRequest, importImage, testEngine, testImage } from '../support/engine.ts';
import { FakeLog } from '../support/fake-log.ts';
import { MemoryLogWriter } from '../support/memory-log-writer.ts';
import { fileOf, filesOf } from '../support/staged-files.ts';

// What the runner does with Docker beyond the port's contract.

const instance = `tpt-${randomBytes(4).toString('hex')}`;
let endpoint: EngineEndpoint;
let image = '';
let digest = '';
let runner: DockerRunner;

const newRunner = (network = instance) =>
  new DockerRunner({
    endpoint,
    engine: 'test',
    instance,
    network,
    clock: new SystemClock(),
    log: new FakeLog(),
  });
const specOf = (script: string, more: Partial<ContainerSpec> = {}) =>
  scriptSpec({ instance, image, digest }, script, more);
const raw = (method: string, path: string, body?: object) =>
  engineRequest(endpoint, method, `/v1.41${path}`, body === undefined ? undefined : JSON.stringify(body));

beforeAll(async () => {
  endpoint = await testEngine();
  image = await testImage(endpoint);
  runner = newRunner();
  ({ digest } = await runner.prepare(image));
});
afterAll(async () => {
  for (const { name } of await runner.list()) await runner.remove(name);
  await raw('DELETE', `/networks/${instance}`);
});

async function run(spec: ContainerSpec): Promise<MemoryLogWriter> {
  const log = new MemoryLogWriter();
  const ensured = await runner.ensure(spec, log);
  if (ensured.outcome === 'started') await ensured.captured;
  await runner.remove(spec.name);
  return log;
}

/** What a server says to who connects; '' where it does not listen. */
async function heard(host: string, port: number): Promise<string> {
  const socket = connect({ host, port });
  try {
    return await text(socket);
  } catch {
    return '';
  }
}

describe('a container', () => {
  it('is limited, has no privileges and an init', async () => {
    const spec = specOf('sleep 300', { cpu: 0.5 });
    await runner.ensure(spec, new MemoryLogWriter());
    const found: unknown = JSON.parse((await raw('GET', `/containers/${spec.name}/json`)).body);
    await runner.remove(spec.name);
    expect(found).toMatchObject({
      HostConfig: {
        Privileged: false,
        Init: true,
        AutoRemove: false,
        RestartPolicy: { Name: 'no' },
        NetworkMode: instance,
        IpcMode: 'private',
        PidMode: '',
        UTSMode: '',
        Devices: null,
        CapAdd: null,
        SecurityOpt: ['no-new-privileges'],
        PidsLimit: 512,
        Memory: 64 * 1024 * 1024,
        MemorySwap: 64 * 1024 * 1024,
        NanoCpus: 500_000_000,
        OomScoreAdj: 500,
        LogConfig: { Type: 'local', Config: { 'max-size': '20m', 'max-file': '5' } },
      },
      Config: {
        StopSignal: 'SIGTERM',
        StopTimeout: 10,
        Labels: { 'dev.tappet.instance': instance, 'dev.tappet.epoch': '4' },
      },
    });
  });

  it('cannot start more than 512 processes', async () => {
    const script = 'i=0; while [ $i -lt 600 ]; do sleep 20 & i=$((i+1)); done; echo all';
    // Room for all of them: the bound must be the one on processes.
    const log = await run(specOf(script, { memoryBytes: 512 * MIB }));
    expect(log.text('stderr')).toMatch(/fork|resource/i);
    expect(log.text('stdout')).not.toContain('all');
  });

  it('cannot reach another one', async () => {
    const server = specOf('while :; do echo hello | nc -l -p 8080; done');
    await runner.ensure(server, new MemoryLogWriter());
    const inspected = (await raw('GET', `/containers/${server.name}/json`)).body;
    const address = /"IPAddress":"(\d+\.\d+\.\d+\.\d+)"/.exec(inspected)?.[1];
    // The host reaches it, so that it is there to be reached.
    await expect.poll(() => heard(address ?? '', 8080)).toBe('hello\n');
    const other = await run(specOf(`ip route; nc -w 2 ${address} 8080 </dev/null || echo unreachable`));
    await runner.remove(server.name);
    // It has a way out, but not to its neighbour.
    expect(other.text('stdout')).toMatch(/^default via/);
    expect(other.text('stdout')).toContain('unreachable');
    expect(other.text('stdout')).not.toContain('hello');
  });

  it('that was made and never started by an earlier gateway is started, with its output', async () => {
    const spec = specOf('echo one; printf two');
    const body = createBody(instance, instance, { ...spec, epoch: 3 }, { kind: 'docker', hasInit: true });
    expect((await raw('POST', `/containers/create?name=${spec.name}`, body)).status).toBe(201);
    expect(await runner.inspect(spec.name)).toEqual({ state: 'created' });
    const log = await run(spec);
    expect(log.text('stdout')).toBe('one\ntwo');
  });

  it('of the same name without our labels is left alone', async () => {
    const spec = specOf('true');
    await raw('POST', `/containers/create?name=${spec.name}`, { Image: digest, Cmd: ['true'] });
    const refused = runner.ensure(spec, new MemoryLogWriter());
    await expect(refused).rejects.toMatchObject({ code: 'CONTAINER_CONFLICT' });
    expect(await runner.inspect(spec.name)).toEqual({ state: 'missing' });
    expect(JSON.parse((await raw('GET', `/containers/${spec.name}/json`)).body)).toMatchObject({
      State: { Status: 'created' },
    });
    await raw('DELETE', `/containers/${spec.name}`);
  });

  it('runs on an image that was removed from its name since it was prepared, or says that it is gone', async () => {
    const name = 'tappet-test/short-lived:1';
    await importImage(endpoint, name, { 'etc/mark': instance });
    const prepared = await runner.prepare(name);
    await raw('DELETE', `/images/${name}`);
    const spec = { ...specOf('true'), image: name, digest: prepared.digest };
    await expect(runner.ensure(spec, new MemoryLogWriter())).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
    });
    // What was believed is forgotten: the image is looked for again, and no registry has it.
    await expect(runner.prepare(name)).rejects.toMatchObject({ code: expect.stringMatching(/^IMAGE_/) });
  });

  it('is refused in plain words: too many cores, no program, a folder that is not there', async () => {
    const { command: _, ...noProgram } = specOf('');
    const cases: [ContainerSpec, RegExp][] = [
      [specOf('true', { cpu: 500 }), /CPUs/],
      [noProgram, /command/i],
      [
        specOf('true', { binds: [{ from: '/nowhere/at/all', to: '/in', readOnly: true }] }),
        /\/nowhere\/at\/all/,
      ],
      [specOf('true', { user: 'nobody-here' }), /user/],
    ];
    for (const [spec, message] of cases) {
      const refused = runner.ensure(spec, new MemoryLogWriter());
      await expect(refused).rejects.toMatchObject({
        code: 'CONTAINER_START_FAILED',
        message: expect.stringMatching(message),
        fields: { fix: expect.any(String) },
      });
      expect(await runner.inspect(spec.name)).toEqual({ state: 'missing' });
    }
  });
});

describe('a file that is put into a container before its start', () => {
  const content = 'the content\n';
  const to = '/in/file';
  const files = () => filesOf([fileOf(to, content)]);

  /** Runs one that somebody has made as `more` says, which the runner then takes for its own. */
  async function madeWith(more: object): Promise<{ log: MemoryLogWriter; error: unknown }> {
    const spec = specOf(`cat ${to}`);
    const body = createBody(instance, instance, spec, { kind: 'docker', hasInit: true });
    const { HostConfig } = body as { HostConfig: object };
    const made = { ...body, HostConfig: { ...HostConfig, ...more } };
    expect((await raw('POST', `/containers/create?name=${spec.name}`, made)).status).toBe(201);
    const log = new MemoryLogWriter();
    try {
      const ensured = await runner.ensure(spec, log, { files });
      if (ensured.outcome !== 'started') throw new Error('it has run already');
      await ensured.captured;
      return { log, error: null };
    } catch (error) {
      return { log, error };
    } finally {
      await runner.remove(spec.name);
    }
  }

  it('is refused by the engine on a root that is read-only, and lost under a tmpfs without a word', async () => {
    const readOnly = await madeWith({ ReadonlyRootfs: true });
    expect(readOnly.error).toMatchObject({
      code: 'CONTAINER_START_FAILED',
      message: expect.stringMatching(/marked read-only/),
    });
    const covered = await madeWith({ Tmpfs: { '/in': '' } });
    expect(covered.error).toBeNull();
    expect(covered.log.text('stdout')).toBe('');
    expect(covered.log.text('stderr')).toMatch(/No such file/);
  });

  it('is there, as no container of ours has either: what would cover it is refused', async () => {
    const spec = specOf(`cat ${to}; sleep 300`);
    const log = new MemoryLogWriter();
    const output = new Promise<void>((resolve) => log.written(resolve));
    await runner.ensure(spec, log, { files });
    await output;
    const { body } = await raw('GET', `/containers/${spec.name}/json`);
    await runner.remove(spec.name);
    expect(log.text('stdout')).toBe(content);
    const { HostConfig, Mounts } = JSON.parse(body) as { HostConfig: object; Mounts: unknown };
    expect(HostConfig).toMatchObject({ ReadonlyRootfs: false, Binds: null });
    expect(HostConfig).not.toHaveProperty('Tmpfs');
    expect(Mounts).toEqual([]);

    const binds = [{ from: '/usr/share', to: '/in', readOnly: true }];
    const refused: [string, Partial<ContainerSpec>, RegExp][] = [
      ['/dev/shm/file', {}, /covers that place/],
      ['/proc/file', {}, /covers that place/],
      [to, { binds }, /is a folder of the host/],
    ];
    for (const [place, more, message] of refused) {
      const one = runner.ensure(specOf('true', more), new MemoryLogWriter(), {
        files: () => filesOf([fileOf(place, content)]),
      });
      await expect(one, place).rejects.toMatchObject({
        code: 'CONTAINER_START_FAILED',
        message: expect.stringMatching(message),
      });
    }
  });
});

describe('a bind', () => {
  it('shows the folder, and cannot be written where it is read-only', async () => {
    const dir = await mkdtemp('/tmp/tpt-bind-');
    try {
      await writeFile(join(dir, 'file'), 'content');
      const log = await run(
        specOf('cat /in/file; touch /in/x', { binds: [{ from: dir, to: '/in', readOnly: true }] }),
      );
      expect(log.text('stdout')).toBe('content');
      expect(log.text('stderr')).toMatch(/read-only/i);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it('of the engine’s socket, or of a folder above it, is refused', async () => {
    const path = endpoint.kind === 'unix' ? endpoint.path : '/var/run/docker.sock';
    for (const from of [path, join(path, '..'), '/', '/var/run/../run']) {
      const spec = specOf('true', { binds: [{ from, to: '/in', readOnly: true }] });
      const refused = runner.ensure(spec, new MemoryLogWriter());
      await expect(refused).rejects.toMatchObject({
        code: 'CONTAINER_START_FAILED',
        message: expect.stringMatching(/socket/),
      });
    }
  });
});

describe('the network of the jobs', () => {
  it('is made again when somebody removed it', async () => {
    const own = `${instance}-n`;
    const another = newRunner(own);
    for (let round = 0; round < 2; round++) {
      const spec = specOf('echo hi');
      const ensured = await another.ensure(spec, new MemoryLogWriter());
      expect(ensured.outcome).toBe('started');
      if (ensured.outcome === 'started') await ensured.captured;
      await another.remove(spec.name);
      expect((await raw('DELETE', `/networks/${own}`)).status).toBe(204);
    }
  });

  it('is not shared with strangers', async () => {
    const own = `${instance}-s`;
    await raw('POST', '/networks/create', { Name: own, Driver: 'bridge' });
    const refused = newRunner(own).ensure(specOf('true'), new MemoryLogWriter());
    await expect(refused).rejects.toMatchObject({ code: 'CONTAINER_CONFLICT' });
    await raw('DELETE', `/networks/${own}`);
  });
});
