import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

/** A configuration is changed while containers run that were started by the one before. */
const folder = mkdtempSync(join(tmpdir(), 'tappet-e2e-reload-running-'));
const gates = join(folder, 'gates');
const path = join(folder, 'gateway', 'tappet.json');
let gateway: GatewayProcess;

const WAIT = 'echo "$WORD $CLOUD_RUN_TASK_INDEX"; until [ -e "/gates/$WORD" ]; do sleep 0.05; done; echo end';
const configOf = (word: string, maxRunningTasks: number, jobs: object = {}): JsonObject => ({
  server: { allowedBinds: [gates], maxRunningTasks },
  jobs: {
    work: {
      image: TEST_IMAGE,
      command: ['/bin/sh', '-c'],
      args: [WAIT],
      env: { WORD: word },
      taskCount: 2,
      volumes: [{ bind: gates, to: '/gates', readOnly: true }],
    },
    ...jobs,
  },
  triggers: {},
});
const write = (config: JsonObject): void => writeFileSync(path, JSON.stringify(config));

beforeAll(async () => {
  mkdirSync(gates);
  mkdirSync(join(folder, 'gateway'));
  const env = { DOCKER_HOST: await engineHost() };
  gateway = new GatewayProcess({ dir: join(folder, 'gateway'), env });
  write(configOf('one', 1));
  await gateway.start();
});
afterAll(async () => {
  await gateway.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function run(): Promise<string> {
  return String((await gateway.api('POST', '/api/v1/jobs/work:run', {})).json()['name']);
}
const logOf = async (execution: string, task: number): Promise<string> =>
  (await gateway.api('GET', `/api/v1/executions/${execution}/tasks/${task}/logs`)).text;
const until = (execution: string, state: string): Promise<true> =>
  gateway.until(`/api/v1/executions/${execution}`, (now) => (now['state'] === state ? true : undefined));

it('executions go on as they were frozen, also without their job; room that was given is used at once', async () => {
  const first = await run();
  await expect.poll(() => logOf(first, 0), { timeout: 30_000 }).toBe('one 0\n');

  write(configOf('two', 1));
  await gateway.until('/api/v1/jobs/work', ({ generation }) => (generation === 2 ? true : undefined));
  const second = await run();
  expect((await gateway.api('GET', `/api/v1/executions/${second}`)).json()['state']).toBe('PENDING');
  write(configOf('two', 2));
  await until(second, 'RUNNING');
  await expect.poll(() => logOf(second, 0), { timeout: 30_000 }).toBe('two 0\n');

  write({ ...configOf('two', 2), jobs: {} });
  await gateway.until('/api/v1/jobs', ({ jobs }) => ((jobs as unknown[]).length === 0 ? true : undefined));
  for (const [execution, word] of [
    [first, 'one'],
    [second, 'two'],
  ] as const) {
    writeFileSync(join(gates, word), '');
    await until(execution, 'SUCCEEDED');
    // The second task starts when the first has ended, long after the reload.
    expect([await logOf(execution, 0), await logOf(execution, 1)]).toEqual([
      `${word} 0\nend\n`,
      `${word} 1\nend\n`,
    ]);
  }
});
