import { afterEach, describe, expect, it } from 'vitest';
import { labelsOf } from '../../../src/runners/docker/container-spec.ts';
import { DockerRunner } from '../../../src/runners/docker/docker-runner.ts';
import { GAP_LINE } from '../../../src/runners/docker/gap-line.ts';
import { deferred } from '../../../src/lib/deferred.ts';
import { SystemClock } from '../../../src/lib/system-clock.ts';
import type { Clock } from '../../../src/core/clock.ts';
import { scriptSpec } from '../../support/container-specs.ts';
import { answer, container, fakeEngine } from '../../support/fake-engine.ts';
import type { EngineHandler, FakeEngine } from '../../support/fake-engine.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { MemoryLogWriter } from '../../support/memory-log-writer.ts';

// What a real engine does not do on demand; what it does is in the contract suite.

let engine: FakeEngine;
afterEach(() => engine.close());

const instance = 'tpt';
const spec = scriptSpec({ instance, image: 'busybox:1', digest: 'sha256:aa' }, 'true');
const RUNNING = { Running: true, StartedAt: '2026-01-01T00:00:00Z' };
const EXITED = { StartedAt: '2026-01-01T00:00:00Z', FinishedAt: '2026-01-01T00:00:01Z' };

async function runnerOn(handlers: Readonly<Record<string, EngineHandler>>, clock: Clock = new SystemClock()) {
  engine = await fakeEngine({
    'GET /networks/net': answer(200, { Id: 'n', Labels: { 'dev.tappet.instance': instance } }),
    'POST /containers/create': answer(201, { Id: 'c' }),
    [`POST /containers/${spec.name}/attach`]: (_, response) => response.writeHead(200).flushHeaders(),
    [`POST /containers/${spec.name}/start`]: answer(204),
    [`GET /containers/${spec.name}/json`]: answer(200, container(RUNNING)),
    [`DELETE /containers/${spec.name}`]: answer(204),
    ...handlers,
  });
  const log = new FakeLog();
  const runner = new DockerRunner({
    endpoint: engine.endpoint,
    engine: 'e',
    instance,
    network: 'net',
    clock,
    log,
  });
  return { runner, log };
}
const frame = (type: number, text: string) =>
  Buffer.from([type, 0, 0, 0, 0, 0, 0, text.length, ...Buffer.from(text)]);

describe('ensure', () => {
  it('attaches before it starts, and asks nothing else of a warm engine', async () => {
    const { runner } = await runnerOn({});
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

  it('makes a failed start readable and removes the container', async () => {
    const words =
      'failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory: unknown';
    const { runner } = await runnerOn({
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

  it('says that it does not know where the engine goes silent in a start', async () => {
    const clock = new ManualClock();
    const asked = deferred<void>();
    const { runner } = await runnerOn(
      { [`POST /containers/${spec.name}/start`]: () => asked.resolve() },
      clock,
    );
    const refused = expect(runner.ensure(spec, new MemoryLogWriter())).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
    });
    await asked.promise;
    await clock.advance(60_000);
    await refused;
    expect(engine.calls).not.toContain(`DELETE /v1.41/containers/${spec.name}`);
  });
});

describe('capture', () => {
  const attach = `POST /containers/${spec.name}/attach`;
  const inspect = `GET /containers/${spec.name}/json`;
  const sends =
    (...parts: Buffer[]): EngineHandler =>
    (_, response) => {
      response.writeHead(200);
      response.end(Buffer.concat(parts));
    };
  const capturedOf = async (runner: DockerRunner, log: MemoryLogWriter) => {
    const ensured = await runner.ensure(spec, log);
    if (ensured.outcome !== 'started') throw new Error('adopted');
    return ensured.captured;
  };

  it('is whole when the stream and the container have ended', async () => {
    const { runner } = await runnerOn({
      [attach]: sends(frame(1, 'out'), frame(2, 'err')),
      [inspect]: answer(200, container(EXITED)),
    });
    const log = new MemoryLogWriter();
    expect(await capturedOf(runner, log)).toBe(true);
    expect([log.text('stdout'), log.text('stderr')]).toEqual(['out', 'err']);
  });

  it('is not when the stream ends in the middle of a frame', async () => {
    const { runner } = await runnerOn({
      [attach]: sends(frame(1, 'cut here').subarray(0, 12)),
      [inspect]: answer(200, container(EXITED)),
    });
    const log = new MemoryLogWriter();
    expect(await capturedOf(runner, log)).toBe(false);
    expect(log.text('stdout')).toBe('cut ');
  });

  it('is not when the stream ends and the container runs on', async () => {
    const clock = new ManualClock();
    const { runner } = await runnerOn({ [attach]: sends(frame(1, 'x')) }, clock);
    expect(await passing(clock, capturedOf(runner, new MemoryLogWriter()))).toBe(false);
  });

  it('is not when the engine was gone in between, though it is back and the container has ended', async () => {
    const writing = deferred<void>();
    const held = deferred<void>();
    const { runner } = await runnerOn({
      [attach]: sends(frame(1, 'x')),
      [inspect]: answer(200, container(EXITED)),
      'GET /containers/json': (_, response) => response.destroy(),
    });
    const log = new MemoryLogWriter();
    log.before = () => {
      writing.resolve();
      return held.promise;
    };
    const captured = capturedOf(runner, log);
    await writing.promise;
    await expect(runner.list()).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
    held.resolve();
    expect(await captured).toBe(false);
  });

  it('lets the stream go when one write takes more than 5 s: the container must not wait for us', async () => {
    const clock = new ManualClock();
    const writing = deferred<void>();
    const held = deferred<void>();
    const { runner, log: gatewayLog } = await runnerOn(
      { [attach]: (_, response) => response.writeHead(200).write(frame(1, 'x')) },
      clock,
    );
    const log = new MemoryLogWriter();
    log.before = () => {
      writing.resolve();
      return held.promise;
    };
    const captured = capturedOf(runner, log);
    await writing.promise;
    await clock.advance(5000);
    held.resolve();
    expect(await captured).toBe(false);
    // Whoever goes on from the cursor must not race the slow write.
    expect(log.text('stdout')).toBe('x');
    expect(gatewayLog.lines).toHaveLength(1);
  });
});

describe('logs', () => {
  const logs = `GET /containers/${spec.name}/logs`;
  /** The engine's log as it is now: `stdout` of it, nothing on stderr. */
  const holds =
    (text: string): EngineHandler =>
    (request, response) => {
      response.writeHead(200);
      const parts = (text.match(/[\s\S]{1,200}/g) ?? []).map((part) => frame(1, part));
      response.end(request.url?.includes('stdout=1') === true ? Buffer.concat(parts) : undefined);
    };
  const lines = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, n) => `line ${from + n}\n`).join('');

  async function resumed(taken: string, held: string): Promise<MemoryLogWriter> {
    const { runner } = await runnerOn({
      [logs]: holds(held),
      [`GET /containers/${spec.name}/json`]: answer(200, container(EXITED)),
    });
    const log = new MemoryLogWriter();
    await log.write('stdout', Buffer.from(taken));
    await runner.logs(spec.name, log, new AbortController().signal);
    return log;
  }

  it('go on behind what was taken', async () => {
    const log = await resumed(lines(0, 500), lines(0, 900));
    expect(log.text('stdout')).toBe(lines(0, 900));
    expect(log.text('stderr')).toBe('');
  });

  it('go on without a gap where the engine dropped only what was taken', async () => {
    const log = await resumed(lines(0, 2000), lines(1400, 3000));
    expect(log.text('stdout')).toBe(lines(0, 3000));
    expect(log.text('stderr')).toBe('');
  });

  it('say where output is missing for good', async () => {
    const log = await resumed(lines(0, 500), lines(700, 900));
    expect(log.text('stdout')).toBe(lines(0, 500) + lines(700, 900));
    expect(log.text('stderr')).toBe(GAP_LINE);
  });

  it('end with ENGINE_UNAVAILABLE where the engine breaks off', async () => {
    const { runner } = await runnerOn({
      [logs]: (_, response) => {
        response.writeHead(200);
        response.write(frame(1, 'x'), () => response.destroy());
      },
      [`GET /containers/${spec.name}/json`]: answer(200, container(EXITED)),
    });
    const refused = runner.logs(spec.name, new MemoryLogWriter(), new AbortController().signal);
    await expect(refused).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
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
    await clock.advance(250);
    await stopped;
  });

  it('says so when the engine refuses', async () => {
    const { runner } = await runnerOn({
      [`POST /containers/${spec.name}/stop`]: answer(500, { message: 'no' }),
    });
    await expect(runner.stop(spec.name, 1000)).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
  });
});

it('kill says so when the container goes on running', async () => {
  const { runner } = await runnerOn({
    [`POST /containers/${spec.name}/kill`]: answer(500, { message: 'no' }),
  });
  await expect(runner.kill(spec.name)).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
});

describe('hints', () => {
  it('come back with a growing pause, and say that they did', async () => {
    const clock = new ManualClock();
    const died = (name: string) =>
      `${JSON.stringify({ Type: 'container', Actor: { Attributes: { name } } })}\n`;
    let connects = 0;
    const { runner } = await runnerOn(
      {
        'GET /events': (_, response) => {
          connects++;
          if (connects === 2) return void response.destroy();
          const text = died(`c${connects}`);
          // A line may come in two pieces; one that is not JSON is passed over.
          response.write(`nonsense\n${text.slice(0, 20)}`, () => {
            if (connects === 1) response.end(text.slice(20));
            else response.write(text.slice(20));
          });
        },
      },
      clock,
    );
    const controller = new AbortController();
    const seen: string[] = [];
    for await (const hint of withClock(clock, runner.hints(controller.signal))) {
      seen.push(hint.kind === 'container' ? hint.name : hint.kind);
      if (seen.at(-1) === 'c3') controller.abort();
    }
    expect(seen).toEqual(['reconnected', 'c1', 'reconnected', 'c3']);
    expect(connects).toBe(3);
  });
});

/** Lets the clock run while the next value is awaited. */
async function* withClock<T>(clock: ManualClock, values: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = values[Symbol.asyncIterator]();
  for (;;) {
    const { done, value } = await passing(clock, iterator.next());
    if (done === true) return;
    yield value;
  }
}

/** Lets the clock run until `promise` settles. */
async function passing<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  const watched = promise.finally(() => (settled = true));
  while (!settled) await clock.advance(1);
  return watched;
}

describe('prepare', () => {
  const image = 'GET /images/busybox:1/json';
  const pull = 'POST /images/create';
  const lines =
    (...objects: object[]): EngineHandler =>
    (_, response) =>
      response.writeHead(200).end(objects.map((object) => `${JSON.stringify(object)}\r\n`).join(''));
  const missing = answer(404, { message: 'No such image: busybox:1' });
  const error = (text: string) =>
    lines({ status: 'Pulling' }, { errorDetail: { message: text }, error: text });

  it('asks once for a burst, and again a second later', async () => {
    const clock = new ManualClock();
    const { runner } = await runnerOn({ [image]: answer(200, { Id: 'sha256:aa' }) }, clock);
    const asked = () => engine.calls.filter((call) => call.includes('/images/')).length;
    const all = await Promise.all([runner.prepare('busybox:1'), runner.prepare('busybox:1')]);
    expect(all).toEqual([{ digest: 'sha256:aa' }, { digest: 'sha256:aa' }]);
    await runner.prepare('busybox:1');
    expect(asked()).toBe(1);
    clock.set(clock.now() + 1000);
    await runner.prepare('busybox:1');
    expect(asked()).toBe(2);
    clock.set(0);
    await runner.prepare('busybox:1');
    expect(asked()).toBe(3);
  });

  it.each<[string, EngineHandler, string]>([
    [
      'manifest for x not found: manifest unknown',
      error('manifest for x not found: manifest unknown'),
      'IMAGE_NOT_FOUND',
    ],
    [
      'pull access denied for x, repository does not exist',
      answer(404, {
        message: 'pull access denied for x, repository does not exist or may require docker login',
      }),
      'IMAGE_NOT_FOUND',
    ],
    ['unauthorized', error('unauthorized: authentication required'), 'IMAGE_UNAUTHORIZED'],
    [
      'no basic auth credentials',
      answer(500, { message: 'Head "http://r/v2/": no basic auth credentials' }),
      'IMAGE_UNAUTHORIZED',
    ],
    ['toomanyrequests', error('toomanyrequests: too many requests'), 'IMAGE_PULL_FAILED'],
    [
      'no such host',
      answer(500, { message: 'Get "https://r/v2/": dial tcp: lookup r: no such host' }),
      'IMAGE_PULL_FAILED',
    ],
    ['a layer that breaks off', error('unexpected EOF'), 'IMAGE_PULL_FAILED'],
    ['no space left', error('write /x: no space left on device'), 'IMAGE_PULL_FAILED'],
    ['no error, and no image', lines({ status: 'Downloaded' }), 'IMAGE_PULL_FAILED'],
  ])('knows why a pull failed: %s', async (_, handler, code) => {
    const { runner } = await runnerOn({ [image]: missing, [pull]: handler });
    await expect(runner.prepare('busybox:1')).rejects.toMatchObject({ code });
  });

  it('refuses what is no name of an image without asking the engine', async () => {
    const { runner } = await runnerOn({});
    for (const name of ['', '../x', 'a b', 'x?y=1', 'x/', 'x:', '-x']) {
      await expect(runner.prepare(name)).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' });
    }
    expect(engine.calls).toEqual([]);
  });

  it('gives up a pull without progress after 2 minutes', async () => {
    const clock = new ManualClock();
    const asked = deferred<void>();
    const { runner } = await runnerOn({ [image]: missing, [pull]: () => asked.resolve() }, clock);
    const refused = expect(runner.prepare('busybox:1')).rejects.toMatchObject({
      code: 'IMAGE_PULL_FAILED',
      message: expect.stringMatching(/no progress for 2 minutes/),
    });
    await asked.promise;
    await clock.advance(120_000);
    await refused;
  });

  it('gives up a pull that goes on for more than 10 minutes', async () => {
    const clock = new ManualClock();
    let tell = () => {};
    const { runner } = await runnerOn(
      {
        [image]: missing,
        [pull]: (_, response) => {
          response.writeHead(200);
          tell = () => response.write('{"status":"Downloading"}\n');
          tell();
        },
      },
      clock,
    );
    let settled = false;
    const refused = runner
      .prepare('busybox:1')
      .catch((error: unknown) => error)
      .finally(() => (settled = true));
    while (!settled) {
      tell();
      await clock.advance(1000);
    }
    expect(await refused).toMatchObject({
      code: 'IMAGE_PULL_FAILED',
      message: expect.stringMatching(/10 minutes/),
    });
  });
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
