import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { ChaosRow } from '../support/chaos-row.ts';
import { ChaosRounds, containersOf, eventually, untilNoContainer } from '../support/chaos-rounds.ts';
import { TEST_IMAGE, testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { SteadyCaller } from '../support/steady-caller.ts';

const row = new ChaosRow('sigterm-under-load', 2);
/** Of the R15 test: what a supervisor that asks with SIGTERM waits at least. */
const EXIT_WITHIN_MS = 5_000;
/** Within this the gateway should answer as fast as it is asked. */
const KEEPS_UP_MS = 4_000;
const LONG = 5;
/** One call in so many starts a container. */
const RUNS_EVERY = 400;

const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-drain-')));
const gates = join(dir, 'gates');
/** Says that it started, and waits until its gate is open. */
const GATED = `echo x >> /gates/$CLOUD_RUN_EXECUTION-$CLOUD_RUN_TASK_INDEX.starts
until [ -e "/gates/$CLOUD_RUN_EXECUTION.go" ]; do sleep 0.1; done`;
const job = (more: JsonObject): JsonObject => ({
  image: TEST_IMAGE,
  command: ['/bin/sh', '-c', GATED],
  memory: '16Mi',
  maxRetries: 0,
  volumes: [{ bind: gates, to: '/gates', readOnly: false }],
  ...more,
});
const CONFIG: JsonObject = {
  server: { allowedBinds: [gates] },
  jobs: {
    gated: job({ taskCount: 4, parallelism: 2 }),
    long: job({ taskCount: LONG, parallelism: 0 }),
    quick: job({ command: ['/bin/true'], volumes: [] }),
  },
  triggers: {
    call: {
      source: { kind: 'webhook', auth: 'none' },
      when: `event.data.n % ${RUNS_EVERY} == 0`,
      run: { job: 'quick' },
    },
  },
};

let engine: EngineEndpoint;
beforeAll(async () => {
  mkdirSync(gates);
  engine = await testEngine();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const starts = (execution: string): number =>
  readdirSync(gates).filter((name) => name.startsWith(execution) && name.endsWith('.starts')).length;
const open = (execution: string): void => writeFileSync(join(gates, `${execution}.go`), '');
const run = async (gateway: GatewayProcess, name: string): Promise<string> =>
  String((await gateway.api('POST', `/api/v1/jobs/${name}:run`, {})).json()['name']);
const until = (
  gateway: GatewayProcess,
  execution: string,
  done: (execution: JsonObject) => boolean,
): Promise<JsonObject> =>
  gateway.until(`/api/v1/executions/${execution}`, (one) => (done(one) ? one : undefined), 50_000);
const hasEnded = ({ completionTime }: JsonObject): boolean => completionTime !== null;

describe('tappet serve --drain on a real engine', () => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    const env = { DOCKER_HOST: await engineHost() };
    gateway = new GatewayProcess({ dir: join(dir, 'drain'), config: CONFIG, env, flags: ['--drain'] });
    await gateway.start();
  });
  afterAll(async () => {
    gateway.signal('SIGTERM');
    await gateway.stop();
  });

  it('starts nothing more, stores what comes in, and ends when what runs has ended', async () => {
    const execution = await run(gateway, 'gated');
    await until(gateway, execution, () => starts(execution) === 2);
    expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
    gateway.signal('SIGTERM');
    await eventually('it drains', async () =>
      (await fetch(`${gateway.url}/readyz`)).status === 503 ? true : undefined,
    );
    const called = await fetch(`${gateway.url}/hooks/call`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': 'while-it-drains' },
      body: '{"n":0}',
    });
    expect(called.status).toBeLessThan(300);
    const waiting = await gateway.list('/api/v1/executions?state=PENDING', 'executions');
    expect(waiting).toMatchObject([
      { job: 'quick', waitsFor: 'waits for the next start of the gateway, which is being drained' },
    ]);
    expect((await gateway.api('GET', '/api/v1/status')).json()['engine']).toMatchObject({
      state: 'draining',
      runningTasks: 2,
    });
    open(execution);
    expect(await gateway.ended()).toEqual({ code: 0, signal: null });
    expect(starts(execution)).toBe(2);
    expect(await containersOf(engine, execution)).toEqual([]);

    await gateway.start();
    expect(await until(gateway, execution, hasEnded)).toMatchObject({
      state: 'SUCCEEDED',
      succeededCount: 4,
      retriedCount: 0,
    });
    const stored = String(waiting[0]?.['name']);
    expect(await until(gateway, stored, hasEnded)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('ends at once when it is asked a second time, and leaves what runs', async () => {
    const execution = await run(gateway, 'gated');
    await until(gateway, execution, () => starts(execution) === 2);
    // Once, though it comes twice: from the terminal, and passed on by npm.
    gateway.signal('SIGINT');
    gateway.signal('SIGINT');
    await eventually('it drains', () => (gateway.output.includes('Draining') ? true : undefined));
    const asked = Date.now();
    gateway.signal('SIGTERM');
    expect(await gateway.ended()).toEqual({ code: 0, signal: null });
    expect(Date.now() - asked).toBeLessThan(EXIT_WITHIN_MS);
    const left = await containersOf(engine, execution);
    expect(left.map(({ State }) => State)).toEqual(['running', 'running']);
    await gateway.start();
    open(execution);
    expect(await until(gateway, execution, hasEnded)).toMatchObject({ state: 'SUCCEEDED', retriedCount: 0 });
    await untilNoContainer(engine, execution);
  });
});

describe('SIGTERM under 500 calls a second', () => {
  let gateway: GatewayProcess;
  beforeAll(async () => {
    const env = { DOCKER_HOST: await engineHost() };
    gateway = new GatewayProcess({ dir: join(dir, 'load'), config: CONFIG, env });
    await gateway.start();
  });
  afterAll(() => gateway.stop());

  it(
    'loses nothing that it acknowledged, breaks no call, ends within 5 s, and its successor adopts what runs',
    async () => {
      const rounds = new ChaosRounds(row);
      const long = await run(gateway, 'long');
      await until(gateway, long, () => starts(long) === LONG);
      const containers = (await containersOf(engine, long)).map(({ Id }) => Id).sort();
      let calls = 0;
      for (let round = row.first; round < row.first + row.rounds; round++) {
        await rounds.round(`SIGTERM after ${moment(round)} ms`, async () => {
          calls += await loadAndEnd(gateway, round);
          const now = await containersOf(engine, long);
          expect(now.map(({ Id }) => Id).sort()).toEqual(containers);
          expect(await until(gateway, long, (one) => one['runningCount'] === LONG)).toMatchObject({
            retriedCount: 0,
          });
        });
      }
      open(long);
      const ended = await until(gateway, long, hasEnded);
      expect(ended).toMatchObject({ state: 'SUCCEEDED', succeededCount: LONG, retriedCount: 0 });
      console.log(`${calls} calls were acknowledged`);
      expect(rounds.finish()).toEqual([]);
    },
    60_000 + row.rounds * 20_000,
  );
});

/** Another moment each round. */
const moment = (round: number): number => 700 + ((round * 37) % 400);

const idOf = ({ event }: JsonObject): string => String((event as JsonObject)['id']);

/** Gives how many calls were acknowledged. The successor runs at the end. */
async function loadAndEnd(gateway: GatewayProcess, round: number): Promise<number> {
  const type = `test.round-${round}`;
  const options = {
    url: `${gateway.url}/hooks/call`,
    headers: (id: string) => ({
      'ce-specversion': '1.0',
      'ce-id': id,
      'ce-source': '/load',
      'ce-type': type,
    }),
    body: (n: number) => JSON.stringify({ n }),
  };
  const kept = new SteadyCaller(`kept-${round}`, { ...options, perSecond: 450, connections: 20 });
  const fresh = new SteadyCaller(`fresh-${round}`, { ...options, perSecond: 50, connections: 0 });
  await wait(moment(round));
  // A process that was just started needs a while to be as fast as it can be; on a busy machine it never is.
  for (
    let waited = 0;
    waited < KEEPS_UP_MS && kept.acknowledged.length < 0.9 * kept.calls.length;
    waited += 50
  )
    await wait(50);
  const before = kept.acknowledged.length;
  const asked = Date.now();
  gateway.signal('SIGTERM');
  const end = await gateway.ended();
  const tookMs = Date.now() - asked;
  await Promise.all([kept.stop(), fresh.stop()]);
  await gateway.start();
  const acknowledged = [...kept.acknowledged, ...fresh.acknowledged].map(({ id }) => id);
  expect(end).toEqual({ code: 0, signal: null });
  expect(tookMs).toBeLessThanOrEqual(EXIT_WITHIN_MS);
  expect(kept.broken).toEqual([]);
  // The kernel resets a connection that is made in the very moment in which the door closes: no call in flight.
  expect(fresh.broken.filter(({ sentTime }) => sentTime < asked)).toEqual([]);
  // Under load, and on to the end: some were answered after the signal.
  expect(before).toBeGreaterThan(100);
  expect(acknowledged.length).toBeGreaterThan(before);

  const events = await gateway.list(`/api/v1/events?type=${type}`, 'events');
  const times = new Map<string, number>();
  for (const event of events) times.set(idOf(event), (times.get(idOf(event)) ?? 0) + 1);
  expect(acknowledged.filter((id) => times.get(id) !== 1)).toEqual([]);
  const uids = events.filter((event) => Number(/\d+$/.exec(idOf(event))?.[0]) % RUNS_EVERY === 0);
  for (const { uid } of uids) {
    const caused = await gateway.list(`/api/v1/executions?event=${String(uid)}`, 'executions');
    expect(caused).toHaveLength(1);
    const name = String(caused[0]?.['name']);
    expect(await until(gateway, name, hasEnded)).toMatchObject({ state: 'SUCCEEDED', retriedCount: 0 });
  }
  return acknowledged.length;
}
