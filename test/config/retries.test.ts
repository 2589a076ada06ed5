import { afterAll, describe, expect, it } from 'vitest';
import type { JobSpec } from '../../src/core/job.ts';
import { ConfigFolder } from '../support/config-folder.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const job = (fields: object): object => ({ jobs: { a: { image: 'x', ...fields } } });
async function spec(fields: object): Promise<JobSpec | undefined> {
  return (await folder.load(job(fields))).jobs.get('a')?.spec;
}

describe('what becomes of failures', () => {
  it('is not in the spec of a job that says nothing of it', async () => {
    const fields = Object.keys((await spec({})) ?? {});
    expect(fields.filter((field) => /retry$|maxFailed|deadline/i.test(field))).toEqual([]);
  });

  it('has the defaults of what is left out, and jitter with a backoff', async () => {
    const defaults = { initialMs: 1000, factor: 2, maxMs: 60_000 };
    expect(await spec({ retry: {} })).toMatchObject({
      retry: { backoff: 'none', jitter: 'none', ...defaults },
    });
    expect(await spec({ retry: { backoff: 'exponential' } })).toMatchObject({
      retry: { backoff: 'exponential', jitter: 'full', ...defaults },
    });
  });

  it('is what was written', async () => {
    const rules = { onExitCodes: [75], notOnExitCodes: [2], onReasons: ['OOM_KILLED', 'TIMED_OUT'] };
    const pauses = { backoff: 'exponential', initial: '500ms', factor: 1.5, max: '5m', jitter: 'none' };
    const read = await spec({ retry: { ...pauses, ...rules }, maxFailedTasks: 3, deadline: '2h' });
    expect(read?.retry).toEqual({
      backoff: 'exponential',
      initialMs: 500,
      factor: 1.5,
      maxMs: 300_000,
      jitter: 'none',
      ...rules,
    });
    expect(read).toMatchObject({ maxFailedTasks: 3, deadlineMs: 7_200_000 });
  });

  it('failFast is the same as no failed task', async () => {
    expect(await spec({ failFast: true })).toMatchObject({ maxFailedTasks: 0 });
    expect(await spec({ failFast: true, maxFailedTasks: 0 })).toMatchObject({ maxFailedTasks: 0 });
    expect(await spec({ failFast: false, maxFailedTasks: 2 })).toMatchObject({ maxFailedTasks: 2 });
    expect(await spec({ failFast: false })).not.toHaveProperty('maxFailedTasks');
  });

  it.each([
    [{ retry: { backoff: 'fast' } }, /^jobs\.a\.retry\.backoff: .*exponential/],
    [
      { retry: { initial: '5s' } },
      'jobs.a.retry.initial: has no effect where "backoff" is "none": write "backoff": "constant" or "exponential" too',
    ],
    [
      { retry: { backoff: 'constant', max: '5s' } },
      'jobs.a.retry.max: has no effect where "backoff" is "constant": leave it out',
    ],
    [
      { retry: { backoff: 'exponential', initial: '5m' } },
      'jobs.a.retry.initial: is longer than "max" (1m): write a longer "max" too',
    ],
    [{ retry: { backoff: 'exponential', factor: 0.5 } }, 'jobs.a.retry.factor: must be at least 1'],
    [{ retry: { onExitCodes: [0] } }, 'jobs.a.retry.onExitCodes[0]: must be at least 1'],
    [
      { retry: { onExitCodes: [3], notOnExitCodes: [2, 3] } },
      'jobs.a.retry.notOnExitCodes: names 3, which "onExitCodes" names too: write it once',
    ],
    [
      { retry: { onExitCodes: [3], onReasons: ['NON_ZERO_EXIT_CODE'] } },
      'jobs.a.retry.onExitCodes: has no effect beside the reason NON_ZERO_EXIT_CODE, which is every exit code',
    ],
    [{ retry: { onReasons: ['CONTAINER_LOST'] } }, /^jobs\.a\.retry\.onReasons\[0\]: .*NON_ZERO_EXIT_CODE/],
    [
      { failFast: true, maxFailedTasks: 1 },
      'jobs.a.maxFailedTasks: goes not with "failFast", which means 0: leave one of them out',
    ],
    [{ maxFailedTasks: -1 }, 'jobs.a.maxFailedTasks: must be at least 0'],
    [{ deadline: '91d' }, 'jobs.a.deadline: must be between 1s and 90d, not 91d'],
  ])('%j is a mistake', async (fields, wanted) => {
    const [line, ...more] = await folder.problemsOf(job(fields));
    expect(more).toEqual([]);
    const text = (line ?? '').replace(/^config\.json:\d+:\d+ ?/, '');
    if (typeof wanted === 'string') expect(text).toBe(wanted);
    else expect(text).toMatch(wanted);
  });
});
