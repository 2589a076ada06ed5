import { beforeEach, describe, expect, it } from 'vitest';
import type { AttemptReason } from '../../src/core/execution.ts';
import type { Fetch } from '../../src/core/fetch.ts';
import { MIB } from '../../src/core/job.ts';
import { cli } from '../support/cli-runner.ts';
import type { CliRun } from '../support/cli-runner.ts';
import { createTestApp, ROOT_TOKEN } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';

let t: TestApp;
beforeEach(() => {
  t = createTestApp();
});

const START = Date.parse('2026-01-01T00:00:00Z');
const toApp: Fetch = (url, init) => t.app.fetch(new Request(url, init), { remoteAddress: '127.0.0.1' });
const describeIt = (name: string, token = ROOT_TOKEN, more: readonly string[] = []): Promise<CliRun> => {
  const env = { TAPPET_URL: 'http://gateway.test', TAPPET_TOKEN: token };
  return cli(['executions', 'describe', name, ...more], { env, fetch: toApp });
};

/** An execution of `taskCount` tasks, as the API has it. */
async function created(taskCount: number): Promise<string> {
  const response = await t.call('POST', '/api/v1/jobs/hello:run', { body: { overrides: { taskCount } } });
  return ((await response.json()) as { name: string }).name;
}

const MESSAGE = 'Killed by the kernel: it used more than its 64Mi of memory; raise "memory" of the job.';

/** A task that ran `attempts` times, a second each, and failed. */
function failed(execution: string, index: number, attempts = 1, reason: AttemptReason = 'OOM_KILLED'): void {
  t.store.setTask(execution, index, { state: 'FAILED', attempts, message: MESSAGE });
  for (let attempt = 0; attempt < attempts; attempt++) {
    t.store.setAttempt(
      { execution, index, attempt },
      {
        state: 'FAILED',
        reason,
        message: MESSAGE,
        startTime: START,
        endTime: START + 1500,
        usage: {
          wallMs: 1500,
          cpuMs: 700,
          peakMemoryBytes: 64 * MIB,
          measureTime: START + 1000,
          pulledBytes: 0,
        },
      },
    );
  }
}
const ended = (name: string, failedCount: number, over: object = {}): void => {
  t.store.update(name, {
    state: 'FAILED',
    reason: 'OOM_KILLED',
    message: 'Task 1 failed: killed by the kernel.',
    counters: { running: 0, succeeded: 1, failed: failedCount, cancelled: 0, retried: 1 },
    startTime: START,
    completionTime: START + 4000,
    ...over,
  });
};

describe('executions describe', () => {
  it('begins with the cause, then tells what ran, what it used, why, and where its log is', async () => {
    const name = await created(3);
    failed(name, 1, 2);
    ended(name, 1, {
      usage: {
        attempts: 3,
        wallMs: 3000,
        cpuMs: 1400,
        peakMemoryBytes: 64 * MIB,
        logBytes: 2048,
        pulledBytes: 0,
        unknown: { wall: 0, cpu: 1, peakMemory: 1 },
      },
    });
    const { code, out } = await describeIt(name);
    expect(code).toBe(0);
    expect(out.split('\n')).toEqual([
      'FAILED: Task 1 failed: killed by the kernel.',
      '',
      `Execution  ${name} of job hello, generation 2`,
      'Why        root asked for it',
      'Image      busybox',
      'Tasks      1 of 3 succeeded, 1 failed, 1 retried',
      'Created    2m ago (2026-01-01T00:00:00Z)',
      'Started    2m ago (2026-01-01T00:00:00Z)',
      'Ended      2m ago (2026-01-01T00:00:04Z), took 4 s',
      'Used       ran 3 s, cpu 1.4 s (not known of 1 of 3 attempts), peak memory 64 MiB (not known of 1 of 3 attempts), 3 vCPU-s, 1.5 GiB-s, wrote 2 KiB (each attempt may use 512Mi of memory)',
      '',
      'Task 1: FAILED',
      '  Attempt 0: OOM_KILLED, ran 1.5 s, cpu 0.7 s, peak memory 64 MiB, 1.5 vCPU-s, 0.75 GiB-s',
      `    ${MESSAGE}`,
      '  Attempt 1: OOM_KILLED, ran 1.5 s, cpu 0.7 s, peak memory 64 MiB, 1.5 vCPU-s, 0.75 GiB-s',
      `    ${MESSAGE}`,
      `  Its log: tappet logs ${name} --task 1 --attempt 1`,
      '',
    ]);
  });

  it('tells the event, the trigger and its reason; without the right to read events, the names alone', async () => {
    const name = await created(1);
    t.store.update(name, { cause: { kind: 'event', event: 'e-1', trigger: 'nightly' } });
    t.store.events.push({
      uid: 'e-1',
      origin: 'trigger/nightly',
      trigger: 'nightly',
      event: { specversion: '1.0', id: '1', source: '/x', type: 'y', time: '2026-01-01T00:00:00Z' },
      claims: null,
      verdict: null,
      receiveTime: START,
      decideTime: START,
      duplicates: 0,
    });
    const answer = {
      clause: null,
      values: null,
      decideTime: START,
      event: 'e-1',
      outcome: 'matched',
    } as const;
    t.store.decisions.push(
      { ...answer, trigger: 'other', reason: 'not this one', execution: 'other-1' },
      { ...answer, trigger: 'nightly', reason: 'size is above 0', execution: name },
    );
    const why = 'Why        trigger nightly, event e-1';
    expect((await describeIt(name)).out).toContain(`${why}: size is above 0\n`);
    const some = await describeIt(name, 'run.executions.get,run.tasks.list,run.tasks.get');
    expect(some).toMatchObject({ code: 0 });
    expect(some.out).toContain(`${why}\n`);
  });

  it('finds the failed tasks among many, shows ten of them and says how many more there are', async () => {
    const name = await created(1200);
    for (let index = 1100; index < 1115; index++) failed(name, index);
    ended(name, 15);
    const { out } = await describeIt(name);
    expect([...out.matchAll(/^Task (\d+): FAILED$/gm)].map(([, index]) => Number(index))).toEqual(
      Array.from({ length: 10 }, (_, i) => 1100 + i),
    );
    expect(out).toContain(`\n5 more failed: tappet executions tasks ${name}\n`);
  });

  it('shows the newest attempts of a task that had many, and one that never started', async () => {
    const name = await created(1);
    failed(name, 0, 8);
    t.store.setAttempt(
      { execution: name, index: 0, attempt: 8 },
      { state: 'FAILED', reason: 'IMAGE_NOT_FOUND', message: 'No image.', startTime: null, endTime: START },
    );
    ended(name, 1);
    const { out } = await describeIt(name);
    expect(out).toContain(`  4 earlier attempts: tappet executions attempts ${name} --task 0\n  Attempt 4:`);
    expect(out).toContain('  Attempt 8: IMAGE_NOT_FOUND, did not start\n    No image.\n');
    // The newest that ran has a log.
    expect(out).toContain(`--task 0 --attempt 7\n`);
  });

  it('tells of what still waits or runs how far it is', async () => {
    const name = await created(1);
    expect((await describeIt(name)).out).toMatch(/^PENDING: /);
    t.store.update(name, {
      state: 'RUNNING',
      startTime: START,
      counters: { running: 1, succeeded: 0, failed: 0, cancelled: 0, retried: 0 },
    });
    t.store.setAttempt(
      { execution: name, index: 0, attempt: 0 },
      {
        state: 'RUNNING',
        startTime: START,
        usage: { wallMs: null, cpuMs: 61_000, peakMemoryBytes: null, measureTime: START, pulledBytes: 0 },
      },
    );
    const { out } = await describeIt(name);
    expect(out).toMatch(/^RUNNING: 0 of 1 succeeded, 1 running\n/);
    t.store.update(name, { cancelRequestTime: START });
    expect((await describeIt(name)).out).toMatch(
      /^RUNNING: 0 of 1 succeeded, 1 running, and is being cancelled\n/,
    );
    expect(out).toContain('  Attempt 0: RUNNING, for 2m so far, cpu 1m1s, memory not measured\n');
  });

  it('prints all of it as JSON, and lets nothing of others move the cursor', async () => {
    const name = await created(1);
    failed(name, 0);
    ended(name, 1, { message: 'Task 0 failed: \u001b[2J\nSUCCEEDED' });
    const { out } = await describeIt(name, ROOT_TOKEN, ['-o', 'json']);
    expect(JSON.parse(out)).toMatchObject({
      execution: { name, usage: { attempts: 0 } },
      decision: null,
      tasks: [{ index: 0, attemptList: [{ attempt: 0, usage: { wallSeconds: 1.5, vcpuSeconds: 1.5 } }] }],
    });
    expect((await describeIt(name)).out).toMatch(/^FAILED: Task 0 failed: \\x1b\[2J\\x0aSUCCEEDED\n\n/);
  });
});
