import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { copyFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EngineLink, engineName } from '../src/engine-link.ts';
import { TappetError } from '../src/core/errors.ts';
import type { EngineInUse, ForgetResult } from '../src/core/store.ts';
import type { Executor } from '../src/executor/executor.ts';
import { whyGone } from '../src/runners/docker/engine-gone.ts';
import type { Runner } from '../src/core/runner.ts';
import { deferred } from '../src/lib/deferred.ts';
import { answer, fakeEngine, silence } from './support/fake-engine.ts';
import { FakeLog } from './support/fake-log.ts';
import { FakeRunner } from './support/fake-runner.ts';
import { ManualClock, settle } from './support/manual-clock.ts';
import { tempFolder } from './support/temp-folder.ts';

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** What happened, in its order. */
const steps: string[] = [];
let clock: ManualClock;
let log: FakeLog;
let inUse: EngineInUse[] = [];
let outcome: () => Promise<ForgetResult>;
beforeEach(() => {
  steps.length = 0;
  clock = new ManualClock();
  log = new FakeLog();
  inUse = [];
  outcome = async () => {
    inUse = [];
    return { outcome: 'forgotten', endedAttempts: 2 };
  };
});

const starts = () => steps.filter((step) => step === 'start').length;

/** A link that looks at `socket`. Its executor has drained when it is stopped. */
function linkTo(socket: string, ready: Promise<void> = Promise.resolve()): EngineLink {
  const stopped = deferred<void>();
  const runner = async (engine: string): Promise<Runner> => {
    await ready;
    return Object.assign(new FakeRunner(clock), { engine });
  };
  const link: EngineLink = new EngineLink({
    env: { DOCKER_HOST: `unix://${socket}` },
    clock,
    log,
    store: {
      enginesInUse: async () => inUse,
      forgetEngine: async ({ engine, by }) => {
        steps.push(`forget ${engine} by ${by}, with ${link.status()['state'] as string}`);
        return outcome();
      },
    },
    makeRunner: ({ endpoint }) => runner(engineName(endpoint)),
    makeExecutor: () =>
      ({
        start: async () => void steps.push('start'),
        stop: async () => {
          steps.push('stop');
          stopped.resolve();
        },
        drain: () => stopped.promise,
        status: () => ({ state: 'connecting', message: 'x', warnings: [], pulls: [] }),
      }) as unknown as Executor,
  });
  open.push({ close: () => link.stop() });
  return link;
}

async function anEngine(handlers: Parameters<typeof fakeEngine>[0] = {}) {
  const engine = await fakeEngine(handlers);
  let closed = false;
  const die = async () => {
    if (!closed) await engine.close();
    closed = true;
  };
  open.push({ close: die });
  return { name: engineName(engine.endpoint), calls: engine.calls, die };
}
const NOBODY = '/run/nobody.sock';

const refused = (code: string, words: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(words) as unknown }) as unknown;
const thrownBy = (call: Promise<unknown>) => call.catch((error: unknown) => error);

it('of an engine that this gateway leads and that has died: it is left, then forgotten, then another is taken', async () => {
  const { name, die } = await anEngine();
  const link = linkTo(name);
  await link.start();
  await die();
  inUse = [{ engine: name, openAttempts: 2 }];
  const second = await anEngine();
  expect(await link.forget(name, 'ann')).toBe(2);
  expect(steps).toEqual(['start', 'stop', `forget ${name} by ann, with none`]);
  expect(link.runner).toBeUndefined();
  expect(second.name).not.toBe(name);
});

it('of an engine that is waited for: the one that is there is taken at once', async () => {
  const here = await anEngine();
  inUse = [{ engine: NOBODY, openAttempts: 2 }];
  const link = linkTo(here.name);
  await link.start();
  expect(link.status()['message']).toMatch(
    /If it is gone for good: tappet engines forget \/run\/nobody\.sock$/,
  );
  expect(await link.forget(NOBODY, 'ann')).toBe(2);
  await expect.poll(() => steps).toEqual(['forget /run/nobody.sock by ann, with none', 'start']);
});

it('is refused while the engine answers, and nothing is left or forgotten', async () => {
  const { name } = await anEngine();
  inUse = [{ engine: name, openAttempts: 2 }];
  const link = linkTo(name);
  await link.start();
  const error = await thrownBy(link.forget(name, 'ann'));
  expect(error).toEqual(refused('CONFLICT', /may not be gone for good: something answers there\.$/));
  expect(steps).toEqual(['start']);
});

it('of a name that nothing is open on is refused without a question to anybody', async () => {
  const asked = await anEngine();
  inUse = [{ engine: '/run/other.sock', openAttempts: 1 }];
  const link = linkTo(NOBODY);
  await link.start();
  const error = await thrownBy(link.forget(asked.name, 'ann'));
  expect(error).toEqual(refused('NOT_FOUND', /^No attempt is open on .*Something is open on: \/run\/other/));
  expect(steps).toEqual([]);
});

it('of an engine that another gateway leads is refused', async () => {
  inUse = [{ engine: NOBODY, openAttempts: 1 }];
  outcome = async () => ({ outcome: 'held' });
  const link = linkTo(NOBODY);
  await link.start();
  const error = await thrownBy(link.forget(NOBODY, 'ann'));
  expect(error).toEqual(refused('CONFLICT', /^Somebody is in charge of the container engine/));
});

it('that could not be stored is taken up again as before, and may be asked for again', async () => {
  const { name, die } = await anEngine();
  const link = linkTo(name);
  await link.start();
  await die();
  inUse = [{ engine: name, openAttempts: 2 }];
  const works = outcome;
  outcome = () => Promise.reject(new TappetError('STORE_UNAVAILABLE', 'no disk'));
  expect(await thrownBy(link.forget(name, 'ann'))).toEqual(refused('STORE_UNAVAILABLE', /no disk/));
  await expect.poll(() => link.status()['message']).toMatch(/^2 attempts run on .*; waiting for it/);
  outcome = works;
  expect(await link.forget(name, 'ann')).toBe(2);
});

it('while the gateway ends looks for no other engine', async () => {
  inUse = [{ engine: NOBODY, openAttempts: 2 }];
  const here = await anEngine();
  const link = linkTo(here.name);
  await link.start();
  await link.drain();
  expect(await link.forget(NOBODY, 'ann')).toBe(2);
  await link.stop();
  expect(steps).toEqual(['forget /run/nobody.sock by ann, with none']);
});

it('given twice at once takes the engine that is there once', async () => {
  const here = await anEngine();
  inUse = [{ engine: NOBODY, openAttempts: 2 }];
  const link = linkTo(here.name);
  await link.start();
  const both = await Promise.allSettled([link.forget(NOBODY, 'ann'), link.forget(NOBODY, 'bob')]);
  expect(both).toMatchObject([{ value: 2 }, { reason: { code: 'NOT_FOUND' } }]);
  await expect.poll(starts).toBe(1);
  await clock.advance(10_000);
  await settle(100);
  expect(starts()).toBe(1);
});

it('during a look waits for it, and what the look finds is taken once', async () => {
  const held = deferred<void>();
  const version = answer(200, { Version: '20.10.24', ApiVersion: '1.41' });
  const here = await anEngine({
    'GET /version': (request, response) => void held.promise.then(() => version(request, response)),
  });
  inUse = [here.name, NOBODY].map((engine) => ({ engine, openAttempts: 1 }));
  const link = linkTo(here.name);
  const started = link.start();
  await expect.poll(() => here.calls.length).toBe(1);
  const forgotten = link.forget(NOBODY, 'ann');
  await settle(100);
  expect(steps).toEqual([]);
  held.resolve();
  await started;
  expect(await forgotten).toBe(2);
  await clock.advance(10_000);
  await settle(100);
  expect(steps).toEqual(['start', expect.stringMatching(/^forget .* with connecting$/)]);
  expect(here.calls).toHaveLength(1);
});

it('looks for no engine before it is done, so that this gateway itself is not who has it', async () => {
  const here = await anEngine();
  inUse = [{ engine: NOBODY, openAttempts: 2 }];
  const stored = deferred<void>();
  const works = outcome;
  outcome = async () => {
    inUse = [];
    await stored.promise;
    return works();
  };
  const link = linkTo(here.name);
  await link.start();
  const forgotten = link.forget(NOBODY, 'ann');
  await expect.poll(() => steps.length).toBe(1);
  await clock.advance(10_000);
  await settle(100);
  expect({ calls: here.calls, starts: starts() }).toEqual({ calls: [], starts: 0 });
  stored.resolve();
  expect(await forgotten).toBe(2);
  await expect.poll(starts).toBe(1);
});

it('that is refused looks on as before', async () => {
  const here = await anEngine();
  inUse = [{ engine: NOBODY, openAttempts: 2 }];
  outcome = async () => ({ outcome: 'held' });
  const link = linkTo(here.name);
  await link.start();
  expect(await thrownBy(link.forget(NOBODY, 'ann'))).toMatchObject({ code: 'CONFLICT' });
  inUse = [];
  await settle();
  await clock.advance(5_000);
  await expect.poll(starts).toBe(1);
});

it('says in the log that no engine answers, though it was said before', async () => {
  const link = linkTo(NOBODY);
  await link.start();
  inUse = [{ engine: NOBODY, openAttempts: 2 }];
  await link.forget(NOBODY, 'ann');
  const none = expect.stringMatching(/^No container engine answers/) as unknown;
  await expect
    .poll(() => log.lines.map(({ message }) => message))
    .toEqual([none, expect.stringMatching(/given up for good by ann: 2 attempts ended\.$/), none]);
});

it('ends a drain that waits for the engine, but not before it is stored', async () => {
  const { name, die } = await anEngine();
  const link = linkTo(name);
  await link.start();
  await die();
  inUse = [{ engine: name, openAttempts: 2 }];
  const stored = deferred<void>();
  const works = outcome;
  outcome = async () => (await stored.promise, works());
  let drained = false;
  const drain = link.drain().then(() => (drained = true));
  const forgotten = link.forget(name, 'ann');
  await expect.poll(() => steps.length).toBe(3);
  await settle(100);
  expect(drained).toBe(false);
  stored.resolve();
  expect(await forgotten).toBe(2);
  await drain;
});

it('is waited for by a stop, though not for long', async () => {
  inUse = [{ engine: NOBODY, openAttempts: 2 }];
  const stored = deferred<void>();
  const works = outcome;
  outcome = async () => (await stored.promise, works());
  const link = linkTo(NOBODY);
  await link.start();
  const forgotten = link.forget(NOBODY, 'ann');
  await expect.poll(() => steps.length).toBe(1);
  let stopped = false;
  const stop = link.stop().then(() => (stopped = true));
  await settle(100);
  await clock.advance(1_000);
  expect(stopped).toBe(false);
  await clock.advance(1_500);
  await stop;
  stored.resolve();
  expect(await forgotten).toBe(2);
});

it('a link that ends while it takes an engine does not start it', async () => {
  const here = await anEngine();
  const ready = deferred<void>();
  const link = linkTo(here.name, ready.promise);
  const started = link.start();
  await expect.poll(() => here.calls.length).toBe(1);
  await settle(100);
  const drained = link.drain();
  ready.resolve();
  await Promise.all([started, drained]);
  expect(steps).toEqual([]);
});

it.each([
  ['that answers', {}, /^something answers/],
  ['that refuses', { 'GET /version': answer(403, {}) }, /^something answers/],
  [
    'that is silent',
    { 'GET /version': silence },
    /^something takes the connection .*no answer within 0\.5 s/,
  ],
  [
    'that is silent within its answer',
    { 'GET /version': (_: unknown, response: ServerResponse) => void response.write('{') },
    /^something takes the connection/,
  ],
])('an engine %s is not gone', async (_name, handlers, why) => {
  const { name } = await anEngine(handlers);
  expect(await whyGone(name, {}, 500)).toEqual({ gone: false, why: expect.stringMatching(why) as unknown });
});

it('an engine that takes the connection and begins no TLS is not gone', async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({ close: async () => (sockets.forEach((socket) => socket.destroy()), server.close()) });
  const folder = tempFolder();
  const fixtures = { 'ca.pem': 'ca.pem', 'server.pem': 'cert.pem', 'server.key': 'key.pem' };
  for (const [from, to] of Object.entries(fixtures))
    await copyFile(new URL(`fixtures/tls/${from}`, import.meta.url), join(folder, to));
  const env = { DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: folder };
  const { port } = server.address() as AddressInfo;
  const why = expect.stringMatching(/^something takes the connection/) as unknown;
  // Long enough for a connection on a machine that is busy.
  expect(await whyGone(`tcp://127.0.0.1:${port}`, env, 1_500)).toEqual({ gone: false, why });
});

it('a connection that breaks off may be all that shows of an engine', async () => {
  const path = join(tempFolder(), 's');
  const server = createServer((socket) => socket.destroy()).listen(path);
  await once(server, 'listening');
  open.push({ close: async () => server.close() });
  expect(await whyGone(path, {})).toMatchObject({ gone: false });
});

it('nobody is where there is no socket, nobody listens, or the name is not known', async () => {
  const folder = tempFolder();
  expect(await whyGone(join(folder, 'none'), {})).toMatchObject({ gone: true });
  const server = createServer().listen(0, '::1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  expect(await whyGone(`tcp://::1:${port}`, {})).toMatchObject({ gone: true });
  await rm(folder, { recursive: true });
});

it('an engine that cannot be asked without its TLS files is not gone', async () => {
  const env = { DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: tempFolder() };
  const why = expect.stringMatching(/a TLS file is missing/) as unknown;
  expect(await whyGone('tcp://127.0.0.1:2376', env)).toEqual({ gone: false, why });
});
