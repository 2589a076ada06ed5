import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-retries-')));
const flags = join(dir, 'flags');
const sh = (script: string, more: JsonObject = {}): JsonObject => ({
  image: TEST_IMAGE,
  command: ['/bin/sh', '-c', script],
  memory: '64Mi',
  maxRetries: 0,
  ...more,
});
const POLITE = 'trap "echo bye; exit 7" TERM; echo up; while :; do sleep 0.1; done';

const CONFIG: JsonObject = {
  server: { allowedBinds: [flags] },
  jobs: {
    // Task 1 fails until somebody has mended what it needs.
    half: sh(
      'echo "$CLOUD_RUN_TASK_INDEX of $CLOUD_RUN_TASK_COUNT: $DAY"; [ $CLOUD_RUN_TASK_INDEX != 1 ] || [ -e /flags/mended ]',
      {
        taskCount: 3,
        parallelism: 3,
        volumes: [{ bind: flags, to: '/flags' }],
      },
    ),
    late: sh(POLITE, { deadline: '4s', taskCount: 2 }),
    fast: sh(`if [ $CLOUD_RUN_TASK_INDEX = 1 ]; then sleep 1; exit 3; fi; ${POLITE}`, {
      taskCount: 3,
      parallelism: 2,
      failFast: true,
    }),
    patient: sh('[ $CLOUD_RUN_TASK_ATTEMPT = 1 ]', {
      maxRetries: 2,
      retry: { backoff: 'constant', initial: '2s', jitter: 'none' },
    }),
    never: sh('exit 2', { maxRetries: 3, retry: { notOnExitCodes: [2] } }),
  },
};

describe('failures on a real engine', () => {
  let gateway: GatewayProcess;

  beforeAll(async () => {
    mkdirSync(flags);
    gateway = new GatewayProcess({ dir, config: CONFIG, env: { DOCKER_HOST: await engineHost() } });
    await gateway.start();
  });
  afterAll(async () => {
    await gateway.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const post = async (path: string, body: JsonObject = {}): Promise<JsonObject> => {
    const answer = await gateway.api('POST', `/api/v1/${path}`, body);
    expect(answer.status, answer.text).toBe(200);
    return answer.json();
  };
  const ended = (name: unknown): Promise<JsonObject> =>
    gateway.until(
      `/api/v1/executions/${String(name)}`,
      (e) => (e['completionTime'] === null ? undefined : e),
      50_000,
    );
  const run = async (job: string, body: JsonObject = {}): Promise<JsonObject> =>
    ended((await post(`jobs/${job}:run`, body))['name']);
  const log = async (name: unknown, task: number): Promise<string> =>
    (await gateway.api('GET', `/api/v1/executions/${String(name)}/tasks/${task}/logs`)).text;
  const attempts = async (name: unknown, task = 0): Promise<JsonObject[]> =>
    (await gateway.api('GET', `/api/v1/executions/${String(name)}/tasks/${task}/attempts`)).json()[
      'attempts'
    ] as JsonObject[];
  const ms = (execution: JsonObject, from: string, to: string): number =>
    Date.parse(String(execution[to])) - Date.parse(String(execution[from]));

  it('runs again only the task that failed, as it was frozen', async () => {
    const old = await run('half', { overrides: { env: { DAY: 'monday' } } });
    expect(old).toMatchObject({ state: 'FAILED', succeededCount: 2, failedCount: 1 });
    writeFileSync(join(flags, 'mended'), '');
    const again = await post(`executions/${String(old['name'])}:rerun`);
    expect(again).toMatchObject({ rerunOf: old['name'], tasksToRun: 1, taskCount: 3 });
    expect(await ended(again['name'])).toMatchObject({ state: 'SUCCEEDED', succeededCount: 1 });
    expect(await log(again['name'], 1)).toBe('1 of 3: monday\n');
    expect((await gateway.api('POST', `/api/v1/executions/${String(again['name'])}:rerun`)).status).toBe(409);
  });

  it('stops at the deadline what runs, and starts nothing more', async () => {
    const execution = await run('late');
    expect(execution).toMatchObject({ state: 'FAILED', reason: 'DEADLINE_EXCEEDED', cancelledCount: 2 });
    expect(ms(execution, 'createTime', 'completionTime')).toBeGreaterThanOrEqual(4000);
    expect(await log(execution['name'], 0)).toBe('up\nbye\n');
    expect(await attempts(execution['name'])).toMatchObject([
      { state: 'CANCELLED', stopReason: 'deadline', exitCode: 7 },
    ]);
    expect(await attempts(execution['name'], 1)).toEqual([]);
  });

  it('stops the other tasks at the first that fails', async () => {
    const execution = await run('fast');
    expect(execution).toMatchObject({
      state: 'FAILED',
      reason: 'TOO_MANY_FAILED',
      failedCount: 1,
      cancelledCount: 2,
    });
    expect(await attempts(execution['name'], 0)).toMatchObject([
      { state: 'CANCELLED', stopReason: 'failures' },
    ]);
  });

  it('waits before a retry, or makes none, as the job says', async () => {
    const [patient, never] = await Promise.all([run('patient'), run('never')]);
    expect(patient).toMatchObject({ state: 'SUCCEEDED', retriedCount: 1 });
    const [first = {}, second = {}] = await attempts(patient['name']);
    expect(ms({ ...first, next: second['createTime'] ?? '' }, 'endTime', 'next')).toBeGreaterThanOrEqual(
      2000,
    );
    expect(never).toMatchObject({ state: 'FAILED', retriedCount: 0 });
    expect(await attempts(never['name'])).toHaveLength(1);
  });
});
