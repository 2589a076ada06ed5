import { describe, expect, it } from 'vitest';
import { isTappetError } from '../../src/core/errors.ts';
import type { Overrides } from '../../src/core/job.ts';
import { literal } from '../../src/routing/literal.ts';
import { planExecution } from '../../src/routing/plan-execution.ts';
import { job } from '../support/definitions.ts';
import { SeededIds } from '../support/seeded-ids.ts';

const limits = { maxTasks: 100, maxParallelism: 10 };
const cause = { kind: 'api', principal: 'admin' } as const;
function plan(overrides?: Overrides) {
  const definition = job('report', { env: { A: '1', PATH: '/bin' }, args: ['${{ task.index }}'] });
  return planExecution({
    job: definition,
    generation: 4,
    cause,
    ids: new SeededIds(),
    limits,
    ...(overrides === undefined ? {} : { overrides }),
  });
}

describe('planExecution', () => {
  it('without overrides is the job as it stands', () => {
    const execution = plan();
    expect(execution).toMatchObject({ job: 'report', jobGeneration: 4, context: {}, cause });
    expect(execution.spec.env).toEqual({ A: '1', PATH: '/bin' });
    expect(execution.spec.args).toEqual(['${{ task.index }}']);
  });

  it('merges env, replaces args, sets count and timeout', () => {
    const { spec } = plan({ env: { A: '2', B: '' }, args: [], taskCount: 100, timeoutMs: 1000 });
    expect(spec).toMatchObject({
      env: { A: '2', B: '', PATH: '/bin' },
      args: [],
      taskCount: 100,
      timeoutMs: 1000,
    });
  });

  it('takes the values of a caller as they are, never as templates', () => {
    const { spec } = plan({ env: { B: '${{ task.index }}' }, args: ['$${{ x }}'] });
    expect(spec.env['B']).toBe('$${{ task.index }}');
    expect(spec.args).toEqual(['$$${{ x }}']);
    expect(literal('a $ {{ b')).toBe('a $ {{ b');
  });

  it.each<[Overrides, string]>([
    [{ env: { NODE_OPTIONS: '' } }, 'env.NODE_OPTIONS'],
    [{ env: { 'A=B': '' } }, 'env.A=B'],
    [{ env: { B: '\0' } }, 'env.B'],
    [{ env: { B: 'é'.repeat(16_385) } }, 'env.B'],
    [{ args: ['ok', '\0'] }, 'args[1]'],
    [{ taskCount: 0 }, 'taskCount'],
    [{ taskCount: 101 }, 'taskCount'],
    [{ taskCount: 1.5 }, 'taskCount'],
    [{ timeoutMs: 999 }, 'timeout'],
    [{ timeoutMs: Number.NaN }, 'timeout'],
    [{ timeoutMs: 1500.5 }, 'timeout'],
    [{ timeoutMs: 7 * 86_400_000 + 1 }, 'timeout'],
  ])('refuses %j and says where', (overrides, path) => {
    try {
      plan(overrides);
      expect.unreachable();
    } catch (error) {
      expect(isTappetError(error, 'INVALID_ARGUMENT') && error.fields.path).toBe(path);
    }
  });
});

describe('allowedImages', () => {
  const planned = (allowedImages: readonly string[]) => {
    const definition = job('report', { image: 'r.example/team/x:1' });
    return planExecution({
      job: definition,
      generation: 1,
      cause,
      ids: new SeededIds(),
      limits: { ...limits, allowedImages },
    });
  };

  it('lets an image run that a pattern names', () => {
    expect(planned(['r.example/team/*']).spec.image).toBe('r.example/team/x:1');
  });

  it('refuses every other, and says which setting does', () => {
    const refused = (() => {
      try {
        return planned(['r.example/other/*']);
      } catch (error) {
        return error;
      }
    })();
    expect(refused).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(
        /^image of job "report": "r\.example\/team\/x:1" is not.*server\.allowedImages/,
      ) as unknown,
      fields: { path: 'jobs.report.image' },
    });
  });
});
