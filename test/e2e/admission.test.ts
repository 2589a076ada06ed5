import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { cli } from '../support/cli-runner.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-admission-')));
const gates = join(dir, 'gates');
const MIB = 1024 ** 2;
/** What the machine leaves to tasks here, whatever it has. */
const GIVEN_OUT = 256 * MIB;
const job = (memory: string, more: JsonObject = {}): JsonObject => ({
  image: TEST_IMAGE,
  command: ['/bin/sh', '-c', 'until [ -e "/gates/$GATE" ]; do sleep 0.05; done'],
  env: { GATE: 'open' },
  volumes: [{ bind: gates, to: '/gates', readOnly: true }],
  memory,
  ...more,
});

const SERVER: JsonObject = {
  allowedBinds: [gates],
  admission: { memoryReserve: String(totalmem() - GIVEN_OUT) },
};
const JOBS: JsonObject = {
  large: job('192Mi'),
  huge: job('1000Gi'),
  nightly: job('16Mi', { maxConcurrentExecutions: 1, retentionCount: 1 }),
};

describe('admission on a real engine', () => {
  let gateway: GatewayProcess;
  /** A registry that takes every call and answers none. */
  const calls = new Set<Socket>();
  const silent = createServer((socket) => void calls.add(socket));
  let far: string;
  beforeAll(async () => {
    mkdirSync(gates);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    far = `127.0.0.1:${(silent.address() as AddressInfo).port}/far:1`;
    const jobs = { ...JOBS, far: { image: far, memory: '16Mi' } };
    const config = { server: SERVER, jobs };
    gateway = new GatewayProcess({ dir, config, env: { DOCKER_HOST: await engineHost() } });
    await gateway.start();
  });
  afterAll(async () => {
    await gateway.stop();
    for (const socket of calls) socket.destroy();
    silent.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const run = async (name: string): Promise<string> =>
    `/api/v1/executions/${String((await gateway.api('POST', `/api/v1/jobs/${name}:run`, {})).json()['name'])}`;
  const until = (path: string, done: (execution: JsonObject) => boolean): Promise<JsonObject> =>
    gateway.until(path, (execution) => (done(execution) ? execution : undefined), 50_000);

  it('says what the machine has where a task can never fit', async () => {
    const failed = await until(await run('huge'), ({ completionTime }) => completionTime !== null);
    expect(failed).toMatchObject({ state: 'FAILED', reason: 'NEVER_FITS', startTime: null });
    expect(failed['message']).toMatch(
      /^A task needs 1000 GiB of memory, and the host .* has [\d.]+ [MGT]iB; /,
    );
  });

  it('says of a task that has begun what keeps it: a registry that does not answer', async () => {
    let told = '';
    const following = cli(['jobs', 'run', 'far', '--follow'], {
      env: { TAPPET_URL: gateway.url, TAPPET_TOKEN: gateway.token },
      fetch,
      pause: (ms, signal) => setTimeout(ms, undefined, { signal }).catch(() => undefined),
      err: (line) => (told += `${line}\n`),
    });
    const list = await gateway.until('/api/v1/executions?job=far', ({ executions }) => {
      const [first] = executions as JsonObject[];
      return first;
    });
    const name = String(list['name']);
    const path = `/api/v1/executions/${name}`;
    const words = `waits for image ${far}: its pull has begun`;
    await until(path, ({ waitsFor }) => waitsFor === words);
    expect((await gateway.api('GET', `${path}/tasks/0`)).json()).toMatchObject({
      state: 'RUNNING',
      waitsFor: words,
    });
    await expect.poll(() => told, { timeout: 20_000 }).toContain(`${name} ${words}\n`);
    await gateway.api('POST', `${path}:cancel`, {});
    const ended = await until(path, ({ completionTime }) => completionTime !== null);
    expect(ended).toMatchObject({ state: 'CANCELLED', waitsFor: null });
    expect((await following).code).toBe(1);
  });

  it('lets what does not fit wait, and a job of one execution at a time, and says for what', async () => {
    const [first, second] = [await run('large'), await run('large')];
    const [one, two] = [await run('nightly'), await run('nightly')];
    await until(first, ({ state }) => state === 'RUNNING');
    await until(one, ({ state }) => state === 'RUNNING');
    const large = await until(second, ({ waitsFor }) => String(waitsFor).includes('48 MiB'));
    expect(large).toMatchObject({
      state: 'PENDING',
      waitsFor: 'waits for 192 MiB of memory: 48 MiB of 256 MiB free',
    });
    expect(await until(two, () => true)).toMatchObject({
      state: 'PENDING',
      waitsFor: 'waits for its turn: maxConcurrentExecutions of job nightly is reached',
    });
    writeFileSync(join(gates, 'open'), '');
    for (const path of [first, second, one, two]) {
      const ended = await until(path, ({ completionTime }) => completionTime !== null);
      expect(ended).toMatchObject({ state: 'SUCCEEDED', waitsFor: null });
    }
  });
});
