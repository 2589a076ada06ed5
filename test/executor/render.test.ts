import { describe, expect, it } from 'vitest';
import { JOB_DEFAULTS } from '../../src/core/job.ts';
import type { JobSpec } from '../../src/core/job.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { renderSpec } from '../../src/executor/render.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { literal } from '../../src/routing/literal.ts';

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

  it.each([
    '${{ task.index }}',
    '$${{ x }}',
    '$$${{',
    '$${{{{' + 'a'.repeat(5000),
    'a'.repeat(30_000) + '${{',
    '${{'.repeat(9000),
  ])('gives text from outside as it was, whatever it looks like (%#)', (text) => {
    expect(render({ env: { A: literal(text) } })).toEqual({
      ok: true,
      rendered: { env: { A: text }, args: null },
      namesTask: false,
    });
  });

  it.each<[string, Partial<JobSpec>, string, RegExp]>([
    [
      'a long value',
      { env: { X: '${{ event.x }}-${{ task.index }}' } },
      'a'.repeat(60_000),
      /env\.X is 60,002 bytes/,
    ],
    [
      'a NUL in a value',
      { env: { X: '${{ event.x }}-${{ task.index }}' } },
      'a\0PATH=/evil',
      /env\.X holds a NUL/,
    ],
    ['a NUL in an argument', { args: ['ok', '${{ event.x }}'] }, '\0', /args\[1\] holds a NUL/],
    [
      'too many arguments',
      { args: Array.from({ length: 40 }, () => '${{ event.x }}') },
      'a'.repeat(30_000),
      /the arguments take 1,200,360 bytes, more than 1,048,576/,
    ],
    [
      'too many together with the command',
      {
        command: Array.from({ length: 10 }, () => 'x'.repeat(90_000)),
        args: Array.from({ length: 4 }, () => '${{ event.x }}'),
      },
      'a'.repeat(50_000),
      /the arguments take 1,100,126 bytes, more than 1,048,576/,
    ],
    ['a long argument', { args: ['a'.repeat(98_305)] }, '', /args\[0\] is more than 98,304 bytes/],
    [
      'a long environment',
      { env: { A: '${{ event.x }}', B: '${{ event.x }}', C: '${{ event.x }}', D: '${{ event.x }}' } },
      'a'.repeat(30_000),
      /the environment is .* bytes long/,
    ],
  ])('refuses %s', (_, spec, x, message) => {
    expect(render(spec, { event: { x } })).toEqual({
      ok: false,
      message: expect.stringMatching(message) as unknown,
    });
  });

  it.each(['${{ event.none }}', '${{ task.', '${{ 1 / 0 }}'])('names the place where %s fails', (text) => {
    expect(render({ args: ['ok', text] }, { event: {} })).toMatchObject({
      ok: false,
      message: expect.stringMatching(/^The task could not be prepared: .*args\[1\]/) as unknown,
    });
  });
});
