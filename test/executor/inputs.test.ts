import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import type { JobSpec } from '../../src/core/job.ts';
import { accessDenied, storeAway } from '../support/staging-fakes.ts';
import { Rig } from '../support/executor-rig.ts';
import { settle } from '../support/manual-clock.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
  rig.runner.script = () => ({ exitAt: 1000 });
});
afterEach(() => rig.close());

const FILE = { path: '/inbox/a.csv', ino: '7', size: 3, mtime: '2026-01-01T00:00:00.000000000Z' };
const pinned = (etag: string): JobSpec['inputs'] => [
  {
    from: 'event.object',
    to: '/in/video',
    object: { connection: 'store', bucket: 'b', key: 'a b+%.mp4', etag },
  },
];
const reasons = async (name: string) => (await rig.store.listAttempts(name, 0)).map(({ reason }) => reason);

describe('inputs', () => {
  it('are all in the container when it starts', async () => {
    const etag = rig.objects.store.seed('b/a b+%.mp4', 'film');
    rig.objects.store.seed('b/parts/0', 'zero');
    rig.localFiles.files.set(FILE.path, 'a,b');
    rig.bodies.files.set('e-1', 'body');
    rig.secrets.values.set('key', 's3cret');
    await rig.started();
    const name = await rig.create({
      inputs: [
        ...(pinned(etag) ?? []),
        { from: 's3://store/b/parts/${{ task.index }}', to: '/in/part', mode: 0o755 },
        { from: 'event.file', to: '/in/a.csv', file: FILE },
        { from: { secret: 'key' }, to: '/run/secrets/key' },
        { from: 'event.body', to: '/in/body', body: { event: 'e-1', size: 4 } },
      ],
    });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    const got = rig.runner.received.get(rig.container(name)) ?? [];
    expect(got.map(({ to, mode, content }) => [to, mode, content.toString()])).toEqual([
      ['/in/video', 0o644, 'film'],
      ['/in/part', 0o755, 'zero'],
      ['/in/a.csv', 0o644, 'a,b'],
      ['/run/secrets/key', 0o444, 's3cret'],
      ['/in/body', 0o644, 'body'],
    ]);
    expect(await rig.attempt(name)).toMatchObject({
      rendered: { inputs: [null, 's3://store/b/parts/0', null, null, null] },
    });
  });

  it('do not count against the timeout, and keep no other task from starting', async () => {
    rig.objects.store.seed('b/x', 'content');
    const release = rig.objects.store.hold('body');
    await rig.started({}, { maxRunningTasks: 30 });
    const slow = await rig.create({
      inputs: [{ from: 's3://store/b/x', to: '/x' }],
      timeoutMs: 2000,
      taskCount: 12,
      parallelism: 0,
    });
    await rig.clock.advance(60_000);
    expect(rig.objects.store.gets).toHaveLength(8);
    const quick = await rig.create();
    expect(await rig.ended(quick)).toMatchObject({ state: 'SUCCEEDED' });
    release();
    expect(await rig.ended(slow)).toMatchObject({ state: 'SUCCEEDED', counters: { succeeded: 12 } });
  });

  it('end with a cancel at once, also those that wait for their turn', async () => {
    rig.objects.store.seed('b/x', 'content');
    rig.objects.store.hold('body');
    const executor = await rig.started();
    const spec = {
      inputs: [{ from: 's3://store/b/x', to: '/x' }],
      taskCount: 10,
      parallelism: 0,
    };
    const name = await rig.create(spec);
    await rig.until(() => rig.objects.store.gets.length === 8);
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    await settle(30);
    expect(await rig.store.getExecution(name)).toMatchObject({
      state: 'CANCELLED',
      counters: { cancelled: 10 },
    });
    expect(rig.runner.starts.size).toBe(0);
    expect(rig.runner.names()).toEqual([]);
    expect(await rig.attempt(name, 9)).toMatchObject({ message: 'Cancelled before it started.' });
  });

  it('end with the session, and the next one puts them anew', async () => {
    rig.objects.store.seed('b/x', 'content');
    const release = rig.objects.store.hold('body');
    const first = await rig.started();
    const name = await rig.create({ inputs: [{ from: 's3://store/b/x', to: '/x' }] });
    await rig.until(() => rig.objects.store.gets.length === 1);
    await first.stop();
    release();
    await rig.started();
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(rig.objects.store.gets).toHaveLength(2);
    expect(await reasons(name)).toEqual(['EXITED_ZERO']);
  });

  it.each<[string, JobSpec['inputs'], string, RegExp]>([
    [
      'a missing object',
      [{ from: 's3://store/b/none', to: '/x' }],
      'INPUT_UNAVAILABLE',
      /no object s3:\/\/store\/b\/none/,
    ],
    ['another content', pinned('other'), 'INPUT_UNAVAILABLE', /a b\+%\.mp4 is gone, or not any more/],
    [
      'a lost connection',
      [{ from: 's3://gone/b/k', to: '/x' }],
      'INPUT_UNAVAILABLE',
      /no connection "gone" any more/,
    ],
    [
      'a changed file',
      [{ from: 'event.file', to: '/x', file: FILE }],
      'INPUT_UNAVAILABLE',
      /a\.csv has changed/,
    ],
    [
      'a file that is gone',
      [{ from: 'event.file', to: '/x', file: { ...FILE, path: '/no' } }],
      'INPUT_UNAVAILABLE',
      /\/no is gone/,
    ],
    [
      'a body that is gone',
      [{ from: 'event.body', to: '/x', body: { event: 'e-0', size: 4 } }],
      'INPUT_UNAVAILABLE',
      /the body of event e-0 is gone: it is kept as long as the event/,
    ],
    [
      'a body that was cut',
      [{ from: 'event.body', to: '/x', body: { event: 'e-1', size: 4 } }],
      'INPUT_UNAVAILABLE',
      /the body of event e-1 is not as large any more/,
    ],
    ['a missing secret', [{ from: { secret: 'none' }, to: '/x' }], 'SECRET_UNREADABLE', /none is not set/],
    ['a key that leads out', [{ from: 's3://store/b/../c/k', to: '/x' }], 'RENDER_FAILED', /"\.\."/],
  ])('fail the task at once, its retries untouched: %s', async (_, inputs, reason, message) => {
    rig.objects.store.seed('b/a b+%.mp4', 'film');
    rig.localFiles.files.set(FILE.path, null);
    rig.bodies.files.set('e-1', null);
    await rig.started();
    const name = await rig.create({ inputs: inputs ?? [] });
    expect(await rig.ended(name)).toMatchObject({
      state: 'FAILED',
      message: expect.stringMatching(message) as unknown,
    });
    expect(await reasons(name)).toEqual([reason]);
    expect(rig.runner.names()).toEqual([]);
  });

  it('fail the task at once where the store refuses', async () => {
    rig.objects.store.fail('get', accessDenied());
    await rig.started();
    const name = await rig.create({ inputs: [{ from: 's3://store/b/x', to: '/x' }] });
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED' });
    expect(await reasons(name)).toEqual(['INPUT_UNAVAILABLE']);
  });

  it('wait for a store that is away in new attempts, without using up retries, and not for ever', async () => {
    rig.objects.store.seed('b/x', 'content');
    rig.objects.store.fail('get', storeAway(), 2);
    await rig.started();
    const spec = { inputs: [{ from: 's3://store/b/x', to: '/x' }], maxRetries: 0 };
    const name = await rig.create(spec);
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await reasons(name)).toEqual(['INPUT_FAILED', 'INPUT_FAILED', 'EXITED_ZERO']);
    rig.objects.store.fail('get', storeAway(), 100);
    const never = await rig.create(spec);
    expect(await rig.ended(never)).toMatchObject({
      state: 'FAILED',
      message: 'Task 0 failed: the object store of connection "store" does not answer.',
    });
    expect(await reasons(never)).toHaveLength(8);
  });

  it('wait for one that fell silent too, whoever notices it', async () => {
    rig.objects.store.seed('b/x', 'content');
    const silent = new TappetError('OBJECT_STORE_UNAVAILABLE', 'Nothing came of the file for /x for 90 s.');
    rig.runner.fail('ensure', silent);
    await rig.started();
    const name = await rig.create({ inputs: [{ from: 's3://store/b/x', to: '/x' }], maxRetries: 0 });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await reasons(name)).toEqual(['INPUT_FAILED', 'EXITED_ZERO']);
  });

  it('let go of what was opened and nobody reads any more', async () => {
    rig.objects.store.seed('b/x', 'content');
    const opened: (AbortSignal | undefined)[] = [];
    const get = rig.objects.store.get.bind(rig.objects.store);
    rig.objects.store.get = (object, signal) => {
      opened.push(signal);
      return get(object, signal);
    };
    rig.runner.ensure = async (_spec, _log, options) => {
      await options?.files?.()[Symbol.asyncIterator]().next();
      throw new TappetError('CONTAINER_START_FAILED', 'There is no place for it.');
    };
    await rig.started();
    const name = await rig.create({ inputs: [{ from: 's3://store/b/x', to: '/x' }] });
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED' });
    expect(opened.map((signal) => signal?.aborted)).toEqual([true]);
  });

  it('leave the tries of other failures alone', async () => {
    rig.objects.store.seed('b/x', 'content');
    rig.objects.store.fail('get', storeAway(), 4);
    rig.runner.script = ({ key }) => ({ exitAt: key.attempt === 4 ? 1e9 : 10 });
    await rig.started();
    const name = await rig.create({ inputs: [{ from: 's3://store/b/x', to: '/x' }], maxRetries: 0 });
    await rig.until(() => rig.runner.starts.size === 1);
    await rig.running(name);
    rig.runner.vanish(rig.container(name, 0, 4));
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    const four = Array<string>(4).fill('INPUT_FAILED');
    expect(await reasons(name)).toEqual([...four, 'CONTAINER_LOST', 'EXITED_ZERO']);
  });

  it('say what the machine says of a file', async () => {
    rig.localFiles.files.set(FILE.path, new Error('EACCES: permission denied, /inbox/a.csv'));
    await rig.started();
    const name = await rig.create({ inputs: [{ from: 'event.file', to: '/x', file: FILE }] });
    expect(await rig.ended(name)).toMatchObject({ message: expect.stringContaining('EACCES') as unknown });
  });
});

describe('a secret as a variable', () => {
  it('is read at each start and reaches nothing but the container', async () => {
    rig.secrets.values.set('db', 'first-value');
    rig.runner.script = (spec) => ({ exitAt: 10, exit: { exitCode: spec.key.attempt === 0 ? 1 : 0 } });
    await rig.started();
    const name = await rig.create({ env: { A: '${{ task.index }}', DB: { secret: 'db' } } });
    await rig.until(() => rig.runner.starts.size === 1, 1);
    expect(rig.runner.specOf(rig.container(name)).env).toMatchObject({ A: '0', DB: 'first-value' });
    rig.secrets.values.set('db', 'second-value');
    await rig.until(() => rig.runner.starts.size === 2, 1);
    expect(rig.runner.specOf(rig.container(name, 0, 1)).env).toMatchObject({ DB: 'second-value' });
    await rig.ended(name);
    const rows = JSON.stringify([await rig.store.getExecution(name), await rig.store.listAttempts(name, 0)]);
    expect(rows + rig.logLines.join('\n')).not.toMatch(/first-value|second-value/);
  });

  it.each<[string, string | undefined, string, RegExp]>([
    ['missing', undefined, 'SECRET_UNREADABLE', /db is not set/],
    ['holding a NUL', 'hid\0den', 'RENDER_FAILED', /the secret for env\.DB holds a NUL/],
    ['too long', 'hidden'.repeat(9000), 'RENDER_FAILED', /the secret for env\.DB is 54,000 bytes/],
  ])('fails the task where it is %s, without a word of it', async (_, value, reason, message) => {
    if (value !== undefined) rig.secrets.values.set('db', value);
    await rig.started();
    const name = await rig.create({ env: { DB: { secret: 'db' } } });
    const ended = await rig.ended(name);
    expect(ended.message).toMatch(message);
    expect(ended.message).not.toContain('hid');
    expect(await reasons(name)).toEqual([reason]);
  });
});

it('waits for its turn no longer than somebody wants it, without inputs too', async () => {
  const release = rig.runner.hold('ensure');
  const executor = await rig.started();
  const name = await rig.create({ taskCount: 9, parallelism: 0 });
  await rig.until(() => rig.runner.countOf('ensure') > 0);
  await rig.store.cancelExecution(name, 'test');
  executor.wakeStops();
  await settle(30);
  const begun = rig.runner.countOf('ensure');
  expect(begun).toBeLessThan(9);
  expect(await rig.store.getExecution(name)).toMatchObject({ counters: { cancelled: 9 - begun } });
  release();
  expect(await rig.ended(name)).toMatchObject({ state: 'CANCELLED', counters: { cancelled: 9 } });
  expect(rig.logLines.filter((line) => line.startsWith('error'))).toEqual([]);
});

it('gives up an engine that goes away while inputs are put, and puts all of them again', async () => {
  rig.objects.store.seed('b/x', 'content');
  const release = rig.objects.store.hold('body');
  await rig.started();
  const name = await rig.create({ inputs: [{ from: 's3://store/b/x', to: '/x' }], maxRetries: 0 });
  await rig.until(() => rig.objects.store.gets.length === 1);
  rig.runner.goDown();
  release();
  await rig.clock.advance(30_000);
  expect(rig.runner.starts.size).toBe(0);
  rig.runner.goUp();
  expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
  expect(rig.objects.store.gets).toHaveLength(2);
  expect(await reasons(name)).toEqual(['EXITED_ZERO']);
});
