import { unlinkSync } from 'node:fs';
import { Readable } from 'node:stream';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { EngineClient, chooseApi } from '../../../src/runners/docker/engine-client.ts';
import { SystemClock } from '../../../src/lib/system-clock.ts';
import { answer, container, fakeEngine, silence } from '../../support/fake-engine.ts';
import type { EngineHandler, FakeEngine } from '../../support/fake-engine.ts';
import { failure } from '../../support/fake-engine-runner.ts';
import { ManualClock } from '../../support/manual-clock.ts';

let engine: FakeEngine;
const engines: FakeEngine[] = [];
afterEach(async () => {
  for (const one of engines.splice(0)) await one.close();
});

async function client(
  handlers: Readonly<Record<string, EngineHandler>>,
  clock = new ManualClock(),
): Promise<EngineClient> {
  engine = await fakeEngine(handlers);
  engines.push(engine);
  return new EngineClient(engine.endpoint, clock);
}
const unavailable = { code: 'ENGINE_UNAVAILABLE' };

describe('the version of the API', () => {
  it.each([
    ['1.41', '1.12', '1.41'],
    ['1.52', '1.44', '1.47'],
    ['1.40', '1.24', '1.40'],
    ['1.39', '1.12', null],
    ['1.60', '1.50', null],
  ])('offered up to %s from %s on is spoken as %s', (newest, oldest, spoken) => {
    expect(chooseApi(newest, oldest)).toBe(spoken);
  });

  it('stands in every path but the question for it, which is asked once', async () => {
    const asked = await client({
      'GET /containers/x/json': answer(404, { message: 'No such container: x' }),
    });
    await asked.inspectContainer('x');
    await asked.inspectContainer('x');
    expect(engine.calls).toEqual([
      'GET /version',
      'GET /v1.41/containers/x/json',
      'GET /v1.41/containers/x/json',
    ]);
  });

  it('that is not spoken is said in words', async () => {
    const asked = await client({
      'GET /version': answer(200, { Version: '1', ApiVersion: '1.30', MinAPIVersion: '1.12' }),
    });
    await expect(asked.info()).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringMatching(/API 1.12 to 1.30/),
    });
  });
});

describe('an engine that does not answer', () => {
  const none = new AbortController().signal;
  type Calls = Exclude<keyof EngineClient, 'transport' | 'version'>;
  type Watched = 'containerStats' | 'putArchive' | 'pastEvents';
  /** Every call of the client, or this does not compile: with its deadline, and how it is made. */
  const CALLS: Readonly<
    Record<Exclude<Calls, Watched>, [number, (asked: EngineClient) => Promise<unknown>]>
  > = {
    info: [10_000, (asked) => asked.info()],
    inspectImage: [10_000, (asked) => asked.inspectImage('i')],
    removeImage: [60_000, (asked) => asked.removeImage('i')],
    createContainer: [60_000, (asked) => asked.createContainer('x', {})],
    inspectContainer: [10_000, (asked) => asked.inspectContainer('x')],
    attach: [10_000, (asked) => asked.attach('x')],
    startContainer: [60_000, (asked) => asked.startContainer('x')],
    stopContainer: [70_000, (asked) => asked.stopContainer('x', 10)],
    killContainer: [10_000, (asked) => asked.killContainer('x')],
    removeContainer: [60_000, (asked) => asked.removeContainer('x')],
    listContainers: [10_000, (asked) => asked.listContainers('l')],
    readLog: [10_000, (asked) => asked.readLog('x', none)],
    followLog: [3_600_000, (asked) => asked.followLog('x', none)],
    statPath: [10_000, (asked) => asked.statPath('x', '/p')],
    getArchive: [60_000, (asked) => asked.getArchive('x', '/p')],
    events: [10_000, (asked) => asked.events([], none)],
    inspectNetwork: [10_000, (asked) => asked.inspectNetwork('n')],
    createNetwork: [60_000, (asked) => asked.createNetwork({})],
    pullImage: [600_000, (asked) => asked.pullImage('i', 't', none, 600_000)],
  };
  /** Whoever makes these gives them their end, and cannot leave it out. */
  const WATCHED: Readonly<Record<Watched, (asked: EngineClient, signal: AbortSignal) => Promise<unknown>>> = {
    containerStats: (asked, signal) => asked.containerStats('x', signal),
    putArchive: (asked, signal) => asked.putArchive('x', Readable.from(['archive']), signal),
    pastEvents: (asked, signal) => asked.pastEvents(0, {}, signal),
  };
  const silent = (clock: ManualClock): Promise<EngineClient> =>
    client(
      {
        '* /*': silence,
        'GET /info': silence,
        'GET /version': answer(200, { Version: '1', ApiVersion: '1.41' }),
      },
      clock,
    );

  it.each(Object.entries(CALLS))('ends %s at its deadline', async (_, [ms, call]) => {
    const clock = new ManualClock();
    const asked = await silent(clock);
    await asked.version();
    let settled = false;
    const ended = call(asked)
      .catch((error: unknown) => error)
      .finally(() => (settled = true));
    await vi.waitUntil(() => engine.calls.length === 2);
    await clock.advance(ms - 1);
    expect(settled).toBe(false);
    await clock.advance(1);
    expect(await ended).toMatchObject({
      ...unavailable,
      message: expect.stringMatching(`did not answer within ${ms / 1000} s`),
    });
    expect(clock.pending).toBe(0);
  });

  it.each(Object.entries(WATCHED))('ends %s with its signal, which is never left out', async (_, call) => {
    const asked = await silent(new ManualClock());
    await asked.version();
    const watch = new AbortController();
    const ended = failure(call(asked, watch.signal));
    await vi.waitUntil(() => engine.calls.length === 2);
    watch.abort();
    expect(await ended).toMatchObject(unavailable);
    // The caller's affair: nothing is said of the engine.
    expect(asked.transport.outages).toBe(0);
  });

  it('ends the question for its version at its deadline', async () => {
    const clock = new ManualClock();
    const asked = await client({ 'GET /version': silence }, clock);
    const ended = failure(asked.version());
    await vi.waitUntil(() => engine.calls.length === 1);
    await clock.advance(10_000);
    expect(await ended).toMatchObject({ message: expect.stringMatching('did not answer within 10 s') });
  });

  it('in the middle of an answer ends the call too', async () => {
    const clock = new ManualClock();
    const half: EngineHandler = (_, response) => response.write('{"Id": ');
    const asked = await client({ 'GET /containers/x/json': half }, clock);
    const ended = failure(asked.inspectContainer('x'));
    await vi.waitUntil(() => engine.calls.length === 2);
    await clock.advance(10_000);
    expect(await ended).toMatchObject(unavailable);
  });
});

describe('a connection that ends without an answer', () => {
  const closing =
    (times: number): EngineHandler =>
    (request, response) => {
      const calls = engine.calls.filter((call) => call.endsWith('/containers/x/json')).length;
      if (calls > times) answer(404, { message: 'No such container' })(request, response);
      else response.destroy();
    };

  it('may have been closed while it waited: the call is made once more', async () => {
    const asked = await client({ 'GET /containers/x/json': closing(1) });
    expect(await asked.inspectContainer('x')).toBeNull();
    expect(asked.transport.outages).toBe(0);
    expect(engine.calls).toHaveLength(3);
  });

  it('may have started a container that has ended since: a start is never made again', async () => {
    const asked = await client({ 'POST /containers/x/start': (_, response) => void response.destroy() });
    await expect(asked.startContainer('x')).rejects.toMatchObject(unavailable);
    expect(engine.calls.filter((call) => call.endsWith('/start'))).toHaveLength(1);
  });

  it('is the engine’s affair where it happens again', async () => {
    const asked = await client({ 'GET /containers/x/json': closing(2) });
    await expect(asked.inspectContainer('x')).rejects.toMatchObject(unavailable);
    expect(engine.calls).toHaveLength(3);
  });

  it('is not used again where the call was under way for long', async () => {
    const clock = new ManualClock();
    const asked = await client(
      {
        'GET /containers/x/json': (_, response) => void clock.advance(1000).then(() => response.destroy()),
      },
      clock,
    );
    await expect(asked.inspectContainer('x')).rejects.toMatchObject(unavailable);
    expect(engine.calls).toHaveLength(2);
  });
});

describe('an engine that is about to end', () => {
  const exited = (ExitCode: number): EngineHandler => {
    const told = answer(200, container({ Status: 'exited', Running: false, ExitCode }));
    return (request, response) => {
      const { endpoint } = engine;
      if (endpoint.kind === 'unix') unlinkSync(endpoint.path);
      // Its socket goes first; what is connected is still answered.
      told(request, response);
    };
  };

  it.each([137, 143, 255])('does not tell of an exit: %i may be its own doing', async (code) => {
    const asked = await client({ 'GET /containers/x/json': exited(code) });
    await expect(asked.inspectContainer('x')).rejects.toMatchObject(unavailable);
    expect(asked.transport.outages).toBe(1);
  });

  it('kills with three codes only', async () => {
    const asked = await client({ 'GET /containers/x/json': exited(3) });
    expect(await asked.inspectContainer('x')).toMatchObject({ State: { ExitCode: 3 } });
  });
});

describe('the deadlines of calls', () => {
  it('are those of the settings, as they are at the call', async () => {
    const clock = new ManualClock();
    const handlers = { 'GET /containers/x/json': silence, 'POST /containers/x/start': silence };
    engine = await fakeEngine(handlers);
    engines.push(engine);
    const limits = { answerMs: 2000, orderMs: 3000 };
    const asked = new EngineClient(engine.endpoint, clock, () => limits);
    const inspected = failure(asked.inspectContainer('x'));
    await vi.waitUntil(() => engine.calls.length === 2);
    await clock.advance(2000);
    expect(await inspected).toMatchObject({ message: expect.stringMatching('within 2 s') });
    limits.orderMs = 4000;
    const started = failure(asked.startContainer('x'));
    await vi.waitUntil(() => engine.calls.length === 4);
    await clock.advance(4000);
    expect(await started).toMatchObject({ message: expect.stringMatching('within 4 s') });
  });
});

describe('an engine that dies', () => {
  it('ends a call in the middle of its answer at once', async () => {
    const dying: EngineHandler = (_, response) => {
      response.write('{"Id": ', () => response.destroy());
    };
    const asked = await client({ 'GET /containers/x/json': dying }, new ManualClock());
    await expect(asked.inspectContainer('x')).rejects.toMatchObject(unavailable);
    expect(asked.transport.outages).toBe(1);
  });

  it('is asked for its version again when it is back', async () => {
    let version = '1.41';
    const handlers: Record<string, EngineHandler> = {
      'GET /version': (request, response) =>
        answer(200, { Version: '1', ApiVersion: version })(request, response),
      'GET /containers/x/json': (_, response) => response.destroy(),
      'GET /containers/y/json': answer(404, { message: 'No such container' }),
    };
    const asked = await client(handlers);
    await expect(asked.inspectContainer('x')).rejects.toMatchObject(unavailable);
    version = '1.43';
    expect(await asked.inspectContainer('y')).toBeNull();
    expect(engine.calls.at(-1)).toBe('GET /v1.43/containers/y/json');
  });

  it('that is not there is said with the place', async () => {
    const asked = new EngineClient({ kind: 'unix', path: '/nowhere/d.sock' }, new SystemClock());
    await expect(asked.info()).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringMatching(/\/nowhere\/d\.sock.*ENOENT/),
    });
  });
});

describe('refusals', () => {
  it.each([
    [409, 'Conflict. The container name "/x" is already in use by container "ab"', 'name-taken'],
    [500, 'creating container storage: the container name "x" is already in use by ab', 'name-taken'],
    [404, 'No such image: sha256:aa', 'image-missing'],
    [404, 'sha256:aa: image not known', 'image-missing'],
    [404, 'network jobs not found', 'network-missing'],
    [500, 'unable to find network with name or ID jobs: network not found', 'network-missing'],
    [400, 'Range of CPUs is from 0.01 to 2.00', 'refused'],
  ])('of a create are told apart by their words: %i %s', async (status, message, outcome) => {
    const asked = await client({ 'POST /containers/create': answer(status, { message }) });
    expect(await asked.createContainer('x', {})).toEqual({ outcome, status, message });
  });

  it('are passed on in the engine’s words, never as "not there"', async () => {
    const asked = await client({ 'GET /containers/x/json': answer(500, { message: 'disk on fire' }) });
    await expect(asked.inspectContainer('x')).rejects.toMatchObject({
      code: 'ENGINE_REFUSED',
      message: expect.stringMatching(/HTTP 500: disk on fire/),
    });
  });

  it('of a form that is not known are no container', async () => {
    const asked = await client({ 'GET /containers/x/json': answer(200, { State: { Running: 'yes' } }) });
    await expect(asked.inspectContainer('x')).rejects.toMatchObject({ code: 'ENGINE_REFUSED' });
  });

  it.each([502, 504])(
    'of a proxy that does not reach the engine are an engine that is away: %i',
    async (status) => {
      const asked = await client({ 'GET /containers/x/json': answer(status) });
      await expect(asked.inspectContainer('x')).rejects.toMatchObject(unavailable);
    },
  );

  it('to look at a path say nothing about the path', async () => {
    const asked = await client({ 'HEAD /containers/x/archive': answer(500) });
    await expect(asked.statPath('x', '/bin/sh')).rejects.toMatchObject({ code: 'ENGINE_REFUSED' });
    const missing = await client({ 'HEAD /containers/x/archive': answer(404) });
    expect(await missing.statPath('x', '/bin/sh')).toBeNull();
  });

  it('do not disturb what is read: the shape of a container', async () => {
    const asked = await client({ 'GET /containers/x/json': answer(200, container({ ExitCode: 3 })) });
    expect((await asked.inspectContainer('x'))?.State.ExitCode).toBe(3);
  });
});

it('reaches its own engine whatever the environment says', async () => {
  vi.stubEnv('DOCKER_HOST', 'tcp://192.0.2.1:2376');
  vi.stubEnv('DOCKER_CLIENT_TIMEOUT', '1');
  const asked = await client({});
  expect((await asked.info()).NCPU).toBe(2);
});
