import { beforeEach, describe, expect, it } from 'vitest';
import type { AttemptResource, ExecutionResource } from '../../src/core/api.ts';
import { MIB } from '../../src/core/job.ts';
import { createTestApp } from '../support/http-fakes.ts';
import type { TestApp } from '../support/http-fakes.ts';

let t: TestApp;
let name = '';
beforeEach(async () => {
  t = createTestApp();
  const response = await t.call('POST', '/api/v1/jobs/hello:run');
  ({ name } = (await response.json()) as { name: string });
});

const execution = async (): Promise<ExecutionResource> =>
  (await (await t.call('GET', `/api/v1/executions/${name}`)).json()) as ExecutionResource;
async function attempt(): Promise<AttemptResource | undefined> {
  const response = await t.call('GET', `/api/v1/executions/${name}/tasks/0/attempts`);
  return ((await response.json()) as { attempts: AttemptResource[] }).attempts[0];
}
async function page(): Promise<string> {
  const { code } = t.deps.sessions.newCode();
  const ask = (path: string, headers: Record<string, string> = {}) =>
    t.app.fetch(new Request(`http://gateway.test${path}`, { headers }), { remoteAddress: '127.0.0.1' });
  const cookie = (await ask(`/?code=${code}`)).headers.get('set-cookie')?.split(';', 1)[0] ?? '';
  const text = await (await ask(`/executions/${name}`, { cookie })).text();
  return text
    .replace(/<style>.*<\/style>/s, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ');
}

const KEY = { index: 0, attempt: 0 };
const ALL_KNOWN = { wall: 0, cpu: 0, peakMemory: 0 };
const SUMS = {
  attempts: 4,
  wallMs: 8124,
  cpuMs: 2500,
  peakMemoryBytes: 100 * MIB,
  logBytes: 2048,
  pulledBytes: 3 * MIB,
  unknown: ALL_KNOWN,
};

describe('usage', () => {
  it('of an attempt: seconds, bytes, and what was reserved in Cloud Run’s units', async () => {
    const now = t.clock.now();
    t.store.setAttempt(
      { execution: name, ...KEY },
      {
        state: 'SUCCEEDED',
        startTime: now - 4000,
        endTime: now,
        usage: {
          wallMs: 4000,
          cpuMs: 1234,
          peakMemoryBytes: 5 * MIB,
          measureTime: Date.parse('2026-01-01T00:00:03Z'),
          pulledBytes: 0,
        },
      },
    );
    // The job has 1 cpu and 512Mi.
    expect((await attempt())?.usage).toEqual({
      wallSeconds: 4,
      cpuSeconds: 1.234,
      peakMemoryBytes: 5 * MIB,
      measureTime: '2026-01-01T00:00:03.000Z',
      vcpuSeconds: 4,
      gibSeconds: 2,
      pulledBytes: 0,
    });
    expect(await page()).toContain('ran 4 s, cpu 1.2 s, peak memory 5 MiB, 4 vCPU-s, 2 GiB-s');
  });

  it('of an attempt that has not started is null, and of one that runs what was measured so far', async () => {
    t.store.setAttempt({ execution: name, ...KEY }, {});
    expect((await attempt())?.usage).toBeNull();
    const usage = { wallMs: null, cpuMs: 500, peakMemoryBytes: null, measureTime: 1000, pulledBytes: null };
    const startTime = t.clock.now();
    t.store.setAttempt({ execution: name, ...KEY }, { state: 'RUNNING', startTime, usage });
    expect((await attempt())?.usage).toMatchObject({ wallSeconds: null, vcpuSeconds: null, cpuSeconds: 0.5 });
    expect(await page()).toContain('so far cpu 0.5 s, memory not measured');
  });

  it('of an execution: the sums', async () => {
    t.store.update(name, { usage: SUMS });
    expect((await execution()).usage).toEqual({
      attempts: 4,
      wallSeconds: 8.124,
      cpuSeconds: 2.5,
      peakMemoryBytes: 100 * MIB,
      vcpuSeconds: 8.124,
      gibSeconds: 4.062,
      loggedBytes: 2048,
      pulledBytes: 3 * MIB,
      unknown: ALL_KNOWN,
    });
    const words =
      'ran 8.1 s, cpu 2.5 s, peak memory 100 MiB, 8.1 vCPU-s, 4.1 GiB-s, pulled 3 MiB, wrote 2 KiB';
    expect(await page()).toContain(`Used ${words}`);
  });

  it('of an execution is null where it is known of no attempt, and 0 where there was none', async () => {
    expect((await execution()).usage).toMatchObject({ attempts: 0, wallSeconds: 0, cpuSeconds: 0 });
    const unknown = { wall: 4, cpu: 4, peakMemory: 4 };
    t.store.update(name, { usage: { ...SUMS, wallMs: 0, cpuMs: 0, peakMemoryBytes: null, unknown } });
    const none = {
      wallSeconds: null,
      cpuSeconds: null,
      peakMemoryBytes: null,
      vcpuSeconds: null,
      gibSeconds: null,
    };
    expect((await execution()).usage).toMatchObject({ ...none, unknown });
    t.store.update(name, { usage: { ...SUMS, unknown: { wall: 1, cpu: 3, peakMemory: 0 } } });
    expect((await execution()).usage).toMatchObject({ wallSeconds: 8.124, cpuSeconds: 2.5 });
  });
});
