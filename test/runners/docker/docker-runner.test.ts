import { mkdir, mkdtemp, realpath, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { labelsOf } from '../../../src/runners/docker/container-spec.ts';
import { deferred } from '../../../src/lib/deferred.ts';
import { answer, container } from '../../support/fake-engine.ts';
import { EXITED, closeEngines, failure, instance, runnerOn, spec } from '../../support/fake-engine-runner.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { MemoryLogWriter } from '../../support/memory-log-writer.ts';

afterEach(closeEngines);

// What a real engine does not do on demand; what it does is in the contract suite.

describe('ensure', () => {
  it('attaches before it starts, and asks nothing else of a warm engine', async () => {
    const { runner, engine } = await runnerOn({});
    await runner.ensure(spec, new MemoryLogWriter());
    const cold = engine.calls.length;
    await runner.ensure(spec, new MemoryLogWriter());
    const asked = engine.calls.slice(cold).map((call) => call.split('/').at(-1));
    expect(asked).toEqual(['create', 'attach', 'start']);
  });

  it('believes inspect where a start says 500 and the container runs', async () => {
    const { runner } = await runnerOn({
      [`POST /containers/${spec.name}/start`]: answer(500, { message: 'context deadline exceeded' }),
    });
    const ensured = await runner.ensure(spec, new MemoryLogWriter());
    expect(ensured).toMatchObject({ outcome: 'started' });
  });

  it('adopts what another call has started in between, without its half of the output', async () => {
    const { runner } = await runnerOn({ [`POST /containers/${spec.name}/start`]: answer(304) });
    const ensured = await runner.ensure(spec, new MemoryLogWriter());
    expect(ensured).toMatchObject({ outcome: 'adopted', status: { state: 'running' } });
  });

  it('takes Podman’s 500 for a name that is taken as what it is', async () => {
    const labels = labelsOf(instance, spec);
    const own = container(EXITED, { Config: { Labels: labels, Image: 'sha256:aa' } });
    const { runner } = await runnerOn({
      'POST /containers/create': answer(500, {
        message: `the container name "${spec.name}" is already in use by c`,
      }),
      [`GET /containers/${spec.name}/json`]: answer(200, own),
    });
    const ensured = await runner.ensure(spec, new MemoryLogWriter());
    expect(ensured).toMatchObject({ outcome: 'adopted', status: { state: 'exited' } });
  });

  it('goes without an init where Podman has none, and says so', async () => {
    let asked = 0;
    const message =
      'container create: container-init binary not found on the host: stat /usr/libexec/podman/catatonit';
    const { runner, log } = await runnerOn({
      'POST /containers/create': (request, response) => {
        asked++;
        request.resume();
        answer(asked === 1 ? 500 : 201, asked === 1 ? { message } : { Id: 'c' })(request, response);
      },
    });
    expect(await runner.ensure(spec, new MemoryLogWriter())).toMatchObject({ outcome: 'started' });
    await runner.ensure(spec, new MemoryLogWriter());
    expect(asked).toBe(3);
    expect(log.lines.map(({ level }) => level)).toEqual(['warn']);
  });

  it.each([
    ['sh', 'started'],
    ['nope', 'refused'],
  ])('looks for the program behind Podman’s init: %s is %s', async (program, outcome) => {
    const made = container(
      { Status: 'created' },
      { Path: '/run/podman-init', Args: ['--', program, '-c', 'true'], HostConfig: { Init: true } },
    );
    const executable = Buffer.from(JSON.stringify({ mode: 0o755 })).toString('base64');
    const { runner } = await runnerOn({
      [`GET /containers/${spec.name}/json`]: answer(200, made),
      [`HEAD /containers/${spec.name}/archive`]: (request, response) => {
        const { searchParams } = new URL(request.url ?? '', 'http://engine');
        const found = searchParams.get('path') === '/bin/sh';
        response.writeHead(found ? 200 : 404, { 'x-docker-container-path-stat': executable }).end();
      },
    });
    const ensured = runner.ensure(spec, new MemoryLogWriter());
    if (outcome === 'started') return expect(await ensured).toMatchObject({ outcome });
    const message = expect.stringMatching(/"nope" is not in the image/);
    return expect(ensured).rejects.toMatchObject({ code: 'CONTAINER_START_FAILED', message });
  });

  it('refuses the same labels on another image', async () => {
    const labels = labelsOf(instance, spec);
    const other = container(EXITED, { Image: 'sha256:bb', Config: { Labels: labels, Image: 'sha256:bb' } });
    const { runner } = await runnerOn({
      'POST /containers/create': answer(409, { message: 'already in use' }),
      [`GET /containers/${spec.name}/json`]: answer(200, other),
    });
    const refused = runner.ensure(spec, new MemoryLogWriter());
    await expect(refused).rejects.toMatchObject({
      code: 'CONTAINER_CONFLICT',
      message: expect.stringMatching(/another image/),
    });
  });

  it('makes one anew that never ran, where its image is another by now: its files may have taken hours', async () => {
    const created = { Status: 'created' };
    const labels = labelsOf(instance, spec);
    const other = container(created, { Image: 'sha256:bb', Config: { Labels: labels, Image: 'sha256:bb' } });
    let there = true;
    const { runner, engine } = await runnerOn({
      'POST /containers/create': (request, response) => {
        request.resume();
        answer(there ? 409 : 201, there ? { message: 'already in use' } : { Id: 'c' })(request, response);
      },
      [`GET /containers/${spec.name}/json`]: answer(200, other),
      [`DELETE /containers/${spec.name}`]: (request, response) => {
        there = false;
        answer(204)(request, response);
      },
    });
    let over = true;
    const mayAct = (): void => {
      if (over && engine.calls.some((call) => call.endsWith('/json'))) throw new Error('not ours any more');
    };
    await expect(runner.ensure(spec, new MemoryLogWriter(), { mayAct })).rejects.toThrow('not ours');
    expect(there).toBe(true);
    over = false;
    expect(await runner.ensure(spec, new MemoryLogWriter(), { mayAct })).toMatchObject({
      outcome: 'started',
    });
  });

  it('makes a failed start readable and removes the container', async () => {
    const words =
      'failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory: unknown';
    const { runner, engine } = await runnerOn({
      [`POST /containers/${spec.name}/start`]: answer(400, { message: words }),
      [`GET /containers/${spec.name}/json`]: answer(200, container({ ExitCode: 127, Error: words })),
    });
    const refused = runner.ensure(spec, new MemoryLogWriter());
    await expect(refused).rejects.toMatchObject({
      code: 'CONTAINER_START_FAILED',
      message: 'The command "/nope" is not in the image "busybox:1".',
    });
    expect(engine.calls).toContain(`DELETE /v1.41/containers/${spec.name}`);
  });

  it('knows a failed start by Podman, which tells at the attach', async () => {
    const words =
      'preparing container c for attach: runc: runc create failed: exec: "/nope": no such file or directory';
    const { runner, engine } = await runnerOn({
      [`POST /containers/${spec.name}/attach`]: answer(500, { message: words }),
    });
    const refused = runner.ensure(spec, new MemoryLogWriter());
    await expect(refused).rejects.toMatchObject({ code: 'CONTAINER_START_FAILED' });
    expect(engine.calls).toContain(`DELETE /v1.41/containers/${spec.name}`);
  });

  it.each([
    [500, 'transport is closing: unknown', 'ENGINE_REFUSED'],
    [500, 'context canceled', 'ENGINE_REFUSED'],
    [500, 'mkdir /var/lib/docker/overlay2/ab: no space left on device', 'ENGINE_REFUSED'],
    [500, 'nobody has ever heard of this', 'ENGINE_REFUSED'],
    [409, 'container is marked for removal and cannot be started', 'ENGINE_REFUSED'],
    [400, 'nobody has ever heard of this', 'CONTAINER_START_FAILED'],
    [500, 'runc create failed: exec: "/nope": no such file or directory', 'CONTAINER_START_FAILED'],
  ])('tells a refusal that may pass from one that lasts: %i %s', async (status, message, code) => {
    const created = { [`GET /containers/${spec.name}/json`]: answer(200, container({})) };
    const start = await runnerOn({
      [`POST /containers/${spec.name}/start`]: answer(status, { message }),
      ...created,
    });
    expect(await failure(start.runner.ensure(spec, new MemoryLogWriter()))).toMatchObject({ code });
    if (status === 409) return;
    const create = await runnerOn({ 'POST /containers/create': answer(status, { message }), ...created });
    expect(await failure(create.runner.ensure(spec, new MemoryLogWriter()))).toMatchObject({ code });
  });

  it('creates and starts nothing any more where it may not act, however late that shows', async () => {
    for (const allowed of [0, 1]) {
      const { runner, engine } = await runnerOn({});
      const over = new Error('over');
      let acts = 0;
      const mayAct = () => {
        if (acts++ >= allowed) throw over;
      };
      expect(await failure(runner.ensure(spec, new MemoryLogWriter(), { mayAct }))).toBe(over);
      const done = engine.calls.filter((call) => /create$|start$/.test(call));
      expect(done).toHaveLength(allowed);
    }
  });

  it('says that it does not know where the engine goes silent in a start', async () => {
    const clock = new ManualClock();
    const asked = deferred<void>();
    const { runner, engine } = await runnerOn(
      { [`POST /containers/${spec.name}/start`]: () => asked.resolve() },
      clock,
    );
    const refused = failure(runner.ensure(spec, new MemoryLogWriter()));
    await asked.promise;
    await clock.advance(60_000);
    expect(await refused).toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
    expect(engine.calls).not.toContain(`DELETE /v1.41/containers/${spec.name}`);
  });
});

describe('the network of the jobs', () => {
  const labels = { 'dev.tappet.instance': instance };
  it('is refused on Docker where containers would reach one another, whatever its labels', async () => {
    for (const options of [{}, { 'com.docker.network.bridge.enable_icc': 'true' }]) {
      const network = { Id: 'n', Labels: labels, Options: options };
      const { runner, engine } = await runnerOn({ 'GET /networks/net': answer(200, network) });
      await expect(runner.ensure(spec, new MemoryLogWriter())).rejects.toMatchObject({
        code: 'CONTAINER_CONFLICT',
        message: expect.stringMatching(/reach one another/) as unknown,
        fields: { fix: expect.stringMatching(/network rm net/) as unknown },
      });
      expect(engine.calls.filter((call) => call.endsWith('/create'))).toEqual([]);
    }
  });

  it('is taken on Podman, which has no such option', async () => {
    const version = { Version: '4.3.1', ApiVersion: '1.41', Components: [{ Name: 'Podman Engine' }] };
    const { runner } = await runnerOn({
      'GET /version': answer(200, version),
      'GET /networks/net': answer(200, { Id: 'n', Labels: labels, Options: {} }),
    });
    expect(await runner.ensure(spec, new MemoryLogWriter())).toMatchObject({ outcome: 'started' });
  });
});

describe('a bind', () => {
  it('is refused when its folder became a link after the configuration was loaded', async () => {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'tpt-bind-')));
    try {
      const from = join(folder, 'in');
      const bound = { ...spec, binds: [{ from, to: '/in', readOnly: true }] };
      await mkdir(from);
      const { runner, engine } = await runnerOn({});
      expect(await runner.ensure(bound, new MemoryLogWriter())).toMatchObject({ outcome: 'started' });
      await rename(from, join(folder, 'aside'));
      await symlink('/etc', from);
      const before = engine.calls.length;
      await expect(runner.ensure(bound, new MemoryLogWriter())).rejects.toMatchObject({
        code: 'CONTAINER_START_FAILED',
        message: `The folder ${from} was replaced by a symbolic link since the configuration was loaded.`,
      });
      expect(engine.calls.length).toBe(before);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('stop', () => {
  it('returns when the order is taken, long before the end', async () => {
    const clock = new ManualClock();
    const asked = deferred<void>();
    const { runner } = await runnerOn(
      { [`POST /containers/${spec.name}/stop`]: () => asked.resolve() },
      clock,
    );
    const stopped = runner.stop(spec.name, 30_000);
    await asked.promise;
    let returned = false;
    const watched = stopped.then(() => (returned = true));
    await clock.advance(249);
    expect(returned).toBe(false);
    await clock.advance(1);
    expect(await watched).toBe(true);
  });

  it('says so when the engine refuses', async () => {
    const { runner } = await runnerOn({
      [`POST /containers/${spec.name}/stop`]: answer(500, { message: 'no' }),
    });
    await expect(runner.stop(spec.name, 1000)).rejects.toMatchObject({ code: 'ENGINE_REFUSED' });
  });
});

it('what has the name of ours but not our label is not there, whatever it does', async () => {
  const inspect = async (config: object): Promise<unknown> => {
    const path = `GET /containers/${spec.name}/json`;
    const { runner } = await runnerOn({ [path]: answer(200, container(EXITED, config)) });
    return runner.inspect(spec.name);
  };
  expect(await inspect({})).toMatchObject({ state: 'exited' });
  expect(await inspect({ Config: { Labels: {}, Image: 'sha256:aa' } })).toEqual({ state: 'missing' });
});

it('kill says so when the container goes on running', async () => {
  const { runner } = await runnerOn({
    [`POST /containers/${spec.name}/kill`]: answer(500, { message: 'no' }),
  });
  await expect(runner.kill(spec.name)).rejects.toMatchObject({ code: 'ENGINE_REFUSED' });
});

it('warns where the engine lacks something', async () => {
  const poor = {
    NCPU: 1,
    MemTotal: 1,
    InitBinary: 'docker-init',
    InitCommit: { ID: 'N/A' },
    LiveRestoreEnabled: false,
    PidsLimit: false,
  };
  const { runner } = await runnerOn({ 'GET /info': answer(200, poor) });
  const { warnings, cpus, description } = await runner.capabilities();
  expect(cpus).toBe(1);
  expect(description).toMatch(/^Docker 20.10.24 at /);
  expect(warnings).toEqual([
    expect.stringMatching(/docker-init/),
    expect.stringMatching(/processes/),
    expect.stringMatching(/live-restore/),
  ]);
});
