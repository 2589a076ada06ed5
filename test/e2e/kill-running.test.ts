import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { TEST_IMAGE, testEngine } from '../support/engine.ts';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { untilNoContainer } from '../support/chaos-rounds.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const TASKS = 10;
const ROUNDS = 10;
/** Each task writes 5 blocks of 220,000 bytes to each stream: 22 MB a round. */
const BLOCKS = 5;
const BLOCK = 220_000;
/** One step later each round, all within the two seconds that the tasks print at least. */
const STEP_MS = 180;
/** After ten rounds from the beginning, so much later: twenty times ten moments fill the steps. */
const SHIFT_MS = 9;
const momentOf = (round: number): number =>
  (round % ROUNDS) * STEP_MS + ((Math.floor(round / ROUNDS) * SHIFT_MS) % STEP_MS);
/** 5 pauses of 0.4 s. */
const PRINT_MS = 2_000;
const ADOPT_WITHIN_MS = 3_000;

/** Prints when it is told to. Both files end without a newline; the container computes the sums itself, before it prints a byte. */
const SCRIPT = `
i=$CLOUD_RUN_TASK_INDEX; r=/results/$CLOUD_RUN_EXECUTION-$i
echo "$CLOUD_RUN_TASK_ATTEMPT" >> $r.starts
size=$((${BLOCKS} * ${BLOCK}))
for s in out err; do
  yes "$s $i $CLOUD_RUN_EXECUTION 0123456789 abcdefghijklmnopqrstuvwxyz" | head -c $((size - 9)) > /tmp/$s
  printf 'no newli%s' "$i" >> /tmp/$s
  sha256sum < /tmp/$s | cut -d' ' -f1 > $r.$s
done
echo ready > $r.ready
while [ ! -e /results/$CLOUD_RUN_EXECUTION.go ]; do sleep 0.2; done
k=0; while [ $k -lt ${BLOCKS} ]; do
  dd if=/tmp/out bs=${BLOCK} skip=$k count=1 2>/dev/null
  dd if=/tmp/err bs=${BLOCK} skip=$k count=1 >&2 2>/dev/null
  sleep 0.4; k=$((k + 1))
done
exit $((i % 4))`;

describe('kill -9 of the gateway while 10 tasks run', () => {
  const row = chaosRow('kill-running', ROUNDS);
  const base = mkdtempSync(join(tmpdir(), 'tappet-kill-'));
  const results = join(base, 'results');
  const moments: number[] = [];
  /** From the start of the process to every task adopted. */
  const adoptions: number[] = [];
  let gateway: GatewayProcess;
  let engine: EngineEndpoint;

  beforeAll(async () => {
    engine = await testEngine();
    const host = await engineHost();
    mkdirSync(results, { recursive: true });
    gateway = new GatewayProcess({ dir: base, config: config(results), env: { DOCKER_HOST: host } });
    await gateway.start();
  });
  afterAll(async () => {
    await gateway.stop();
    rmSync(base, { recursive: true, force: true });
  });

  // Whatever a failed round left behind must not be the load under which the next one runs.
  afterEach(async () => {
    const list = await gateway.api('GET', '/api/v1/executions?state=RUNNING');
    for (const { name } of list.json()['executions'] as JsonObject[]) {
      writeFileSync(join(results, `${String(name)}.go`), '');
    }
  });

  it.each(Array.from({ length: row.rounds }, (_, i) => row.first + i))('round %i', async (round) => {
    row.begin();
    const run = await gateway.api('POST', '/api/v1/jobs/talk:run', {});
    expect(run.status).toBe(200);
    const execution = String(run.json()['name']);
    const ready = (): number => count((i) => existsSync(join(results, `${execution}-${i}.ready`)));
    await gateway.until(`/api/v1/executions/${execution}`, (e) =>
      ready() === TASKS && e['runningCount'] === TASKS ? e : undefined,
    );
    // They print only from here on, all at once: a slow machine must not let the first end before the last has begun.
    const before = (await gateway.api('GET', `/api/v1/executions/${execution}`)).json();
    const began = Date.now();
    writeFileSync(join(results, `${execution}.go`), '');
    await new Promise((resolve) => setTimeout(resolve, momentOf(round)));
    const afterMs = Date.now() - began;
    await gateway.kill();
    expect(before['runningCount']).toBe(TASKS);
    // Printing takes two seconds of pauses alone: none had ended.
    expect(afterMs).toBeLessThan(PRINT_MS);
    moments.push(afterMs);

    const restarted = Date.now();
    await gateway.start();
    await gateway.until('/api/v1/status', adopted, ADOPT_WITHIN_MS);
    const adoptedMs = Date.now() - restarted;
    adoptions.push(adoptedMs);
    expect(adoptedMs).toBeLessThanOrEqual(ADOPT_WITHIN_MS);

    const ended = await gateway.until(`/api/v1/executions/${execution}`, (e) =>
      e['completionTime'] ? e : undefined,
    );
    expect(ended).toMatchObject({
      state: 'FAILED',
      succeededCount: count((i) => i % 4 === 0),
      failedCount: count((i) => i % 4 !== 0),
    });
    let bytes = 0;
    for (let index = 0; index < TASKS; index++) bytes += await checkTask(gateway, results, execution, index);
    expect(bytes).toBe(TASKS * 2 * BLOCKS * BLOCK);
    expect(bytes).toBeGreaterThanOrEqual(20_000_000);
    await untilNoContainer(engine, execution);
  });

  it('killed at 10 different moments', () => {
    // Of each ten one after the other; the next ten begin again.
    const begins = (i: number): boolean => i === 0 || (row.first + i) % ROUNDS === 0;
    const apart = moments.flatMap((moment, i) => (begins(i) ? [] : [moment - (moments[i - 1] ?? 0)]));
    expect(moments).toHaveLength(row.rounds);
    expect(Math.min(Infinity, ...apart)).toBeGreaterThan(0);
    console.log(`killed ${moments.join(', ')} ms after the ${TASKS} tasks began to print`);
    console.log(`adopted ${adoptions.join(', ')} ms after the new process was started`);
  });
});

function config(results: string): JsonObject {
  return {
    server: { allowedBinds: [results] },
    jobs: {
      talk: {
        image: TEST_IMAGE,
        command: ['/bin/sh', '-c', SCRIPT],
        taskCount: TASKS,
        parallelism: 0,
        maxRetries: 0,
        timeout: '2m',
        memory: '64Mi',
        volumes: [{ bind: results, to: '/results', readOnly: false }],
      },
    },
    triggers: {},
  };
}

/** One attempt, its true exit code, started once, and byte for byte what the container computed. Returns the bytes. */
async function checkTask(
  gateway: GatewayProcess,
  results: string,
  execution: string,
  index: number,
): Promise<number> {
  const path = `/api/v1/executions/${execution}/tasks/${index}`;
  const attempts = (await gateway.api('GET', `${path}/attempts`)).json()['attempts'] as JsonObject[];
  expect(attempts).toHaveLength(1);
  expect(attempts[0]).toMatchObject({ exitCode: index % 4, state: index % 4 === 0 ? 'SUCCEEDED' : 'FAILED' });
  const file = (kind: string): string =>
    readFileSync(join(results, `${execution}-${index}.${kind}`), 'utf8').trim();
  expect(file('starts')).toBe('0');
  const streams = { out: 'stdout', err: 'stderr' };
  let bytes = 0;
  for (const [kind, stream] of Object.entries(streams)) {
    const answer = await fetch(`${gateway.url}${path}/logs?stream=${stream}`, {
      headers: { authorization: `Bearer ${gateway.token}` },
    });
    const log = new Uint8Array(await answer.arrayBuffer());
    expect(
      createHash('sha256').update(log).digest('hex'),
      `${stream} of task ${index}, ${log.length} bytes`,
    ).toBe(file(kind));
    bytes += log.length;
  }
  return bytes;
}

function count(holds: (index: number) => boolean): number {
  return Array.from({ length: TASKS }, (_, index) => index).filter(holds).length;
}

function adopted(status: JsonObject): true | undefined {
  const engine = status['engine'] as JsonObject;
  return engine['state'] === 'ready' ? true : undefined;
}
