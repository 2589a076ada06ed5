import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { containersOf, eventually } from '../support/chaos-rounds.ts';
import { engineRequest, TEST_IMAGE, testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

/** Lines of 100 bytes: 6 MB in stdout, every fourth in stderr, too. An engine holds about 1 MB for who does not read. */
const LINES = 60_000;
const lineOf = (i: number): string => `${String(i).padStart(99, '0')}\n`;
const PRINT = `awk 'BEGIN { for (i = 0; i < ${LINES}; i++) {
  printf "%099d\\n", i; if (i % 4 == 0) printf "%099d\\n", i > "/dev/stderr" } }'`;
const numbers = Array.from({ length: LINES }, (_, i) => i);
const STDOUT = numbers.map(lineOf).join('');
const STDERR = numbers
  .filter((i) => i % 4 === 0)
  .map(lineOf)
  .join('');
/** After so long a write counts as stalled. */
const LET_GO_MS = 5_000;
/** What a busy machine may add to the container's own time. */
const SLACK_MS = 5_000;

const base = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-stalled-')));
const stalled = join(base, 'stalled');
const results = join(base, 'results');
let gateway: GatewayProcess;
beforeAll(async () => {
  mkdirSync(results);
  const job = (script: string): JsonObject => ({
    image: TEST_IMAGE,
    command: ['/bin/sh', '-c', script],
    maxRetries: 0,
    memory: '64Mi',
    volumes: [{ bind: results, to: '/results' }],
  });
  gateway = new GatewayProcess({
    dir: base,
    config: {
      server: { allowedBinds: [results] },
      jobs: {
        talks: job(PRINT),
        'talks-on': job(`${PRINT}; until [ -e /results/go ]; do sleep 0.05; done; echo after`),
      },
    },
    env: { DOCKER_HOST: await engineHost(), STALLED: stalled },
    program: join(import.meta.dirname, '../support/stalling-gateway.mjs'),
  });
  await gateway.start();
});
afterAll(async () => {
  rmSync(stalled, { force: true });
  await gateway.stop();
  rmSync(base, { recursive: true, force: true });
});

const run = async (job: string): Promise<string> =>
  String((await gateway.api('POST', `/api/v1/jobs/${job}:run`, {})).json()['name']);
const ended = (execution: string): Promise<true> =>
  gateway.until(`/api/v1/executions/${execution}`, (one) =>
    one['state'] === 'SUCCEEDED' ? true : undefined,
  );

/** How long its container ran, by the engine itself; undefined while it runs. */
async function ranFor(execution: string): Promise<number | undefined> {
  const engine = await testEngine();
  const [found] = await containersOf(engine, execution);
  if (found?.State !== 'exited') return undefined;
  const { body } = await engineRequest(engine, 'GET', `/v1.41/containers/${found.Id}/json`);
  const { State } = JSON.parse(body) as { State: { StartedAt: string; FinishedAt: string } };
  return Date.parse(State.FinishedAt) - Date.parse(State.StartedAt);
}

async function expectWholeLog(execution: string, after = ''): Promise<void> {
  const sum = (text: string): string => createHash('sha256').update(text).digest('hex');
  const path = `/api/v1/executions/${execution}/tasks/0/logs`;
  const stdout = (await gateway.api('GET', `${path}?stream=stdout`)).text;
  const stderr = (await gateway.api('GET', `${path}?stream=stderr`)).text;
  expect([stdout.length, sum(stdout)]).toEqual([STDOUT.length + after.length, sum(STDOUT + after)]);
  expect([stderr.length, sum(stderr)]).toEqual([STDERR.length, sum(STDERR)]);
}

it('a log that takes no byte for as long as it likes holds no container up, and has every byte in the end', async () => {
  const alone = await run('talks');
  await ended(alone);
  const { attempts } = (await gateway.api('GET', `/api/v1/executions/${alone}/tasks/0/attempts`)).json();
  const [{ startTime, endTime } = {}] = attempts as JsonObject[];
  const ownMs = Date.parse(String(endTime)) - Date.parse(String(startTime));

  writeFileSync(stalled, '');
  const [ends, goesOn] = await Promise.all([run('talks'), run('talks-on')]);
  // The log takes nothing until this is known.
  const ms = await eventually('its container has ended', () => ranFor(ends), 60_000);
  console.log(`its own time: ${ownMs} ms; with a log that stalls: ${ms} ms`);
  expect(ms).toBeLessThan(LET_GO_MS + 2 * ownMs + SLACK_MS);
  expect((await gateway.api('GET', `/api/v1/executions/${ends}`)).json()['state']).toBe('RUNNING');
  expect(await ranFor(goesOn)).toBeUndefined();
  rmSync(stalled);
  await ended(ends);
  await expectWholeLog(ends);

  writeFileSync(join(results, 'go'), '');
  await ended(goesOn);
  await expectWholeLog(goesOn, 'after\n');
  expect(gateway.output).toMatch(/writing its log took more than 5 s/);
}, 180_000);
