import { describe, expect, it } from 'vitest';
import { JOB_DEFAULTS } from '../../src/core/job.ts';
import type { JobSpec } from '../../src/core/job.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { renderSpec } from '../../src/executor/render.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { literal } from '../../src/routing/plan-execution.ts';

const KEY = { execution: 'e-0', index: 4, attempt: 2 };
const render = (spec: Partial<JobSpec>, context: JsonObject = {}) =>
  renderSpec(
    { spec: { image: 'i', binds: [], env: {}, ...JOB_DEFAULTS, taskCount: 7, ...spec }, context },
    KEY,
    createExpressions(),
  );

describe('rendering for an attempt', () => {
  it('leaves plain text alone and needs no storing', () => {
    expect(render({ env: { A: 'b $x {{ y }}' }, args: ['c'] })).toEqual({
      ok: true,
      rendered: { env: { A: 'b $x {{ y }}' }, args: ['c'] },
      namesTask: false,
    });
    expect(render({})).toMatchObject({ rendered: { args: null } });
  });

  it('gives the numbers of the task beside what the event froze', () => {
    const args = ['${{ event.list[task.index] }}', '${{ task.index }}/${{ task.count }}/${{ task.attempt }}'];
    const context = { event: { list: [0, 1, 2, 3, 'four'] } };
    expect(render({ args }, context)).toMatchObject({
      rendered: { args: ['four', '4/7/2'] },
      namesTask: true,
    });
  });

  it.each(['${{ task.index }}', '$${{ x }}', '$$${{', 'a'.repeat(30_000) + '${{', '${{'.repeat(9000)])(
    'gives text from outside as it was, whatever it looks like (%#)',
    (text) => {
      expect(render({ env: { A: literal(text) } })).toEqual({
        ok: true,
        rendered: { env: { A: text }, args: null },
        namesTask: false,
      });
    },
  );

  it.each(['${{ event.none }}', '${{ task.', '${{ 1 / 0 }}'])('names the place where %s fails', (text) => {
    expect(render({ args: ['ok', text] }, { event: {} })).toMatchObject({
      ok: false,
      message: expect.stringMatching(/^The task could not be prepared: .*args\[1\]/) as unknown,
    });
  });
});
