import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import { Rig } from '../support/executor-rig.ts';
import { settle } from '../support/manual-clock.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

describe('an attempt', () => {
  it('runs with the environment of Cloud Run, its output in the log, and leaves no container', async () => {
    rig.runner.script = () => ({
      output: [{ text: 'hello\n' }, { stream: 'stderr', text: 'oh\n' }],
      exitAt: 1000,
    });
    await rig.started();
    const name = await rig.create({ env: { A: 'b' }, args: ['x'], command: ['sh'], taskCount: 2, user: '7' });
    await rig.running(name);
    expect(rig.runner.specOf(rig.container(name))).toMatchObject({
      env: {
        A: 'b',
        CLOUD_RUN_JOB: 'work',
        CLOUD_RUN_EXECUTION: name,
        CLOUD_RUN_TASK_INDEX: '0',
        CLOUD_RUN_TASK_ATTEMPT: '0',
        CLOUD_RUN_TASK_COUNT: '2',
      },
      args: ['x'],
      command: ['sh'],
      user: '7',
      digest: 'sha256:busybox',
    });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    const attempt = await rig.attempt(name);
    expect(attempt).toMatchObject({
      state: 'SUCCEEDED',
      reason: 'EXITED_ZERO',
      exitCode: 0,
      logBytes: { stdout: 6, stderr: 3 },
      imageDigest: 'sha256:busybox',
      rendered: null,
    });
    expect((attempt.endTime ?? 0) - (attempt.startTime ?? 0)).toBe(1000);
    expect(rig.logs.text(attempt)).toBe('hello\n');
    expect(rig.logs.endOf(attempt)).toBe('closed');
    await rig.until(() => rig.runner.names().length === 0);
  });

  it('starts in the turn of its wake-up, without a poll', async () => {
    const executor = await rig.started();
    const name = await rig.create();
    executor.wake();
    await settle();
    expect(rig.runner.statusOf(rig.container(name)).state).toBe('running');
  });

  it('is retried at once when its code fails, with the next number, and then fails', async () => {
    rig.runner.script = () => ({ exitAt: 10, exit: { exitCode: 3 } });
    await rig.started();
    const name = await rig.create({ maxRetries: 2 });
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED' });
    const attempts = await rig.store.listAttempts(name, 0);
    expect(attempts.map(({ attempt, exitCode }) => [attempt, exitCode])).toEqual([
      [0, 3],
      [1, 3],
      [2, 3],
    ]);
  });

  it('keeps to the parallelism of the execution and the slots of the engine', async () => {
    rig.runner.script = () => ({ exitAt: 100 });
    await rig.started({}, { maxRunningTasks: 5 });
    const wide = await rig.create({ taskCount: 12, parallelism: 0 });
    await rig.ended(wide);
    expect(rig.runner.maxRunning).toBe(5);
    rig.runner.maxRunning = 0;
    await rig.ended(await rig.create({ taskCount: 6, parallelism: 2 }));
    expect(rig.runner.maxRunning).toBe(2);
  });

  it.each([
    [2, 8],
    [64, 32],
  ])('on %i cores of the engine it starts at most %i at a time', async (cpus, most) => {
    rig.runner.host = { ...rig.runner.host, cpus };
    const executor = await rig.started({}, { maxRunningTasks: 40 });
    const release = rig.runner.hold('ensure');
    await rig.create({ taskCount: 35, parallelism: 0, cpu: 0.1 });
    await rig.until(() => executor.status().runningTasks === 35 && rig.runner.countOf('ensure') >= most);
    expect(rig.runner.maxStarting).toBe(most);
    release();
    await rig.until(() => rig.runner.maxRunning === 35);
  });

  it('renders what names its task, and stores it before the start', async () => {
    await rig.started();
    const name = await rig.create(
      {
        env: {
          SHARD: '${{ task.index }}/${{ task.count }}',
          WHO: '${{ event.who }}-${{ task.attempt }}',
          LIT: '$${{ x }}',
        },
        args: ['--n=${{ task.index + 1 }}', 'plain'],
        taskCount: 3,
        parallelism: 0,
      },
      { event: { who: 'ann' } },
    );
    await rig.running(name, 2);
    const { env, args } = rig.runner.specOf(rig.container(name, 2));
    expect(env).toMatchObject({ SHARD: '2/3', WHO: 'ann-0', LIT: '${{ x }}' });
    expect(args).toEqual(['--n=3', 'plain']);
    expect((await rig.attempt(name, 2)).rendered).toMatchObject({
      env: { SHARD: '2/3' },
      args: ['--n=3', 'plain'],
    });
  });

  it('fails with the place when a template fails', async () => {
    await rig.started();
    const name = await rig.create({ env: { A: '${{ event.none }}' } }, { event: {} });
    await rig.ended(name);
    const attempt = await rig.attempt(name);
    expect(attempt).toMatchObject({ state: 'FAILED', reason: 'RENDER_FAILED' });
    expect(attempt.message).toMatch(/env\.A/);
    expect(rig.runner.countOf('ensure')).toBe(0);
  });

  it.each([
    ['IMAGE_NOT_FOUND', 'prepare', 'IMAGE_NOT_FOUND'],
    ['IMAGE_UNAUTHORIZED', 'prepare', 'IMAGE_UNAUTHORIZED'],
    ['CONTAINER_START_FAILED', 'ensure', 'CONTAINER_START_FAILED'],
    ['CONTAINER_CONFLICT', 'ensure', 'CONTAINER_START_FAILED'],
  ] as const)('says %s in the words of the engine and uses up no retry', async (code, method, reason) => {
    await rig.started();
    rig.runner.fail(method, new TappetError(code, 'The words of the engine.'));
    const name = await rig.create();
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED' });
    expect(await rig.store.listAttempts(name, 0)).toHaveLength(1);
    expect(await rig.attempt(name)).toMatchObject({
      state: 'FAILED',
      reason,
      message: 'The words of the engine.',
    });
    expect((await rig.store.getTask(name, 0))?.retries).toBe(0);
    expect(rig.runner.countOf('remove')).toBe(0);
  });

  it('prepares the image again where it was removed before the start', async () => {
    await rig.started();
    rig.runner.fail('ensure', new TappetError('IMAGE_NOT_FOUND', 'It is gone.'));
    const name = await rig.create();
    await rig.running(name);
    expect(rig.runner.countOf('prepare')).toBe(2);
  });

  it('is lost where somebody removed its container, and tried again after a pause', async () => {
    await rig.started();
    const name = await rig.create({ maxRetries: 0 });
    await rig.running(name);
    rig.runner.vanish(rig.container(name));
    await rig.until(async () => (await rig.attempt(name)).attempt === 1);
    expect((await rig.store.listAttempts(name, 0))[0]).toMatchObject({
      state: 'FAILED',
      reason: 'CONTAINER_LOST',
    });
    expect(await rig.store.getTask(name, 0)).toMatchObject({ retries: 0, infraFailures: 1 });
  });

  it('ends without any hint, found by the sweep', async () => {
    rig.runner.hinting = false;
    await rig.started();
    const name = await rig.create();
    await rig.running(name);
    rig.runner.cut(rig.container(name));
    await rig.clock.advance(3000);
    rig.runner.exit(rig.container(name), { exitCode: 0 });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('is tried three times where the gateway itself fails, then ends with a plain reason', async () => {
    await rig.started();
    for (let i = 0; i < 3; i++) rig.runner.fail('ensure', new TappetError('INTERNAL', 'A bug.'));
    const name = await rig.create();
    await rig.ended(name);
    expect(await rig.attempt(name)).toMatchObject({ state: 'FAILED', reason: 'CONTAINER_START_FAILED' });
    expect(rig.logLines.filter((line) => line.includes('A bug.'))).toHaveLength(3);
  });
});

describe('output', () => {
  it('is whole where the attached stream broke while it ran', async () => {
    await rig.started();
    const name = await rig.create();
    await rig.running(name);
    const container = rig.container(name);
    rig.runner.emit(container, 'stdout', 'one ');
    await settle();
    rig.runner.cut(container);
    rig.runner.emit(container, 'stdout', 'two ');
    rig.runner.emit(container, 'stderr', 'err');
    await rig.clock.advance(5000);
    expect(rig.logs.text(await rig.attempt(name))).toBe('one two ');
    rig.runner.emit(container, 'stdout', 'three');
    rig.runner.exit(container);
    await rig.ended(name);
    expect(rig.logs.text(await rig.attempt(name))).toBe('one two three');
    expect(await rig.attempt(name)).toMatchObject({ logBytes: { stdout: 13, stderr: 3 } });
  });

  it('is read anew where the log could not take it for a while', async () => {
    await rig.started();
    const name = await rig.create();
    await rig.running(name);
    rig.logs.full = true;
    rig.runner.emit(rig.container(name), 'stdout', 'kept');
    await rig.clock.advance(8000);
    rig.logs.full = false;
    await rig.clock.advance(8000);
    expect(rig.logs.text(await rig.attempt(name))).toBe('kept');
    rig.runner.exit(rig.container(name));
    await rig.ended(name);
    expect((await rig.attempt(name)).message).toBe('Succeeded.');
  });

  it('that cannot be had to the end is said in the message', async () => {
    await rig.started();
    const name = await rig.create();
    await rig.running(name);
    rig.runner.logs = () => Promise.reject(new Error('its log is damaged'));
    rig.runner.cut(rig.container(name));
    rig.runner.emit(rig.container(name), 'stdout', 'lost');
    await settle();
    rig.runner.exit(rig.container(name), { exitCode: 0 });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await rig.attempt(name)).message).toMatch(/end of its output could not be read/);
  });
});

describe('stopping', () => {
  it('does not count the pull of the image as its time', async () => {
    const letPull = rig.runner.hold('prepare');
    rig.runner.script = () => ({ exitAt: 30_000 });
    await rig.started();
    const name = await rig.create({ timeoutMs: 60_000, maxRetries: 0 });
    await rig.until(() => rig.runner.countOf('prepare') > 0);
    await rig.clock.advance(180_000);
    expect(rig.runner.names()).toEqual([]);
    letPull();
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await rig.attempt(name)).toMatchObject({ attempt: 0, reason: 'EXITED_ZERO', stopReason: null });
  });

  it('sends SIGTERM at the timeout, after the intent is stored', async () => {
    await rig.started();
    const name = await rig.create({ timeoutMs: 60_000, maxRetries: 0 });
    await rig.ended(name);
    const attempt = await rig.attempt(name);
    expect(attempt).toMatchObject({
      state: 'FAILED',
      reason: 'TIMED_OUT',
      exitCode: 143,
      stopReason: 'timeout',
    });
    expect((attempt.endTime ?? 0) - (attempt.startTime ?? 0)).toBe(60_000);
    expect(attempt.message).toMatch(/longer than 1m/);
  });

  it.each([1000, 29_000, 31_000])(
    'lets a task that needs %i ms to end have 30 s, then kills it',
    async (afterMs) => {
      rig.runner.script = () => ({ onTerm: { code: 9, afterMs } });
      await rig.started();
      const name = await rig.create();
      await rig.running(name);
      await rig.store.cancelExecution(name, 'test');
      const row = await rig.ended(name);
      expect(row.state).toBe('CANCELLED');
      const attempt = await rig.attempt(name);
      expect(attempt).toMatchObject({ state: 'CANCELLED', exitCode: afterMs < 30_000 ? 9 : 137 });
      const took = (attempt.endTime ?? 0) - (attempt.stopRequestTime ?? 0);
      expect(Math.abs(took - Math.min(afterMs, 30_000))).toBeLessThanOrEqual(1000);
    },
  );

  it('kills by itself where the engine forgot the grace, and removes what even that does not end', async () => {
    rig.runner.script = () => ({ onTerm: null, unkillable: true });
    const executor = await rig.started();
    const name = await rig.create({ gracePeriodMs: 2000 });
    await rig.settledIn(name);
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    await settle();
    await rig.clock.advance(6900);
    expect(rig.runner.countOf('kill')).toBe(0);
    await rig.clock.advance(200);
    expect(rig.runner.countOf('kill')).toBe(1);
    await rig.ended(name);
    expect(await rig.attempt(name)).toMatchObject({ state: 'CANCELLED', exitCode: null });
    expect(rig.runner.names()).toEqual([]);
  });

  it('hears of a cancel at once by a wake-up, and within a second without', async () => {
    rig.runner.script = () => ({ onTerm: null });
    const executor = await rig.started();
    const first = await rig.create();
    const second = await rig.create();
    await rig.running(first);
    await rig.settledIn(second);
    await rig.store.cancelExecution(first, 'test');
    executor.wakeStops();
    await settle();
    expect(rig.runner.calls.filter(({ method }) => method === 'stop').map(({ name }) => name)).toEqual([
      rig.container(first),
    ]);
    await rig.store.cancelExecution(second, 'test');
    await rig.clock.advance(1000);
    expect(rig.runner.countOf('stop')).toBe(2);
  });

  it('never starts what was cancelled during the pull, and does not wait for the pull', async () => {
    const executor = await rig.started();
    const release = rig.runner.hold('prepare');
    const name = await rig.create();
    await rig.until(() => rig.runner.countOf('prepare') === 1);
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    expect(await rig.ended(name)).toMatchObject({ state: 'CANCELLED' });
    expect((await rig.attempt(name)).message).toBe('Cancelled before it started.');
    release();
    await rig.clock.advance(2000);
    expect(rig.runner.countOf('ensure')).toBe(0);
  });

  it('stops what was cancelled while it was being started', async () => {
    const executor = await rig.started();
    const release = rig.runner.hold('ensure');
    const name = await rig.create();
    await rig.until(() => rig.runner.countOf('ensure') === 1);
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    await settle();
    release();
    expect(await rig.ended(name)).toMatchObject({ state: 'CANCELLED' });
    expect(await rig.attempt(name)).toMatchObject({ state: 'CANCELLED', exitCode: 143 });
  });
});

describe('an engine that is away', () => {
  it('at the start is waited for; the status says so, and nothing is claimed', async () => {
    rig.runner.goDown();
    const executor = rig.executor();
    await executor.start();
    await settle();
    expect(executor.status()).toMatchObject({ state: 'connecting' });
    expect(executor.status().message).toMatch(/does not answer/);
    const name = await rig.create();
    executor.wake();
    await rig.clock.advance(30_000);
    expect(await rig.store.listAttempts(name, 0)).toEqual([]);
    rig.runner.goUp();
    await rig.running(name);
    expect(executor.status()).toMatchObject({
      state: 'ready',
      message: 'Tasks run on Fake engine 1.0 at memory.',
    });
  });

  it('fails no task: what ended meanwhile has its true exit and its whole output', async () => {
    await rig.started();
    const name = await rig.create({ maxRetries: 0 });
    await rig.running(name);
    rig.runner.goDown();
    rig.runner.emit(rig.container(name), 'stdout', 'while away');
    rig.runner.exit(rig.container(name), { exitCode: 7 });
    const waiting = await rig.create();
    await rig.clock.advance(60_000);
    expect(await rig.attempt(name)).toMatchObject({ state: 'RUNNING' });
    expect(await rig.store.listAttempts(waiting, 0)).toEqual([]);
    rig.runner.goUp();
    await rig.ended(name);
    expect(await rig.attempt(name)).toMatchObject({ exitCode: 7, logBytes: { stdout: 10, stderr: 0 } });
    await rig.running(waiting);
  });
});

it('is off before its start; a stop before it is legal, and so is another', async () => {
  const executor = rig.executor();
  expect(executor.status()).toMatchObject({ state: 'off', engine: null, runningTasks: 0 });
  executor.wake();
  await executor.stop();
  await executor.stop();
  expect(rig.runner.calls).toEqual([]);
});
