import { describe, expect, it } from 'vitest';
import type { JobSpec } from '../../src/core/job.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { DoomedPorts, Rig } from '../support/executor-rig.ts';

/**
 * The executor's process ends before or after the n-th call of each port, and another takes over on the same
 * store, engine, logs and object store. Whatever the place: every task ends once, with its true exit and its whole
 * output, each container has all its inputs when it starts, what a success left is stored, no container is started
 * twice and none stays behind.
 */
const METHODS: readonly (readonly [method: string, counts: readonly number[]])[] = [
  ['store.acquireEngine', [1]],
  ['store.openAttempts', [1]],
  ['store.claimAttempts', [1, 2, 3]],
  ['store.attemptRendered', [1, 2]],
  ['store.attemptStarted', [1, 2, 3]],
  ['store.requestStop', [1]],
  ['store.stopRequests', [1, 2]],
  ['store.finishAttempt', [1, 2, 3]],
  ['store.renewEngine', [1]],
  ['runner.capabilities', [1]],
  ['runner.list', [1, 2]],
  ['runner.prepare', [1, 2]],
  ['runner.ensure', [1, 2, 3]],
  ['runner.inspect', [1, 2, 3]],
  ['runner.stop', [1]],
  ['runner.remove', [1, 2, 3]],
  ['logs.open', [1, 2]],
  ['writer.write', [1, 2, 5]],
  ['writer.close', [1, 2]],
  ['secrets.resolve', [1, 2, 3]],
  ['objects.get', [1, 2, 3]],
  ['runner.outputs', [1, 2, 3]],
  ['objects.put', [1, 2, 3, 4]],
];
const PLACES = METHODS.flatMap(([method, counts]) =>
  counts.flatMap((count) => [`${method}:before:${count}`, `${method}:after:${count}`]),
);

const STAGING: Pick<JobSpec, 'inputs' | 'outputs'> = {
  inputs: [
    { from: 's3://store/in/${{ task.index }}.txt', to: '/in/text' },
    { from: { secret: 'key' }, to: '/run/secrets/key' },
  ],
  outputs: [
    { from: '/out/list', to: 's3://store/out/${{ task.index }}.${{ task.attempt }}/' },
    { from: '/out/parts/', to: 's3://store/out/${{ task.index }}.${{ task.attempt }}/parts/' },
  ],
};
const leavesOf = (id: string): Record<string, string> => ({
  '/out/list': `list of ${id}`,
  '/out/parts/1': `part of ${id}`,
  '/out/parts/sub/2': `other part of ${id}`,
});

const LINES = ['one\n', 'two\n', 'unterminated'];

describe('the end of the process', () => {
  const row = chaosRow('executor-crashes', PLACES.length);
  const places = row.pick(PLACES);
  const hit: string[] = [];

  it.each(places)('%s', async (place) => {
    row.begin();
    const rig = await new Rig().open();
    rig.runner.script = (spec) => {
      const output = LINES.map((text, i) => ({ at: i * 3000, text: `${spec.env['N']} ${text}` }));
      const index = spec.key.index;
      // Task 0 succeeds, task 1 fails and succeeds at its retry, task 2 runs into its timeout.
      const leaves = leavesOf(`${index}.${spec.key.attempt}`);
      if (index === 2) return { output, leaves, onTerm: { code: 143, afterMs: 1000 } };
      return {
        output,
        leaves,
        exitAt: 7000,
        exit: { exitCode: index === 1 && spec.key.attempt === 0 ? 5 : 0 },
      };
    };
    const doomed = new DoomedPorts(rig, place);
    for (const index of [0, 1, 2]) rig.objects.store.seed(`in/${index}.txt`, `input ${index}`);
    rig.secrets.values.set('key', 'hidden');
    const name = await rig.create({
      ...STAGING,
      env: { N: '${{ task.index }}.${{ task.attempt }}', KEY: { secret: 'key' } },
      taskCount: 3,
      parallelism: 2,
      maxRetries: 1,
      timeoutMs: 12_000,
    });
    await rig.mortal(doomed.ports).start();
    await rig.until(() => doomed.dead);
    hit.push(place);
    // Longer than the lease, and than a task takes: some end while nobody looks.
    if (PLACES.indexOf(place) % 2 === 0) await rig.clock.advance(20_000);

    const heir = rig.executor();
    await heir.start();
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED', counters: { succeeded: 2, failed: 1 } });
    const ends = await Promise.all([0, 1, 2].map((index) => rig.store.listAttempts(name, index)));
    expect(ends.map((attempts) => attempts.map(({ reason }) => reason))).toEqual([
      ['EXITED_ZERO'],
      ['NON_ZERO_EXIT_CODE', 'EXITED_ZERO'],
      ['TIMED_OUT', 'TIMED_OUT'],
    ]);
    for (const attempt of ends.flat()) {
      expect(rig.runner.starts.get(attempt.containerName), `${attempt.containerName} was started once`).toBe(
        1,
      );
      const text = LINES.map((line) => `${attempt.index}.${attempt.attempt} ${line}`).join('');
      expect(rig.logs.text(attempt)).toBe(text);
      expect(attempt.logBytes).toEqual({ stdout: text.length, stderr: 0 });
      const got = rig.runner.received.get(attempt.containerName) ?? [];
      expect(got.map(({ to, mode, content }) => [to, mode, content.toString()])).toEqual([
        ['/in/text', 0o644, `input ${attempt.index}`],
        ['/run/secrets/key', 0o444, 'hidden'],
      ]);
    }
    const stored = [...rig.objects.store.content].filter(([at]) => at.startsWith('out/'));
    expect(Object.fromEntries(stored.map(([at, content]) => [at, content.toString()]))).toEqual({
      'out/0.0/list': 'list of 0.0',
      'out/0.0/parts/1': 'part of 0.0',
      'out/0.0/parts/sub/2': 'other part of 0.0',
      'out/1.1/list': 'list of 1.1',
      'out/1.1/parts/1': 'part of 1.1',
      'out/1.1/parts/sub/2': 'other part of 1.1',
    });
    expect(rig.runner.maxRunning).toBeLessThanOrEqual(2);
    await rig.until(() => rig.runner.names().length === 0);
    await rig.close();
  });

  it('was at every place', () => expect(hit.sort()).toEqual([...places].sort()));
});
