import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { containersOf, eventually } from '../support/chaos-rounds.ts';
import { engineRequest, TEST_IMAGE, testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

/** Of one attempt. */
const TIMEOUT_MS = 4_000;
/** How much later than that a container may hear of it. */
const LATE_MS = 1_500;
const MIB = 1024 * 1024;

const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-contract-')));
const results = join(dir, 'results');

/** Hundredths of a second since the machine's start go to a file of the attempt: its own clock. */
const PRELUDE = `r=/results/$CLOUD_RUN_EXECUTION-$CLOUD_RUN_TASK_INDEX-$CLOUD_RUN_TASK_ATTEMPT
now() { read up rest < /proc/uptime; echo $up; }
now > $r.began`;
const job = (script: string, more: JsonObject = {}): JsonObject => ({
  image: TEST_IMAGE,
  command: ['/bin/sh', '-c', `${PRELUDE}\n${script}`],
  memory: '16Mi',
  maxRetries: 0,
  volumes: [{ bind: results, to: '/results', readOnly: false }],
  ...more,
});
const UNTIL_OPEN = 'until [ -e /results/open ]; do sleep 0.05; done';
/** As many as are waited for have begun; no word of it where that never happens. */
const TOGETHER = 12;
/** What a job may ask for at most, and at least. */
const EDGES: Readonly<Record<string, JsonObject>> = {
  least: {
    cpu: 0.05,
    memory: '6Mi',
    taskCount: 1,
    parallelism: 0,
    maxRetries: 0,
    timeout: '1s',
    retention: '1d',
  },
  most: { taskCount: 10_000, parallelism: 100, maxRetries: 10, timeout: '7d', retention: '365d' },
};
const JOBS: JsonObject = {
  // Of the first attempt's time nothing must be left over for others, and of the second's nothing taken away.
  late: job(
    `trap 'now > $r.term; exit 3' TERM
[ $CLOUD_RUN_TASK_ATTEMPT != 1 ] || { sleep 3; exit 5; }
while :; do sleep 0.05; done`,
    { timeout: `${TIMEOUT_MS}ms`, maxRetries: 2 },
  ),
  smallest: job(
    `i=0; while [ "$(cut -d. -f1 /proc/uptime)" -lt $(( $(cut -d. -f1 $r.began) + 8 )) ]; do i=$((i + 1)); done
cut -d' ' -f14-17 /proc/$$/stat > $r.ticks; now > $r.ended; echo done`,
    { cpu: 0.05, memory: '6Mi', timeout: '2m' },
  ),
  together: job(
    `until [ $(ls /results | grep -c "^$CLOUD_RUN_EXECUTION-.*began") = ${TOGETHER} ]; do sleep 0.1; done`,
    { taskCount: TOGETHER, parallelism: 0, cpu: 0.1, timeout: '50s' },
  ),
  gated: job(`echo "task $CLOUD_RUN_TASK_INDEX"; ${UNTIL_OPEN}`, { maxConcurrentExecutions: 1 }),
  broken: job('exit 9'),
  least: { image: TEST_IMAGE, ...EDGES['least'] },
  most: { image: TEST_IMAGE, ...EDGES['most'] },
};
const BEYOND: readonly { readonly fields: JsonObject; readonly says: string }[] = [
  { fields: { cpu: 0.04 }, says: 'cpu: must be at least 0.05' },
  { fields: { memory: '5Mi' }, says: 'memory: must be between 6Mi and 1Ti, not 5Mi' },
  {
    fields: { parallelism: 101 },
    says: 'parallelism: must be at most 100; the limit is server.limits.maxParallelism',
  },
  { fields: { parallelism: -1 }, says: 'parallelism: must be at least 0' },
  {
    fields: { taskCount: 10_001 },
    says: 'taskCount: must be at most 10000; the limit is server.limits.maxTasks',
  },
  { fields: { maxRetries: 11 }, says: 'maxRetries: must be at most 10' },
  { fields: { timeout: '169h' }, says: 'timeout: must be between 1s and 7d, not 169h' },
  { fields: { retention: '23h' }, says: 'retention: must be between 1d and 365d, not 23h' },
  { fields: { retention: '366d' }, says: 'retention: must be between 1d and 365d, not 366d' },
  { fields: { retentionCount: 0 }, says: 'retentionCount: must be at least 1' },
];
const configOf = (jobs: JsonObject): JsonObject => ({ server: { allowedBinds: [results] }, jobs });

describe('the contract of a job on a real engine', () => {
  let gateway: GatewayProcess;
  let engine: EngineEndpoint;
  const writeConfig = (jobs: JsonObject): void =>
    writeFileSync(join(dir, 'tappet.json'), JSON.stringify(configOf(jobs)));

  beforeAll(async () => {
    mkdirSync(results);
    engine = await testEngine();
    gateway = new GatewayProcess({ dir, env: { DOCKER_HOST: await engineHost() } });
    writeConfig(JOBS);
    await gateway.start();
  });
  afterAll(async () => {
    await gateway.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const run = async (name: string): Promise<string> => {
    const answer = await gateway.api('POST', `/api/v1/jobs/${name}:run`, {});
    expect(answer.status, answer.text).toBe(200);
    return String(answer.json()['name']);
  };
  const ended = (execution: string): Promise<JsonObject> =>
    gateway.until(
      `/api/v1/executions/${execution}`,
      (one) => (one['completionTime'] === null ? undefined : one),
      55_000,
    );
  const state = (execution: string, wanted: string): Promise<true> =>
    gateway.until(`/api/v1/executions/${execution}`, (one) => (one['state'] === wanted ? true : undefined));
  const attempts = async (execution: string): Promise<JsonObject[]> =>
    (await gateway.api('GET', `/api/v1/executions/${execution}/tasks/0/attempts`)).json()[
      'attempts'
    ] as JsonObject[];
  const noted = (execution: string, attempt: number, what: string): string =>
    readFileSync(join(results, `${execution}-0-${attempt}.${what}`), 'utf8').trim();
  const ms = (one: JsonObject | undefined, field: string): number => Date.parse(String(one?.[field]));

  it('gives each retry the whole timeout, by the clock of the container too, and makes it at once', async () => {
    const execution = await run('late');
    expect(await ended(execution)).toMatchObject({ state: 'FAILED', reason: 'TIMED_OUT', retriedCount: 1 });
    const all = await attempts(execution);
    expect(all).toMatchObject([
      { reason: 'TIMED_OUT', stopReason: 'timeout', exitCode: 3 },
      { reason: 'NON_ZERO_EXIT_CODE', exitCode: 5 },
      { reason: 'TIMED_OUT', stopReason: 'timeout', exitCode: 3 },
    ]);
    for (const one of all) expect(ms(one, 'deadline') - ms(one, 'startTime')).toBe(TIMEOUT_MS);
    for (const attempt of [0, 2]) {
      expect(ms(all[attempt], 'endTime')).toBeGreaterThanOrEqual(ms(all[attempt], 'deadline'));
      const lived = Number(noted(execution, attempt, 'term')) - Number(noted(execution, attempt, 'began'));
      // The shell begins some milliseconds after what the engine calls the start.
      expect(lived * 1000).toBeGreaterThanOrEqual(TIMEOUT_MS - LATE_MS);
      expect(lived * 1000).toBeLessThanOrEqual(TIMEOUT_MS + LATE_MS);
    }
    // No backoff: the next attempt is made with the end of the one before.
    for (const [i, next] of all.slice(1).entries())
      expect(ms(next, 'createTime') - ms(all[i], 'endTime')).toBeLessThan(LATE_MS);
  });

  it('runs a container of 0.05 cores and 6 MiB, and of no more', async () => {
    const execution = await run('smallest');
    const [container] = await eventually('its container', async () => {
      const found = await containersOf(engine, execution);
      return found.some(({ State }) => State === 'running') ? found : undefined;
    });
    const { body } = await engineRequest(engine, 'GET', `/v1.41/containers/${container?.Id ?? ''}/json`);
    expect(JSON.parse(body)).toMatchObject({
      HostConfig: { NanoCpus: 5e7, Memory: 6 * MIB, MemorySwap: 6 * MIB },
    });
    expect(await ended(execution)).toMatchObject({ state: 'SUCCEEDED', succeededCount: 1 });
    expect((await gateway.api('GET', `/api/v1/executions/${execution}/tasks/0/logs`)).text).toBe('done\n');
    const seconds = Number(noted(execution, 0, 'ended')) - Number(noted(execution, 0, 'began'));
    // Its own and its children's, in hundredths of a second, while it did nothing but count.
    const used =
      noted(execution, 0, 'ticks')
        .split(' ')
        .reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
    expect(used).toBeGreaterThan(0);
    expect(used / seconds).toBeLessThan(0.1);
  });

  it('runs all tasks at the same time where parallelism is 0', async () => {
    const execution = await run('together');
    expect(await ended(execution)).toMatchObject({ state: 'SUCCEEDED', succeededCount: TOGETHER });
  });

  it('has the states of Google’s enum, and no other', async () => {
    const first = await run('gated');
    await state(first, 'RUNNING');
    const [second, third] = [await run('gated'), await run('gated')];
    const broken = await run('broken');
    await state(broken, 'FAILED');
    const listed = async (wanted: string): Promise<string[]> =>
      (await gateway.list(`/api/v1/executions?state=${wanted}`, 'executions'))
        .map(({ name }) => String(name))
        .sort();
    expect(await listed('RUNNING')).toEqual([first]);
    expect(await listed('PENDING')).toEqual([second, third].sort());
    await gateway.api('POST', `/api/v1/executions/${second}:cancel`);
    writeFileSync(join(results, 'open'), '');
    expect(await ended(first)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await ended(third)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await ended(second)).toMatchObject({ state: 'CANCELLED', cancelledCount: 1 });
    expect(await listed('CANCELLED')).toEqual([second]);
    expect(await listed('FAILED')).toContain(broken);
    const other = await gateway.api('GET', '/api/v1/executions?state=CANCELLING');
    expect(other.status).toBe(400);
    expect(other.text).toMatch(/PENDING.*RUNNING.*SUCCEEDED.*FAILED.*CANCELLED/);
  });

  it('keeps the executions of a job that is deleted, with tasks, attempts and logs, also over a restart', async () => {
    const execution = await run('gated');
    await ended(execution);
    const path = `/api/v1/executions/${execution}`;
    const all = async (): Promise<string[]> =>
      Promise.all(
        ['', '/tasks', '/tasks/0/attempts', '/tasks/0/logs'].map(async (part) => {
          const { status, text } = await gateway.api('GET', `${path}${part}`);
          expect({ part, status }).toEqual({ part, status: 200 });
          return text;
        }),
      );
    const before = await all();
    expect(before[3]).toBe('task 0\n');
    const { gated: _, ...others } = JOBS;
    writeConfig(others);
    await eventually('the job is gone', async () =>
      (await gateway.api('GET', '/api/v1/jobs/gated')).status === 404 ? true : undefined,
    );
    expect(await all()).toEqual(before);
    await gateway.stop();
    await gateway.start();
    expect(await all()).toEqual(before);
    expect((await gateway.api('POST', '/api/v1/jobs/gated:run', {})).status).toBe(404);
  });

  it('takes what lies on the edge of each range', async () => {
    for (const [name, fields] of Object.entries(EDGES)) {
      const { template } = (await gateway.api('GET', `/api/v1/jobs/${name}`)).json();
      expect(template).toMatchObject(fields);
    }
  });

  it('does not start with a job that lies beyond one, and says why of each', async () => {
    const jobs = BEYOND.map(({ fields }, i): [string, JsonObject] => [
      `j${i}`,
      { image: TEST_IMAGE, ...fields },
    ]);
    const config = configOf(Object.fromEntries(jobs));
    const refusing = new GatewayProcess({ dir: join(dir, 'refused'), config });
    try {
      await expect(refusing.start()).rejects.toThrow(/the gateway ended/);
      for (const [i, { says }] of BEYOND.entries()) expect(refusing.output).toContain(`jobs.j${i}.${says}`);
      expect(existsSync(join(refusing.dataDir, 'server.json'))).toBe(false);
    } finally {
      await refusing.stop();
    }
  });

  it.each([
    [{ taskCount: 10_001 }, /taskCount is 10001; it must be a whole number from 1 to 10000/],
    [{ timeout: '169h' }, /timeout is .*; it must be from 1s to 7d/],
    [{ cpu: 0.01 }, /cpu/],
    [{ memory: '1Mi' }, /memory/],
    [{ parallelism: 101 }, /parallelism/],
  ])('does not run a job with the overrides %j, and says why', async (overrides, says) => {
    const answer = await gateway.api('POST', '/api/v1/jobs/broken:run', { overrides });
    expect(answer.status).toBe(400);
    expect(answer.text).toMatch(says);
  });
});
