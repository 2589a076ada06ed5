import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { cli } from '../support/cli-runner.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const sh = (script: string, more: JsonObject = {}): JsonObject => ({
  image: TEST_IMAGE,
  command: ['/bin/sh', '-c', script],
  memory: '32Mi',
  maxRetries: 0,
  ...more,
});
const CONFIG: JsonObject = {
  jobs: {
    // Long enough to be measured before it ends.
    greedy: sh('sleep 3; exec tail /dev/zero'),
    busy: sh('timeout 4 sh -c "while :; do :; done"; exit 3', { memory: '64Mi' }),
    deaf: sh('trap "" TERM; echo up; while :; do sleep 0.1; done', { timeout: '1s', gracePeriod: '1s' }),
    missing: { image: 'tappet-test/no-such-image:1', pullPolicy: 'Never', memory: '32Mi' },
  },
};

describe('executions describe, on a real engine', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-describe-'));
  let gateway: GatewayProcess;
  beforeAll(async () => {
    gateway = new GatewayProcess({ dir, config: CONFIG, env: { DOCKER_HOST: await engineHost() } });
    await gateway.start();
  });
  afterAll(async () => {
    await gateway.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Runs a job to its end; what `describe` prints of it, and its execution. */
  async function described(job: string): Promise<{ readonly text: string; readonly usage: JsonObject }> {
    const started = await gateway.api('POST', `/api/v1/jobs/${job}:run`, {});
    const name = String(started.json()['name']);
    const path = `/api/v1/executions/${name}`;
    const ended = await gateway.until(path, (e) => (e['completionTime'] === null ? undefined : e), 90_000);
    const env = { TAPPET_URL: gateway.url, TAPPET_TOKEN: gateway.token };
    const { code, out } = await cli(['executions', 'describe', name], { env, fetch, now: Date.now });
    expect(code, out).toBe(0);
    return { text: out, usage: ended['usage'] as JsonObject };
  }

  it('a task that wants too much memory is explained in the first line, with what it used', async () => {
    const { text, usage } = await described('greedy');
    expect(text.split('\n')[0]).toBe(
      'FAILED: Task 0 failed: killed by the kernel: it used more than its 32Mi of memory; raise "memory" of the job.',
    );
    expect(text).toContain('peak memory 32 MiB');
    expect(usage).toMatchObject({ attempts: 1, peakMemoryBytes: 32 * 1024 ** 2, unknown: { wall: 0 } });
    expect(usage['wallSeconds']).toBeGreaterThanOrEqual(3);
  });

  it('a busy one is told with the cpu time that it took', async () => {
    const { text, usage } = await described('busy');
    expect(text).toMatch(/^FAILED: Task 0 failed: exit code 3\.\n/);
    expect(usage['cpuSeconds']).toBeGreaterThan(0.5);
    expect(usage['cpuSeconds']).toBeLessThanOrEqual(Number(usage['wallSeconds']) * 1.1);
    expect(usage['vcpuSeconds']).toBeCloseTo(Number(usage['wallSeconds']), 2);
    expect(usage['gibSeconds']).toBeCloseTo(Number(usage['wallSeconds']) / 16, 2);
  });

  it('one that does not end on SIGTERM, and one without an image', async () => {
    expect((await described('deaf')).text).toMatch(
      /^FAILED: Task 0 failed: it ran longer than 1s; SIGTERM did not end it within 1s, so it was killed\.\n/,
    );
    const { text, usage } = await described('missing');
    expect(text).toMatch(/^FAILED: Task 0 failed: .*tappet-test\/no-such-image:1/);
    expect(text).toContain('did not start');
    expect(usage).toMatchObject({ attempts: 0, wallSeconds: 0 });
  });
});
