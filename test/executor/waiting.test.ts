import { describe, expect, it } from 'vitest';
import type { Execution, Task } from '../../src/core/execution.ts';
import { JOB_DEFAULTS } from '../../src/core/job.ts';
import type { JobSpec } from '../../src/core/job.ts';
import { taskWaitText, waitText } from '../../src/executor/waiting.ts';
import type { AdmissionView } from '../../src/executor/waiting.ts';
import { plannedExecution } from '../../src/http/resources.ts';
import { ADMISSION_VIEW, pendingTask } from '../support/http-fakes.ts';

const GIB = 1024 ** 3;
const NOW = Date.parse('2026-01-01T00:00:00Z');
const view = (over: Partial<AdmissionView> = {}): AdmissionView => ({
  ...ADMISSION_VIEW,
  settings: { cpuOvercommit: 8, memoryReserveBytes: 0 },
  free: { memoryBytes: 1.25 * GIB, cpuMillis: 2000 },
  ...over,
});

const TASK = pendingTask('nightly-1', 0);

function execution(spec: Partial<JobSpec> = {}, over: Partial<Execution> = {}): Execution {
  const planned = {
    uid: 'u',
    name: 'nightly-1',
    job: 'nightly',
    jobGeneration: 1,
    spec: { image: 'x', env: {}, binds: [], ...JOB_DEFAULTS, ...spec },
    context: {},
    cause: { kind: 'api', principal: 'ann' },
    labels: {},
  } as const;
  return { ...plannedExecution(planned, NOW), waits: 'room', ...over };
}

describe('an execution waits', () => {
  const engine = 'The container engine does not answer; tasks wait until it does: refused';
  const reserved = { execution: 'large-1', by: 0 };
  const turn = { maxConcurrentExecutions: 1 };
  it.each([
    [
      'for memory',
      execution({ memoryBytes: 2 * GIB }),
      view(),
      'waits for 2 GiB of memory: 1.2 GiB of 8 GiB free',
    ],
    [
      'for cores',
      execution({ cpu: 2 }),
      view({ free: { memoryBytes: GIB, cpuMillis: 500 } }),
      'waits for 2 cores: 0.5 cores of 16 cores free (each core of the host is given out 8 times)',
    ],
    [
      'for its turn',
      execution(turn, { waits: 'turn' }),
      view(),
      'waits for its turn: maxConcurrentExecutions of job nightly is reached',
    ],
    [
      'for the engine',
      execution(),
      view({ ready: false, message: engine }),
      `waits for the container engine: ${engine}`,
    ],
    [
      'for a slot',
      execution(),
      view({ runningTasks: 4, maxRunningTasks: 4 }),
      'waits for a running task to end: maxRunningTasks is 4',
    ],
    [
      'behind another',
      execution(),
      view({ reserved }),
      'waits for large-1, which comes first and waits for room of its own',
    ],
    ['for nothing', execution(), view(), null],
    ['first of all', execution({}, { name: 'large-1' }), view({ reserved }), null],
    [
      'in vain',
      execution({ cpu: 3 }),
      view(),
      'does not fit: A task needs 3 cores, and the host of the container engine has 2 cores. Lower "cpu" of the job, or use a larger host',
    ],
    [
      'for its next attempt',
      execution({}, { waits: null, state: 'RUNNING', retryTime: NOW + 5000 }),
      view(),
      'waits for its next attempt until 2026-01-01T00:00:05.000Z',
    ],
    [
      'for that of any of its tasks',
      execution({ taskCount: 2 }, { waits: null, state: 'RUNNING', retryTime: NOW + 5000 }),
      view(),
      'waits for the next attempt of a task until 2026-01-01T00:00:05.000Z',
    ],
    [
      'for the next start of the gateway, if there is an attempt to come',
      execution({}, { waits: null, state: 'RUNNING', retryTime: NOW + 5000 }),
      view({ draining: true }),
      'waits for the next start of the gateway, which is being drained',
    ],
    [
      'for its tasks that run, not for a retry beside them',
      execution(
        { taskCount: 2 },
        {
          waits: null,
          state: 'RUNNING',
          retryTime: NOW + 5000,
          counters: { running: 1, succeeded: 0, failed: 0, cancelled: 0, retried: 1 },
        },
      ),
      view(),
      null,
    ],
    ['for its tasks that run', execution({}, { waits: null }), view(), null],
    ['no more', execution({}, { state: 'CANCELLED' }), view(), null],
  ])('%s', (_, one, seen, text) => {
    expect(waitText(one, seen)).toBe(text);
  });
});

describe('what has begun waits', () => {
  const counters = { running: 2, succeeded: 0, failed: 0, cancelled: 0, retried: 0 };
  const busy = execution({ taskCount: 5 }, { counters, waits: null, state: 'RUNNING' });
  const single = execution({}, { counters: { ...counters, running: 1 }, waits: null, state: 'RUNNING' });
  const large = { ...busy, waits: 'room' as const, spec: { ...busy.spec, memoryBytes: 2 * GIB } };
  const one = new Map([[3, 'waits for image x']]);
  const both = new Map([[4, 'is given its files'], ...one]);
  const begun = (waits: ReadonlyMap<number, string>, over: Partial<AdmissionView> = {}): AdmissionView =>
    view({ begun: (name) => (name === 'nightly-1' ? waits : new Map<number, never>()), ...over });
  const away = { ready: false, message: 'refused' };
  it.each([
    ['an execution of which all tasks wait: the first', busy, begun(both), 'task 3 waits for image x'],
    ['an execution of one task', single, begun(one), 'waits for image x'],
    ['not one of which a task runs', busy, begun(one), null],
    ['one whose others may start', { ...busy, waits: 'room' }, begun(both), 'task 3 waits for image x'],
    [
      'not where others wait for room: these come first',
      large,
      begun(both),
      'waits for 2 GiB of memory: 1.2 GiB of 8 GiB free',
    ],
    [
      'not one of which no task is under way',
      { ...busy, counters: { ...counters, running: 0 } },
      begun(both),
      null,
    ],
    ['not another', { ...busy, name: 'other-1' }, begun(both), null],
    ['not one that has ended', { ...busy, state: 'FAILED' }, begun(both), null],
    ['for the engine first of all', single, begun(one, away), 'waits for the container engine: refused'],
    ['while the gateway is drained too', single, begun(one, { draining: true }), 'waits for image x'],
  ] as [string, Execution, AdmissionView, string | null][])('%s', (_, of, seen, text) => {
    expect(waitText(of, seen)).toBe(text);
  });

  it.each([
    ['a task', 3, begun(both), 'waits for image x'],
    ['each for itself', 4, begun(both), 'is given its files'],
    ['not one that runs', 5, begun(both), null],
    ['not one that runs while the engine is away', 5, begun(both, away), null],
    ['for the engine first of all', 3, begun(both, away), 'waits for the container engine: refused'],
  ])('%s', (_, index, seen, text) => {
    expect(taskWaitText({ ...TASK, index, state: 'RUNNING' }, busy, seen, NOW)).toBe(text);
  });
});

describe('a task waits', () => {
  const task = (over: Partial<Task> = {}): Task => ({ ...TASK, ...over });
  const counters = { running: 2, succeeded: 0, failed: 0, cancelled: 0, retried: 0 };
  const busy = execution({ parallelism: 2 }, { counters, waits: null, state: 'RUNNING' });
  const soon = 'waits for its next attempt until 2026-01-01T00:00:05.000Z';
  it.each([
    ['for its next attempt', task({ notBefore: NOW + 5000 }), execution(), soon],
    [
      'for the others of its execution',
      task(),
      busy,
      'waits for another task of its execution to end: parallelism 2',
    ],
    [
      'as its execution does',
      task({ notBefore: NOW }),
      execution({ memoryBytes: 2 * GIB }),
      'waits for 2 GiB of memory: 1.2 GiB of 8 GiB free',
    ],
    [
      'for the gateway, where its next attempt is due and nothing starts',
      task({ notBefore: NOW }),
      execution({}, { waits: null, state: 'RUNNING' }),
      'waits for the next start of the gateway, which is being drained',
      view({ draining: true }),
    ],
    [
      'not for what others wait for that have begun',
      task({ notBefore: NOW }),
      execution({ parallelism: 0 }, { waits: null, state: 'RUNNING', counters: { ...counters, running: 1 } }),
      null,
      view({ begun: () => new Map([[0, 'waits for image x']]) }),
    ],
    ['no more once it runs', task({ state: 'RUNNING' }), execution(), null],
    ['no more once all has ended', task(), execution({}, { state: 'FAILED' }), null],
  ] as [string, Task, Execution, string | null, AdmissionView?][])(
    '%s',
    (_, one, of, text, seen = view()) => {
      expect(taskWaitText(one, of, seen, NOW)).toBe(text);
    },
  );
});
