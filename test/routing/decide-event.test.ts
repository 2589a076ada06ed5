import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { textsOf } from '../../src/core/env.ts';
import type { StoredEvent } from '../../src/core/event.ts';
import type { NewDecision } from '../../src/core/store.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { considered, decideFor } from '../../src/routing/decide-event.ts';
import type { RoutedJob } from '../../src/routing/decide-event.ts';
import { byName, cloudEvent, job, storedEvent, trigger } from '../support/definitions.ts';
import type { TriggerText } from '../support/definitions.ts';
import { SeededIds } from '../support/seeded-ids.ts';

const limits = { maxTasks: 100, maxParallelism: 10 };

function decide(text: TriggerText, event: StoredEvent, ...jobs: RoutedJob[]): NewDecision {
  const all = jobs.length === 0 ? [job()] : jobs;
  return decideFor(trigger(text), event, { jobs: byName(...all), ids: new SeededIds(), limits });
}
const data = (value: StoredEvent['event']['data']) => storedEvent(value === undefined ? {} : { data: value });

/** What the executor does with one frozen text. */
function renderFrozen(text: string, context: Record<string, unknown>, index: number, count: number): string {
  if (!text.includes('${{')) return text;
  const roots = [...Object.keys(context), 'task'] as ('event' | 'task')[];
  const scope = { ...context, task: { index, count, attempt: 0 } };
  const result = createExpressions().template(text, roots).render(scope);
  if (!result.ok) throw new Error(result.error);
  return result.value;
}

describe('what matches', () => {
  it('starts the job where there is no filter', () => {
    const decision = decide({}, data({}));
    expect(decision).toMatchObject({ trigger: 'call', outcome: 'matched', reason: 'no filter' });
    expect(decision.execution).toMatchObject({
      job: 'report',
      jobGeneration: 1,
      cause: { kind: 'event', event: 'event-1', trigger: 'call' },
      labels: { team: 'a' },
      context: {},
      spec: job().spec,
    });
    expect(decision.execution?.name).toMatch(/^report-[0-9a-z]{10}$/);
  });

  it('names the filter that was true', () => {
    expect(decide({ when: 'event.data.size > 3' }, data({ size: 4 })).reason).toBe(
      '`event.data.size > 3` is true',
    );
  });

  it('reads claims, extensions and the trigger', () => {
    const when =
      "claims.email == 'a@b' && event.shard == 'x' && trigger.name == 'call' && trigger.labels.env == 'test'";
    const event = storedEvent({ claims: { email: 'a@b' } });
    const extended = { ...event, event: { ...event.event, extensions: { shard: 'x' } } };
    expect(decide({ when }, extended).outcome).toBe('matched');
  });
});

describe('what does not', () => {
  it('says which clause was false and what it read', () => {
    const decision = decide({ when: "event.type == 'test.made' && event.data.size > 10" }, data({ size: 4 }));
    expect(decision).toEqual({
      trigger: 'call',
      outcome: 'filtered',
      reason: '`event.data.size > 10` is false',
      clause: 'event.data.size > 10',
      values: { 'event.data.size': 4 },
    });
  });

  it('fails, and is not filtered, where the filter cannot be evaluated', () => {
    const decision = decide({ when: 'event.data.size > 10' }, data({}));
    expect(decision).toMatchObject({ outcome: 'failed', clause: 'event.data.size > 10' });
    expect(decision.reason).toContain('when: ');
    expect(decide({ when: "claims.email == 'a'" }, data({})).outcome).toBe('failed');
  });

  it("takes the source's own verdict before anything else", () => {
    const verdict = { outcome: 'late', reason: 'two hours too late' } as const;
    expect(decide({ when: 'false' }, storedEvent({ verdict }))).toEqual({ trigger: 'call', ...verdict });
  });

  it.each<[string, TriggerText, unknown, RegExp]>([
    ['an unknown job', { job: 'gone' }, {}, /run\.job: there is no job "gone"/],
    ['an env template', { env: { A: '${{ event.data.missing }}' } }, {}, /^run\.env\.A: /],
    ['an argument', { args: ['-i', '${{ event.data.missing }}'] }, {}, /^run\.args\[1\]: /],
    [
      'a template that names task',
      { args: ['${{ event.data.missing[task.index] }}'] },
      {},
      /^run\.args\[0\]: /,
    ],
    ['a refused name', { env: { LD_PRELOAD: 'x' } }, {}, /^run\.env\.LD_PRELOAD: .*may not be set/],
    ['a value with NUL', { env: { A: '${{ event.data.v }}' } }, { v: 'a\0b' }, /^run\.env\.A: .*NUL/],
    [
      'a value too long',
      { env: { A: '${{ event.data.v }}' } },
      { v: 'x'.repeat(32_769) },
      /^run\.env\.A: .*32,769 bytes/,
    ],
    [
      'a value with NUL that names task',
      { env: { A: '${{ event.data.v }}-${{ task.index }}' } },
      { v: 'a\0PATH=/evil' },
      /^run\.env\.A: .*NUL/,
    ],
    [
      'a value too long that names task',
      { args: ['${{ event.data.v }}-${{ task.index }}'] },
      { v: 'x'.repeat(60_000) },
      /^run\.args\[0\]: .*60,002 bytes/,
    ],
    [
      'all values together too long',
      { env: Object.fromEntries(['A', 'B', 'C', 'D'].map((name) => [name, '${{ event.data.v }}'])) },
      { v: 'x'.repeat(30_000) },
      /^run\.env: the environment is 120,012 bytes/,
    ],
    [
      'all arguments together too long',
      { args: Array.from({ length: 40 }, () => '${{ event.data.v }}') },
      { v: 'x'.repeat(30_000) },
      /^run\.args: the arguments take 1,200,360 bytes/,
    ],
    [
      'all arguments together too long, as each task has them',
      { args: Array.from({ length: 40 }, () => '${{ task.index }}${{ event.data.v }}') },
      { v: 'x'.repeat(30_000) },
      /^run\.args: the arguments take 1,200,400 bytes/,
    ],
    [
      'a task count that is no number',
      { taskCount: '${{ event.data.v }}' },
      { v: 'many' },
      /^run\.taskCount: .*"many"/,
    ],
    [
      'a broken task count',
      { taskCount: '${{ event.data.v }}' },
      { v: 1.5 },
      /^run\.taskCount: .*whole number/,
    ],
    ['no task', { taskCount: '${{ event.data.v }}' }, { v: 0 }, /^run\.taskCount: .*from 1 to 100/],
    [
      'too many tasks',
      { taskCount: '${{ event.data.v }}' },
      { v: 101 },
      /^run\.taskCount: .*limits\.maxTasks/,
    ],
    ['a timeout without a unit', { timeout: '${{ event.data.v }}' }, { v: '90' }, /^run\.timeout: .*no unit/],
    ['a timeout too short', { timeout: '10ms' }, {}, /^run\.timeout: .*from 1s to 7d/],
    ['a timeout too long', { timeout: '8d' }, {}, /^run\.timeout: .*from 1s to 7d/],
  ])('fails with the place for %s', (_, text, value, reason) => {
    const decision = decide(text, data(value as { v: string }));
    expect(decision.outcome).toBe('failed');
    expect(decision.reason).toMatch(reason);
    expect(decision.execution).toBeUndefined();
  });
});

describe('what is frozen', () => {
  it('renders everything that does not name task', () => {
    const text = {
      env: { A: '${{ event.data.n }}x' },
      args: ['${{ event.id }}', 'b'],
      taskCount: '${{ event.data.n }}',
      timeout: '90s',
    };
    const spec = decide(text, data({ n: 7 }), job('report', { env: { A: '1', B: '2' } })).execution?.spec;
    expect(spec).toMatchObject({
      env: { A: '7x', B: '2' },
      args: ['e-1', 'b'],
      taskCount: 7,
      timeoutMs: 90_000,
    });
  });

  it('sets no other name of the environment than the mapping declares', () => {
    const sent = { n: 7, env: { EVIL: '1' }, PATH: '/evil', B: 'evil' };
    const text = { env: { A: '${{ event.data.n }}' } };
    const spec = decide(text, data(sent), job('report', { env: { B: '2' } })).execution?.spec;
    expect(spec?.env).toEqual({ A: '7', B: '2' });
    expect(decide({}, data(sent), job('report', { env: { B: '2' } })).execution?.spec.env).toEqual({
      B: '2',
    });
  });

  it('takes a written number for a task count', () => {
    expect(decide({ taskCount: '12' }, data({})).execution?.spec.taskCount).toBe(12);
  });

  it('keeps what names task, with only the roots that it reads', () => {
    const text = {
      env: { PART: '${{ event.data.parts[task.index] }}', T: '${{ trigger.name }}' },
      taskCount: '2',
    };
    const execution = decide(text, data({ parts: ['a', 'b'] })).execution;
    expect(execution?.spec.env).toEqual({ PART: '${{ event.data.parts[task.index] }}', T: 'call' });
    expect(Object.keys(execution?.context ?? {})).toEqual(['event']);
    expect(
      renderFrozen(textsOf(execution?.spec.env ?? {})['PART'] ?? '', execution?.context ?? {}, 1, 2),
    ).toBe('b');
  });

  it('tries index 0 with the count that the execution will have', () => {
    const args = ['${{ task.index < task.count ? string(task.count) : event.data.missing }}'];
    expect(decide({ args }, data({}), job('report', { taskCount: 3 })).outcome).toBe('matched');
    expect(decide({ args: ['${{ [1, 2][task.count] }}'], taskCount: '1' }, data({})).outcome).toBe('matched');
    expect(decide({ args: ['${{ [1, 2][task.count] }}'], taskCount: '2' }, data({})).outcome).toBe('failed');
  });

  it('never lets a sender hand in an expression', () => {
    const text = {
      env: { A: '${{ event.data.v }}', B: '${{ event.data.v }}-${{ task.index }}' },
      args: ['${{ event.data.v }}'],
    };
    const pieces = fc.array(
      fc.constantFrom('$', '{', '}', '${{', '}}', '$${{', ' task.index ', 'event.id', 'x'),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(
        pieces.map((list) => list.join('')),
        (v) => {
          const execution = decide(text, data({ v })).execution;
          const env = textsOf(execution?.spec.env ?? {});
          const { args = [] } = execution?.spec ?? {};
          const context = execution?.context ?? {};
          expect(renderFrozen(env['A'] ?? '', context, 5, 9)).toBe(v);
          expect(renderFrozen(args[0] ?? '', context, 5, 9)).toBe(v);
          expect(renderFrozen(env['B'] ?? '', context, 5, 9)).toBe(`${v}-5`);
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('who is considered', () => {
  const triggers = byName(
    trigger({ name: 'a', origin: 'connection/s' }),
    trigger({ name: 'b', origin: 'connection/s' }),
    trigger({ name: 'c' }),
  );
  it.each([
    [storedEvent({ trigger: null, origin: 'connection/s' }), ['a', 'b']],
    [storedEvent({ trigger: 'c', origin: 'api/admin' }), ['c']],
    [storedEvent({ trigger: 'gone', origin: 'connection/s' }), []],
    [storedEvent({ trigger: null, origin: 'api/admin' }), []],
  ])('the named trigger, else all that listen to the origin (%#)', (event, names) => {
    expect(considered(event, triggers).map((one) => one.name)).toEqual(names);
  });

  it('of those that listen, only the ones that the event concerns; who is named is not asked', () => {
    const picky = {
      ...trigger({ name: 'd', origin: 'connection/s' }),
      concerns: ({ id }: { id: string }) => id === 'mine',
    };
    const all = byName(...triggers.values(), picky);
    const names = (over: Partial<StoredEvent>) => considered(storedEvent(over), all).map(({ name }) => name);
    const origin = { trigger: null, origin: 'connection/s' };
    expect(names({ ...origin, event: cloudEvent({ id: 'mine' }) })).toEqual(['a', 'b', 'd']);
    expect(names({ ...origin, event: cloudEvent({ id: 'other' }) })).toEqual(['a', 'b']);
    expect(names({ trigger: 'd', event: cloudEvent({ id: 'other' }) })).toEqual(['d']);
  });
});
