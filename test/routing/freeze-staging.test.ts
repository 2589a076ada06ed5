import { describe, expect, it } from 'vitest';
import type { TriggerDefinition } from '../../src/core/config.ts';
import { isTappetError } from '../../src/core/errors.ts';
import type { StoredEvent } from '../../src/core/event.ts';
import type { JobSpec } from '../../src/core/job.ts';
import type { NewDecision } from '../../src/core/store.ts';
import { renderSpec } from '../../src/executor/render.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { decideFor } from '../../src/routing/decide-event.ts';
import type { RoutedJob } from '../../src/routing/decide-event.ts';
import { planExecution } from '../../src/routing/plan-execution.ts';
import { byName, job, storedEvent, trigger } from '../support/definitions.ts';
import { SeededIds } from '../support/seeded-ids.ts';

const limits = { maxTasks: 100, maxParallelism: 10 };
const STORAGE: TriggerDefinition['source'] = {
  kind: 'storage',
  connection: 'store',
  bucket: 'videos',
  prefix: 'in/',
  suffix: '.mp4',
  existing: 'skip',
};
const FILES: TriggerDefinition['source'] = {
  kind: 'files',
  path: '/inbox',
  glob: '*',
  existing: 'skip',
  settleMs: 0,
  pollMs: 0,
};

/** A job as `config` compiles it. */
function staged(spec: Pick<JobSpec, 'inputs' | 'outputs'> & { taskCount?: number }): RoutedJob {
  const texts = [...(spec.inputs ?? []).map(({ from }) => from), ...(spec.outputs ?? []).map(({ to }) => to)];
  const addresses = texts
    .filter((text) => typeof text === 'string')
    .filter((text) => text.includes('${{'))
    .map(
      (text) => [text, createExpressions().template(text, ['event', 'claims', 'trigger', 'task'])] as const,
    );
  return { ...job('report', spec), addresses: new Map(addresses) };
}
function decide(definition: RoutedJob, source: TriggerDefinition['source'], event: StoredEvent): NewDecision {
  const origin = source.kind === 'storage' ? 'connection/store' : 'trigger/call';
  return decideFor(trigger({ source, origin }), event, {
    jobs: byName(definition),
    ids: new SeededIds(),
    limits,
  });
}
const fromStore = (data: StoredEvent['event']['data'], origin = 'connection/store'): StoredEvent =>
  storedEvent({ origin, ...(data === undefined ? {} : { data }) });
const OBJECT = {
  bucket: 'videos',
  name: 'in/a b+%ü.mp4',
  generation: 'v-1',
  etag: 'e1',
  updated: '2026-01-01T00:00:00.123Z',
};
const FILE = {
  path: '/inbox/a.csv',
  name: 'a.csv',
  root: '/inbox',
  ino: '9007199254740993',
  size: 3,
  mtime: '2026-01-01T00:00:00.000000001Z',
};
const object = staged({ inputs: [{ from: 'event.object', to: '/in/video' }] });
const file = staged({ inputs: [{ from: 'event.file', to: '/in/x' }] });
const body = staged({ inputs: [{ from: 'event.body', to: '/in/film' }] });
const BODY = { size: 4, sha256: 'x', type: 'video/mp4' };
const KEEPING: TriggerDefinition['source'] = {
  kind: 'webhook',
  auth: { addresses: ['10.0.0.0/8'] },
  bodyFile: { maxBytes: 10 },
};

describe('what the event tells of', () => {
  it.each<[string, object, object]>([
    ['with its version', {}, { versionId: 'v-1' }],
    ['without versions', { generation: String(Date.parse(OBJECT.updated)) }, {}],
  ])('pins the object %s', (_, over, version) => {
    const { execution } = decide(object, STORAGE, fromStore({ ...OBJECT, ...over }));
    expect(execution?.spec.inputs).toEqual([
      {
        from: 'event.object',
        to: '/in/video',
        object: { connection: 'store', bucket: 'videos', key: 'in/a b+%ü.mp4', etag: 'e1', ...version },
      },
    ]);
    expect(execution?.context).toEqual({});
  });

  it('pins the file by path, inode, size and mtime', () => {
    const { execution } = decide(file, FILES, storedEvent({ data: FILE }));
    const { path, ino, size, mtime } = FILE;
    expect(execution?.spec.inputs).toEqual([
      { from: 'event.file', to: '/in/x', file: { path, ino, size, mtime } },
    ]);
  });

  it('pins the body by the event that it came with, whatever else the data say', () => {
    const event = storedEvent({ origin: 'trigger/call', data: { body: { ...BODY, event: 'another' } } });
    const { execution } = decide(body, KEEPING, event);
    expect(execution?.spec.inputs).toEqual([
      { from: 'event.body', to: '/in/film', body: { event: event.uid, size: 4 } },
    ]);
  });

  const webhook: TriggerDefinition['source'] = { kind: 'webhook', auth: 'none' };
  it.each<[string, RoutedJob, TriggerDefinition['source'], StoredEvent, RegExp]>([
    [
      'no storage event',
      object,
      webhook,
      storedEvent({ data: OBJECT }),
      /the event of a webhook trigger tells of no object/,
    ],
    [
      'no files event',
      file,
      webhook,
      storedEvent({ data: FILE }),
      /the event of a webhook trigger tells of no file/,
    ],
    ['no call', body, STORAGE, fromStore({ body: BODY }), /the event of a storage trigger came with no body/],
    [
      'a call whose body was read',
      body,
      webhook,
      storedEvent({ origin: 'trigger/call', data: { body: BODY } }),
      /the body of this event is no file: that takes "body: file"/,
    ],
    [
      'a call from before its trigger kept bodies',
      body,
      KEEPING,
      storedEvent({ origin: 'trigger/call', data: { body: 'text' } }),
      /the body of this event is no file/,
    ],
    [
      'fired by hand, with the data of a body',
      body,
      KEEPING,
      storedEvent({ origin: 'api/joe', data: { body: BODY } }),
      /fired by hand comes with no body: call the hook/,
    ],
    [
      'a removal',
      object,
      STORAGE,
      fromStore({ bucket: 'videos', name: 'in/a.mp4' }),
      /no bucket, name and etag/,
    ],
    [
      'fired by hand, another bucket',
      object,
      STORAGE,
      fromStore({ ...OBJECT, bucket: 'secret' }, 'api/joe'),
      /does not listen to s3:\/\/store\/secret/,
    ],
    [
      'fired by hand, another prefix',
      object,
      STORAGE,
      fromStore({ ...OBJECT, name: 'out/a.mp4' }, 'api/joe'),
      /does not listen/,
    ],
    [
      'fired by hand, another folder',
      file,
      FILES,
      storedEvent({ origin: 'api/joe', data: { ...FILE, path: '/etc/shadow' } }),
      /does not watch "\/etc\/shadow"/,
    ],
    [
      'fired by hand, out of the folder',
      file,
      FILES,
      storedEvent({ origin: 'api/joe', data: { ...FILE, path: '/inbox/../etc/shadow' } }),
      /does not watch/,
    ],
    [
      'a file without identity',
      file,
      FILES,
      storedEvent({ data: { path: '/inbox/a.csv' } }),
      /no path, ino, size and mtime/,
    ],
  ])('is a failed decision where it does not: %s', (_, definition, source, event, reason) => {
    const decision = decide(definition, source, event);
    expect(decision).toMatchObject({ outcome: 'failed', clause: definition.spec.inputs?.[0]?.from });
    expect(decision.reason).toMatch(/^jobs\.report\.inputs\[0\]\.from: /);
    expect(decision.reason).toMatch(reason);
  });

  it('may be fired by hand within what the trigger listens to', () => {
    expect(decide(object, STORAGE, fromStore(OBJECT, 'api/joe')).outcome).toBe('matched');
    expect(decide(file, FILES, storedEvent({ origin: 'api/joe', data: FILE })).outcome).toBe('matched');
  });
});

describe('addresses', () => {
  const addresses = (from: string, to: string, taskCount = 2) =>
    staged({ inputs: [{ from, to: '/in/x' }], outputs: [{ from: '/out/x', to }], taskCount });

  it('are rendered at the decision, and text from outside stays text', () => {
    const definition = addresses(
      's3://store/b/${{ event.data.v }}',
      's3://store/b/${{ trigger.name }}/$${{x',
    );
    for (const v of ['a/b', '${{ task.index }}', '$${{ x }}']) {
      const execution = decide(definition, STORAGE, fromStore({ v })).execution;
      if (execution === undefined) throw new Error('nothing was started');
      expect(execution.context).toEqual({});
      const key = { execution: execution.name, index: 1, attempt: 0 };
      expect(renderSpec(execution, key, createExpressions())).toMatchObject({
        namesTask: false,
        rendered: { inputs: [`s3://store/b/${v}`], outputs: ['s3://store/b/call/${{x'] },
      });
    }
  });

  it('that name task wait for the attempt, with the values that they read', () => {
    const text = 's3://store/b/${{ event.data.keys[task.index] }}';
    const execution = decide(
      addresses(text, 's3://store/o/x'),
      STORAGE,
      fromStore({ keys: ['a', 'b'] }),
    ).execution;
    if (execution === undefined) throw new Error('nothing was started');
    expect(execution.spec.inputs?.[0]?.from).toBe(text);
    expect(Object.keys(execution.context)).toEqual(['event']);
    const key = { execution: execution.name, index: 1, attempt: 0 };
    expect(renderSpec(execution, key, createExpressions())).toMatchObject({
      rendered: { inputs: ['s3://store/b/b'], outputs: ['s3://store/o/x'] },
      namesTask: true,
    });
  });

  it.each<[string, string, RegExp]>([
    ['s3://store/b/${{ event.data.none }}', 's3://store/o/x', /inputs\[0\]\.from/],
    ['s3://store/b/x', 's3://store/o/${{ event.data.none }}', /outputs\[0\]\.to/],
    ['s3://store/b/${{ event.data.list[task.index] }}', 's3://store/o/x', /inputs\[0\]\.from/],
    ['s3://store/b/${{ event.data.up }}', 's3://store/o/x', /the key has "\." or "\.\."/],
    ['s3://store/b/${{ event.data.long }}', 's3://store/o/x', /more than 1,024/],
    ['s3://store/${{ event.data.v }}/k', 's3://store/o/x', /connection and bucket in plain text/],
    ['s3://${{ event.data.v }}/b/k', 's3://store/o/x', /connection and bucket in plain text/],
  ])('that cannot be made are a failed decision: %s %s', (from, to, reason) => {
    const data = { v: 'x', up: '../other/x', long: 'é'.repeat(600), list: [] };
    const decision = decide(addresses(from, to), STORAGE, fromStore(data));
    expect(decision).toMatchObject({ outcome: 'failed', reason: expect.stringMatching(reason) as unknown });
  });
});

describe('a run without an event', () => {
  const plan = (definition: RoutedJob) =>
    planExecution({
      job: definition,
      generation: 1,
      cause: { kind: 'api', principal: 'joe' },
      ids: new SeededIds(),
      limits,
    });

  it.each([
    [object, 'jobs.report.inputs[0].from', /is event\.object, which a run without an event does not have/],
    [file, 'jobs.report.inputs[0].from', /is event\.file/],
    [
      staged({ outputs: [{ from: '/o', to: 's3://store/b/${{ event.id }}' }] }),
      'jobs.report.outputs[0].to',
      /reads `event`/,
    ],
  ])('refuses what needs one, with the place (%#)', (definition, path, message) => {
    try {
      plan(definition);
      expect.unreachable();
    } catch (error) {
      if (!isTappetError(error, 'INVALID_ARGUMENT')) throw error;
      expect(error.fields.path).toBe(path);
      expect(error.message).toMatch(message);
    }
  });

  it('takes what needs none', () => {
    const spec = {
      inputs: [
        { from: 's3://store/b/${{ task.index }}', to: '/x' },
        { from: { secret: 'k' }, to: '/k' },
      ],
    };
    expect(plan(staged(spec)).spec.inputs).toEqual(spec.inputs);
  });
});
