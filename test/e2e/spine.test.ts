import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';

const SECRET = 'the secret of the spine test';
const sh = (script: string, more: JsonObject = {}): JsonObject => ({
  image: TEST_IMAGE,
  command: ['/bin/sh', '-c', script],
  timeout: '1m',
  memory: '64Mi',
  ...more,
});

const CONFIG: JsonObject = {
  jobs: {
    env: sh('env | grep -E "^(CLOUD_RUN|SHARD|WHO)" | sort; echo "$0"', {
      args: ['part ${{ task.index }} of ${{ task.count }}'],
      env: { SHARD: '${{ task.index + 1 }}/${{ task.count }}' },
      taskCount: 3,
      parallelism: 0,
    }),
    flaky: sh('echo "attempt $CLOUD_RUN_TASK_ATTEMPT"; [ "$CLOUD_RUN_TASK_ATTEMPT" = 2 ]', { maxRetries: 3 }),
    broken: sh('echo oops >&2; exit 3', { maxRetries: 1 }),
    polite: sh('trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.1; done', {
      timeout: '2s',
      maxRetries: 0,
    }),
    // As long as it may take to come up.
    slow: sh('sleep 0.1; trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.1; done'),
    deaf: sh('trap "" TERM; echo up; while :; do sleep 0.1; done', { gracePeriod: '1s', maxRetries: 0 }),
    missing: { image: 'tappet-test/no-such-image:1', maxRetries: 3 },
    'no-program': { image: TEST_IMAGE, command: ['/nope'], maxRetries: 3 },
    serial: sh('sleep 0.3', { taskCount: 4, parallelism: 2 }),
  },
  triggers: {
    hook: {
      source: { kind: 'webhook', auth: { hmac: { secret: { env: 'SPINE_SECRET' } } } },
      when: "event.data.who != 'nobody'",
      run: { job: 'env', env: { WHO: '${{ event.data.who }}' }, taskCount: 1 },
    },
    // Every second an event, every tenth one a container: an engine starts only a few a second.
    tick: {
      source: { kind: 'cron', cron: '* * * * * *' },
      when: "event.data.scheduledTime.endsWith('0Z')",
      run: { job: 'env', taskCount: 1, env: { WHO: '${{ event.data.scheduledTime }}' } },
    },
  },
};

describe('the built product on a real engine', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-spine-'));
  let gateway: GatewayProcess;

  beforeAll(async () => {
    gateway = new GatewayProcess({
      dir,
      config: CONFIG,
      env: { DOCKER_HOST: await engineHost(), SPINE_SECRET: SECRET },
    });
    await gateway.start();
  });
  afterAll(async () => {
    await gateway.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const run = async (job: string, body: JsonObject = {}): Promise<JsonObject> => {
    const answer = await gateway.api('POST', `/api/v1/jobs/${job}:run`, body);
    expect(answer.status, answer.text).toBe(200);
    const name = String(answer.json()['name']);
    return gateway.until(
      `/api/v1/executions/${name}`,
      (e) => (e['completionTime'] === null ? undefined : e),
      50_000,
    );
  };
  const log = async (execution: unknown, task = 0, query = ''): Promise<string> =>
    (await gateway.api('GET', `/api/v1/executions/${String(execution)}/tasks/${task}/logs${query}`)).text;
  const attempts = async (execution: unknown, task = 0): Promise<JsonObject[]> =>
    (await gateway.api('GET', `/api/v1/executions/${String(execution)}/tasks/${task}/attempts`)).json()[
      'attempts'
    ] as JsonObject[];

  it('gives every task Cloud Run’s environment, and its own index in env and args', async () => {
    const execution = await run('env');
    expect(execution).toMatchObject({ state: 'SUCCEEDED', taskCount: 3, succeededCount: 3 });
    for (let i = 0; i < 3; i++) {
      const lines = (await log(execution['name'], i)).trim().split('\n');
      expect(lines).toEqual([
        'CLOUD_RUN_EXECUTION=' + String(execution['name']),
        'CLOUD_RUN_JOB=env',
        'CLOUD_RUN_TASK_ATTEMPT=0',
        'CLOUD_RUN_TASK_COUNT=3',
        `CLOUD_RUN_TASK_INDEX=${i}`,
        `SHARD=${i + 1}/3`,
        `part ${i} of 3`,
      ]);
    }
  });

  it('retries at once, keeps every attempt, and stops retrying at success', async () => {
    const execution = await run('flaky');
    expect(execution).toMatchObject({ state: 'SUCCEEDED', retriedCount: 1 });
    expect((await attempts(execution['name'])).map((a) => a['exitCode'])).toEqual([1, 1, 0]);
    expect(await log(execution['name'], 0, '?attempt=1')).toBe('attempt 1\n');
  });

  it('fails a task after its retries, and the execution with it', async () => {
    const execution = await run('broken');
    expect(execution).toMatchObject({ state: 'FAILED', failedCount: 1, reason: 'NON_ZERO_EXIT_CODE' });
    expect(await attempts(execution['name'])).toHaveLength(2);
    expect(await log(execution['name'], 0, '?stream=stderr')).toBe('oops\n');
  });

  it('sends SIGTERM at the timeout, and the attempt says so', async () => {
    const execution = await run('polite');
    expect(execution).toMatchObject({ state: 'FAILED', reason: 'TIMED_OUT' });
    expect(await attempts(execution['name'])).toMatchObject([
      { state: 'FAILED', reason: 'TIMED_OUT', exitCode: 0 },
    ]);
    expect(await log(execution['name'])).toBe('up\nbye\n');
  });

  it('cancels with SIGTERM, waits the grace, then kills', async () => {
    const started = await gateway.api('POST', '/api/v1/jobs/deaf:run', {});
    const name = String(started.json()['name']);
    await gateway.until(`/api/v1/executions/${name}/tasks/0/attempts`, (a) => {
      const list = a['attempts'] as JsonObject[];
      return list[0]?.['state'] === 'RUNNING' ? true : undefined;
    });
    // Its trap is set once it has said so.
    await untilText(() => log(name), 'up\n');
    const asked = Date.now();
    expect((await gateway.api('POST', `/api/v1/executions/${name}:cancel`)).status).toBe(200);
    const ended = await gateway.until(`/api/v1/executions/${name}`, (e) =>
      e['completionTime'] === null ? undefined : e,
    );
    expect(ended).toMatchObject({ state: 'CANCELLED', cancelledCount: 1 });
    expect(Date.now() - asked).toBeGreaterThanOrEqual(1_000);
    expect(await attempts(name)).toMatchObject([{ state: 'CANCELLED', reason: 'CANCELLED' }]);
  });

  it('cancels what has just started, which hears of it', async () => {
    for (let i = 0; i < 3; i++) {
      const name = String((await gateway.api('POST', '/api/v1/jobs/slow:run', {})).json()['name']);
      await gateway.until(`/api/v1/executions/${name}`, (e) => (e['runningCount'] === 1 ? true : undefined));
      expect((await gateway.api('POST', `/api/v1/executions/${name}:cancel`)).status).toBe(200);
      await gateway.until(`/api/v1/executions/${name}`, (e) =>
        e['completionTime'] === null ? undefined : true,
      );
      expect(await attempts(name)).toMatchObject([{ state: 'CANCELLED', exitCode: 0 }]);
      expect(await log(name)).toBe('up\nbye\n');
    }
  });

  it('says that an image is missing, in words, without touching the retries', async () => {
    const execution = await run('missing');
    expect(execution).toMatchObject({ state: 'FAILED' });
    const list = await attempts(execution['name']);
    expect(list.at(-1)).toMatchObject({ state: 'FAILED', exitCode: null });
    expect(String(list.at(-1)?.['message'])).toContain('tappet-test/no-such-image:1');
    const task = (await gateway.api('GET', `/api/v1/executions/${String(execution['name'])}/tasks/0`)).json();
    expect(task).toMatchObject({ state: 'FAILED', retried: 0 });
  });

  it('says that a program is missing, in words, at once', async () => {
    const execution = await run('no-program');
    const list = await attempts(execution['name']);
    expect(list).toHaveLength(1);
    expect(list[0]).toMatchObject({ reason: 'CONTAINER_START_FAILED' });
    expect(String(list[0]?.['message'])).toContain('/nope');
  });

  it('runs at most `parallelism` tasks of an execution at a time', async () => {
    const execution = await run('serial');
    const spans: { start: number; end: number }[] = [];
    for (let i = 0; i < 4; i++) {
      const [attempt] = await attempts(execution['name'], i);
      spans.push({
        start: Date.parse(String(attempt?.['startTime'])),
        end: Date.parse(String(attempt?.['endTime'])),
      });
    }
    for (const { start } of spans) {
      expect(spans.filter((other) => other.start <= start && other.end > start).length).toBeLessThanOrEqual(
        2,
      );
    }
  });

  it('answers a signed call with its decision and execution; a repeated one with the same', async () => {
    const first = await call({ who: 'Ada' }, 'key-1');
    expect(first).toMatchObject({
      status: 202,
      body: { duplicate: false, decisions: [{ trigger: 'hook', outcome: 'matched' }] },
    });
    const [name] = first.body['executions'] as string[];
    await gateway.until(`/api/v1/executions/${name}`, (e) => (e['completionTime'] === null ? undefined : e));
    expect(await log(name)).toContain('WHO=Ada\n');
    const again = await call({ who: 'Ada' }, 'key-1');
    expect(again).toMatchObject({
      status: 202,
      body: { duplicate: true, executions: [name], event: first.body['event'] },
    });
    const event = (await gateway.api('GET', `/api/v1/events/${String(first.body['event'])}`)).json();
    expect(event).toMatchObject({ duplicates: 1, decisions: [{ execution: name }] });
  });

  it('says why a call started nothing', async () => {
    const answer = await call({ who: 'nobody' }, 'key-2');
    expect(answer).toMatchObject({
      status: 202,
      body: {
        executions: [],
        decisions: [
          {
            outcome: 'filtered',
            clause: "event.data.who != 'nobody'",
            values: { 'event.data.who': 'nobody' },
          },
        ],
      },
    });
  });

  it('refuses a wrong signature and an unknown trigger alike', async () => {
    const wrong = await call({ who: 'Eve' }, 'key-3', 'sha256=00');
    const unknown = await fetch(`${gateway.url}/hooks/none`, { method: 'POST', body: '{}' });
    expect(wrong.status).toBe(401);
    expect(await unknown.json()).toEqual(wrong.body);
    const events = (await gateway.api('GET', '/api/v1/events?trigger=hook')).json()['events'] as JsonObject[];
    const ids = events.map((event) => (event['event'] as JsonObject)['id']);
    expect(ids).toContain('key-1');
    expect(ids).not.toContain('key-3');
  });

  it('fires the schedule by the clock, one event per slot', async () => {
    const slots = await gateway.until('/api/v1/events?trigger=tick&pageSize=100', (answer) => {
      const events = answer['events'] as JsonObject[];
      return events.length >= 3
        ? events.map((event) => String((event['event'] as JsonObject)['id']))
        : undefined;
    });
    expect(new Set(slots).size).toBe(slots.length);
    const times = slots.map((slot) => Date.parse(slot)).sort((a, b) => a - b);
    times.slice(1).forEach((time, i) => expect(time - (times[i] ?? 0)).toBe(1_000));
  });

  it('does the same by the command line, with its exit codes', async () => {
    const ok = await cli('jobs', 'run', 'env', '--wait', '--env', 'WHO=cli', '-o', 'json');
    expect(ok).toMatchObject({ code: 0 });
    expect(JSON.parse(ok.stdout)).toMatchObject({ state: 'SUCCEEDED' });
    // By name: the schedule starts executions too, and its own may be the latest.
    const { name } = JSON.parse(ok.stdout) as { name: string };
    expect((await cli('logs', name, '--task', '2')).stdout).toContain('part 2 of 3');
    expect((await cli('jobs', 'run', 'broken', '--follow')).code).toBe(1);
    expect((await cli('jobs', 'get', 'nothing')).code).toBe(4);
    expect((await cli('triggers', 'next', 'tick')).code).toBe(0);
    expect((await cli('validate', '-c', join(dir, 'tappet.json'))).code).toBe(0);
    expect((await cli('executions', 'list', '--url', 'http://127.0.0.1:9')).code).toBe(3);
  });

  it('fires a trigger by hand, with a payload', async () => {
    const fired = await cli('triggers', 'fire', 'hook', '--data', '{"who":"hand"}', '-o', 'json');
    expect(fired.code).toBe(0);
    expect(JSON.parse(fired.stdout)).toMatchObject({ decisions: [{ outcome: 'matched' }] });
  });

  interface Call {
    readonly status: number;
    readonly body: JsonObject;
  }
  async function call(data: JsonObject, key: string, signature?: string): Promise<Call> {
    const body = JSON.stringify(data);
    const digest = createHmac('sha256', SECRET).update(body).digest('hex');
    const response = await fetch(`${gateway.url}/hooks/hook`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': key,
        'x-hub-signature-256': signature ?? `sha256=${digest}`,
      },
      body,
    });
    return { status: response.status, body: (await response.json()) as JsonObject };
  }

  function cli(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const program = join(import.meta.dirname, '../../dist/src/cli.js');
    const env = { ...process.env, TAPPET_DATA_DIR: gateway.dataDir, SPINE_SECRET: SECRET };
    return new Promise((resolve) => {
      execFile(process.execPath, [program, ...args], { env }, (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      });
    });
  }
});

describe('without a container engine', () => {
  it('serves everything but containers, and says so', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tappet-alone-'));
    const env = { DOCKER_HOST: 'unix:///nowhere/docker.sock', SPINE_SECRET: SECRET };
    const gateway = new GatewayProcess({ dir, config: CONFIG, env });
    try {
      await gateway.start();
      const status = (await gateway.api('GET', '/api/v1/status')).json();
      expect(status).toMatchObject({
        engine: { state: 'none', message: expect.stringContaining('/nowhere/docker.sock') },
      });
      expect(gateway.output).toContain('No container engine answers');
      const run = await gateway.api('POST', '/api/v1/jobs/env:run', {});
      expect(run.json()).toMatchObject({ state: 'PENDING' });
      await gateway.until('/api/v1/events?trigger=tick', (a) =>
        (a['events'] as JsonObject[]).length > 0 ? true : undefined,
      );
    } finally {
      await gateway.stop();
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

async function untilText(read: () => Promise<string>, text: string): Promise<void> {
  while (!(await read()).includes(text)) await new Promise((resolve) => setTimeout(resolve, 50));
}
