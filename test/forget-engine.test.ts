import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EngineLink, engineName } from '../src/engine-link.ts';
import { TappetError } from '../src/core/errors.ts';
import type { EngineInUse, ForgetResult } from '../src/core/store.ts';
import type { Executor } from '../src/executor/executor.ts';
import { whyGone } from '../src/runners/docker/engine-gone.ts';
import { answer, fakeEngine, silence } from './support/fake-engine.ts';
import { FakeLog } from './support/fake-log.ts';
import { FakeRunner } from './support/fake-runner.ts';
import { ManualClock } from './support/manual-clock.ts';
import { tempFolder } from './support/temp-folder.ts';

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** What happened, in its order. */
const steps: string[] = [];
let inUse: EngineInUse[] = [];
let outcome: () => Promise<ForgetResult>;
beforeEach(() => {
  steps.length = 0;
  inUse = [];
  outcome = async () => {
    inUse = [];
    return { outcome: 'forgotten', endedAttempts: 2 };
  };
});

/** A link that looks at `socket`. */
function linkTo(socket: string): EngineLink {
  const clock = new ManualClock();
  const link: EngineLink = new EngineLink({
    env: { DOCKER_HOST: `unix://${socket}` },
    clock,
    log: new FakeLog(),
    store: {
      enginesInUse: async () => inUse,
      forgetEngine: async ({ engine, by }) => {
        steps.push(`forget ${engine} by ${by}, with ${link.status()['state'] as string}`);
        return outcome();
      },
    },
    makeRunner: async ({ endpoint }) =>
      Object.assign(new FakeRunner(clock), { engine: engineName(endpoint) }),
    makeExecutor: () =>
      ({
        start: async () => void steps.push('start'),
        stop: async () => void steps.push('stop'),
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
  return { name: engineName(engine.endpoint), die };
}

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
  inUse = [{ engine: '/run/nobody.sock', openAttempts: 2 }];
  const link = linkTo(here.name);
  await link.start();
  expect(link.status()['message']).toMatch(
    /If it is gone for good: tappet engines forget \/run\/nobody\.sock$/,
  );
  expect(await link.forget('/run/nobody.sock', 'ann')).toBe(2);
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
  const link = linkTo('/run/nobody.sock');
  await link.start();
  const error = await thrownBy(link.forget(asked.name, 'ann'));
  expect(error).toEqual(refused('NOT_FOUND', /^No attempt is open on .*Something is open on: \/run\/other/));
  expect(steps).toEqual([]);
});

it('of an engine that another gateway leads is refused', async () => {
  inUse = [{ engine: '/run/nobody.sock', openAttempts: 1 }];
  outcome = async () => ({ outcome: 'held' });
  const link = linkTo('/run/nobody.sock');
  await link.start();
  const error = await thrownBy(link.forget('/run/nobody.sock', 'ann'));
  expect(error).toEqual(refused('CONFLICT', /^Another gateway is in charge/));
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
  inUse = [{ engine: '/run/nobody.sock', openAttempts: 2 }];
  const here = await anEngine();
  const link = linkTo(here.name);
  await link.start();
  await link.drain();
  expect(await link.forget('/run/nobody.sock', 'ann')).toBe(2);
  await link.stop();
  expect(steps).toEqual(['forget /run/nobody.sock by ann, with none']);
});

it.each([
  ['that answers', {}, false, /something answers/],
  ['that refuses', { 'GET /version': answer(403, {}) }, false, /something answers/],
  ['that is silent', { 'GET /version': silence }, true, /no answer within 0\.05 s/],
])('an engine %s', async (_name, handlers, gone, why) => {
  const { name } = await anEngine(handlers);
  const timeoutMs = gone ? 50 : 5000;
  expect(await whyGone(name, {}, timeoutMs)).toEqual({ gone, why: expect.stringMatching(why) as unknown });
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
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  expect(await whyGone(`tcp://::1:${port}`, {})).toMatchObject({ gone: true });
  await rm(folder, { recursive: true });
});

it('an engine that cannot be asked without its TLS files is not gone', async () => {
  const env = { DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: tempFolder() };
  const why = expect.stringMatching(/a TLS file is missing/) as unknown;
  expect(await whyGone('tcp://127.0.0.1:2376', env)).toEqual({ gone: false, why });
});
