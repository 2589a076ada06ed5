import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LogLineResource } from '../../src/core/api.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const TASKS = 2;
/** Lines of 100 bytes: 8 MB a task, four times what its log may take. */
const LINES = 80_000;
const ROOM = 2 * 1024 * 1024;
const lineOf = (i: number): string => String(i).padStart(99, '0');

/** In eight parts with pauses, so that the gateway ends in the middle of it. */
const SCRIPT = `awk 'BEGIN {
  for (i = 0; i < ${LINES}; i++) {
    printf "%099d\\n", i
    if (i % 10000 == 9999) { fflush(); system("sleep 0.5") }
  }
  printf "the end"
}'`;

const base = mkdtempSync(join(tmpdir(), 'tappet-long-'));
let gateway: GatewayProcess;
beforeAll(async () => {
  const host = await engineHost();
  const job = {
    image: TEST_IMAGE,
    command: ['/bin/sh', '-c', SCRIPT],
    taskCount: TASKS,
    parallelism: TASKS,
    maxRetries: 0,
    maxLogBytes: '2Mi',
  };
  gateway = new GatewayProcess({
    dir: base,
    config: { jobs: { talk: job }, triggers: {} },
    env: { DOCKER_HOST: host },
  });
  await gateway.start();
});
afterAll(async () => {
  await gateway.stop();
  rmSync(base, { recursive: true, force: true });
});

async function lines(execution: string, query = ''): Promise<LogLineResource[]> {
  const answer = await fetch(`${gateway.url}/api/v1/executions/${execution}/logs${query}`, {
    headers: { authorization: `Bearer ${gateway.token}` },
  });
  const text = await answer.text();
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as LogLineResource);
}

it('a log that outgrew its room over the end of the gateway has beginning, end, and every byte between told of', async () => {
  const run = await gateway.api('POST', '/api/v1/jobs/talk:run', {});
  const execution = String(run.json()['name']);
  const begun = async (): Promise<boolean> =>
    (await lines(execution, '?tail=1')).some(({ offset }) => offset > 2 * ROOM);
  while (!(await begun())) await new Promise((resolve) => setTimeout(resolve, 50));
  await gateway.kill();
  await gateway.start();
  await gateway.until(`/api/v1/executions/${execution}`, (e) => (e['state'] === 'SUCCEEDED' ? e : undefined));

  for (let task = 0; task < TASKS; task++) {
    const all = await lines(execution, `?task=${task}`);
    let at = 0;
    let kept = 0;
    for (const { offset, text, partial, missing, stream } of all) {
      expect(stream).toBe('stdout');
      at += missing ?? 0;
      expect(offset).toBe(at);
      if (missing !== undefined) continue;
      const size = text.length + (partial === true ? 0 : 1);
      // A line that a gap cut is the end or the beginning of what belongs there.
      if (size === 100) expect(text).toBe(lineOf(at / 100));
      at += size;
      kept += size;
    }
    expect(at).toBe(LINES * 100 + 'the end'.length);
    expect([kept > ROOM / 2, kept <= ROOM]).toEqual([true, true]);
    expect([all[0]?.text, all.at(-1)?.text]).toEqual([lineOf(0), 'the end']);
    const attempts = await gateway.api('GET', `/api/v1/executions/${execution}/tasks/${task}/attempts`);
    expect(attempts.json()['attempts']).toMatchObject([{ logBytes: { stdout: at, stderr: 0 } }]);
  }
  const ends = await lines(execution, '?q=END&tail=10');
  expect(
    ends
      .filter(({ missing }) => missing === undefined)
      .map(({ task }) => task)
      .sort((a, b) => a - b),
  ).toEqual([0, 1]);
});
