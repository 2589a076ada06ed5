import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import { Rig } from '../support/executor-rig.ts';
import { settle } from '../support/manual-clock.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

describe('an engine that refuses', () => {
  const refusal = new TappetError('ENGINE_REFUSED', 'The engine will not: device busy.');
  const always = { times: Number.POSITIVE_INFINITY };

  it('a kill keeps nobody else waiting, and the container is removed by force', async () => {
    rig.runner.script = () => ({ onTerm: null, unkillable: true });
    const executor = await rig.started();
    rig.runner.fail('kill', refusal, always);
    const name = await rig.create({ gracePeriodMs: 2000 });
    await rig.settledIn(name);
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    await settle();
    await rig.clock.advance(7100);
    expect(rig.runner.countOf('kill')).toBe(1);
    expect(executor.status().state).toBe('ready');
    await rig.ended(name);
    expect(rig.runner.countOf('kill')).toBe(1);
    expect(rig.runner.names()).toEqual([]);
  });

  it('a removal by force is asked again, ever more seldom', async () => {
    rig.runner.script = () => ({ onTerm: null, unkillable: true });
    const executor = await rig.started();
    rig.runner.fail('remove', refusal, { times: 2 });
    const name = await rig.create({ gracePeriodMs: 0 });
    await rig.running(name);
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    await rig.ended(name);
    expect(rig.runner.countOf('kill')).toBe(3);
    expect(executor.status().state).toBe('ready');
  });

  it('to remove what has ended does not keep the end from being stored', async () => {
    const executor = await rig.started();
    rig.runner.script = () => ({ exitAt: 10 });
    rig.runner.fail('remove', refusal, always);
    const name = await rig.create();
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    await rig.until(() => executor.status().runningTasks === 0);
    expect(rig.runner.countOf('remove')).toBe(1);
  });

  it('to read the log for a quarter of a minute costs nothing of it', async () => {
    await rig.started();
    const name = await rig.create();
    await rig.running(name);
    const container = rig.container(name);
    rig.runner.cut(container);
    rig.runner.emit(container, 'stdout', 'the end');
    rig.runner.fail('logs', refusal, { times: 5 });
    rig.runner.exit(container, { exitCode: 0 });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    const attempt = await rig.attempt(name);
    expect(attempt.message).toBe('Succeeded.');
    expect(rig.logs.text(attempt)).toBe('the end');
  });

  it('to read the log costs the end of the output, not the others their engine', async () => {
    const executor = await rig.started();
    const name = await rig.create();
    await rig.running(name);
    rig.runner.cut(rig.container(name));
    rig.runner.fail('logs', refusal, always);
    rig.runner.exit(rig.container(name), { exitCode: 0 });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect((await rig.attempt(name)).message).toMatch(/end of its output could not be read/);
    expect(executor.status().state).toBe('ready');
    expect(rig.logLines.some((line) => line.includes('does not answer'))).toBe(false);
  });

  it('to tell about a container is asked again; the timeout is kept', async () => {
    await rig.started();
    const name = await rig.create({ timeoutMs: 60_000, maxRetries: 0 });
    await rig.running(name);
    rig.runner.fail('inspect', refusal, { times: 3 });
    await rig.ended(name);
    expect(await rig.attempt(name)).toMatchObject({ reason: 'TIMED_OUT', exitCode: 143 });
    expect(rig.runner.starts.get(rig.container(name))).toBe(1);
  });

  it('a start is asked three times, then the attempt ends with a reason that may pass', async () => {
    rig.runner.script = () => ({ exitAt: 10 });
    const executor = await rig.started();
    rig.runner.fail('ensure', refusal, { times: 3 });
    const name = await rig.create({ maxRetries: 0 });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    const [first, second] = await rig.store.listAttempts(name, 0);
    expect(first).toMatchObject({ reason: 'ENGINE_REFUSED', message: expect.stringMatching(/device busy/) });
    expect(second).toMatchObject({ reason: 'EXITED_ZERO' });
    expect(executor.status().state).toBe('ready');
  });

  /** The container runs, and the engine has said three times that it could not be started. */
  const startsButRefuses = (): void => {
    rig.runner.fail('ensure', refusal, { times: 2 });
    rig.runner.fail('ensure', refusal, { after: true });
  };

  it('a start that worked has started it: nothing runs beside it, whether it may be removed or not', async () => {
    const executor = await rig.started();
    rig.runner.script = () => ({ output: [{ text: 'once' }], exitAt: 60_000 });
    startsButRefuses();
    rig.runner.fail('remove', refusal, always);
    const name = await rig.create({ maxRetries: 0 });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await rig.store.listAttempts(name, 0)).toHaveLength(1);
    expect(rig.runner.starts.get(rig.container(name))).toBe(1);
    expect(rig.logs.text(await rig.attempt(name))).toBe('once');
    expect(executor.status().state).toBe('ready');
  });

  it('a start and then to tell what became of it is asked until it tells', async () => {
    await rig.started();
    rig.runner.script = () => ({ exitAt: 600_000 });
    startsButRefuses();
    rig.runner.fail('inspect', refusal, { times: 20 });
    const name = await rig.create({ maxRetries: 0 });
    await rig.until(() => rig.runner.countOf('inspect') === 20);
    expect((await rig.attempt(name)).state).toBe('STARTING');
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(rig.runner.starts.get(rig.container(name))).toBe(1);
  });

  it('a start and to tell what became of it does not keep a cancel from ending what may run', async () => {
    const executor = await rig.started();
    startsButRefuses();
    rig.runner.fail('inspect', refusal, { times: 5 });
    const name = await rig.create();
    await rig.until(() => rig.runner.countOf('inspect') === 2);
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    await rig.until(() => rig.runner.countOf('stop') === 1);
    expect(await rig.ended(name)).toMatchObject({ state: 'CANCELLED' });
    expect(await rig.attempt(name)).toMatchObject({ state: 'CANCELLED', exitCode: 143 });
  });

  it('a start that worked is stopped by a cancel while it is tried again', async () => {
    const executor = await rig.started();
    rig.runner.fail('ensure', new TappetError('ENGINE_UNAVAILABLE', 'The answer was cut.'), { after: true });
    const name = await rig.create();
    await rig.until(() => rig.runner.countOf('ensure') === 1, 10);
    // Others hold all turns to start when it comes again.
    const release = rig.runner.hold('ensure');
    for (let i = 0; i < 8; i++) await rig.create();
    await rig.clock.advance(6000);
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    expect(await rig.ended(name)).toMatchObject({ state: 'CANCELLED' });
    expect(await rig.attempt(name)).toMatchObject({ exitCode: 143, message: 'Cancelled; ended by SIGTERM.' });
    release();
  });

  it('a start that worked is its attempt’s, whatever is said of it when it is tried again', async () => {
    await rig.started();
    rig.runner.script = () => ({ exitAt: 60_000 });
    rig.runner.fail('ensure', refusal, { after: true });
    rig.runner.fail('ensure', new TappetError('CONTAINER_START_FAILED', 'Its folder was replaced.'));
    const name = await rig.create({ maxRetries: 3 });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await rig.store.listAttempts(name, 0)).toHaveLength(1);
  });

  it('a start that worked runs the image that was prepared for it', async () => {
    await rig.started();
    startsButRefuses();
    const names = [await rig.create(), await rig.create()];
    for (const name of names) await rig.running(name);
    const [first, second] = await Promise.all(names.map((name) => rig.store.getExecution(name)));
    expect(first?.image).not.toBeNull();
    expect(first?.image).toEqual(second?.image);
  });

  it('to tell does not make an exit of its own of a cancel, though its clock is behind', async () => {
    const executor = await rig.started();
    rig.runner.script = () => ({ onTerm: { code: 1, afterMs: 10_000 } });
    startsButRefuses();
    rig.runner.fail('inspect', refusal, { times: 4 });
    const inspect = rig.runner.inspect.bind(rig.runner);
    rig.runner.inspect = async (container) => {
      const status = await inspect(container);
      return status.state === 'exited' ? { ...status, endTime: status.endTime - 3_600_000 } : status;
    };
    const name = await rig.create();
    await rig.until(() => rig.runner.countOf('inspect') === 2);
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    await rig.ended(name);
    expect(await rig.attempt(name)).toMatchObject({ state: 'CANCELLED' });
  });

  it('to tell for good: what was stopped and removed has ended', async () => {
    const executor = await rig.started();
    const name = await rig.create();
    await rig.running(name);
    rig.runner.fail('inspect', refusal, always);
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    expect(await rig.ended(name)).toMatchObject({ state: 'CANCELLED' });
    expect(rig.runner.names()).toEqual([]);
  });

  /** What is done for an attempt of which nothing can be stored, and the engine does not do at first. */
  const givesUp = async (): Promise<string> => {
    vi.spyOn(rig.store, 'attemptStarted').mockRejectedValue(new Error('a bug'));
    const name = await rig.create({ maxRetries: 1 });
    await rig.until(() => rig.runner.countOf('remove') === 1);
    return name;
  };

  it('a removal after an error of our own: it is stopped, and has not ended before', async () => {
    await rig.started();
    rig.runner.script = () => ({ onTerm: null, unkillable: true });
    rig.runner.fail('remove', refusal, { times: 2 });
    const name = await givesUp();
    expect((await rig.store.listAttempts(name, 0)).map(({ state }) => state)).toEqual(['STARTING']);
    await rig.until(() => rig.runner.countOf('kill') === 1);
    expect((await rig.store.listAttempts(name, 0)).map(({ state }) => state)).toEqual(['STARTING']);
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED' });
    expect(await rig.attempt(name)).toMatchObject({ message: expect.stringMatching(/an error of its own/) });
    expect(rig.runner.statusOf(rig.container(name))).toEqual({ state: 'missing' });
    expect(rig.runner.countOf('remove')).toBe(3);
  });

  it('to tell after an error of our own: what was removed has ended', async () => {
    await rig.started();
    const name = await givesUp();
    rig.runner.fail('inspect', refusal, always);
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED' });
  });

  it('a removal after an error of our own does not keep the gateway from ending', async () => {
    const executor = await rig.started();
    rig.runner.fail('remove', refusal, always);
    rig.runner.fail('stop', refusal, always);
    rig.runner.fail('kill', refusal, always);
    const name = await givesUp();
    await executor.stop();
    expect((await rig.attempt(name)).state).toBe('STARTING');
  });

  it('a start holds no permit between tries, and is cancelled there', async () => {
    const executor = await rig.started();
    // As many as there are permits.
    rig.runner.fail('ensure', refusal, { times: 8 });
    const stuck: string[] = [];
    for (let i = 0; i < 8; i++) stuck.push(await rig.create());
    await rig.until(() => rig.runner.countOf('ensure') === 8, 10);
    const free = await rig.create();
    await rig.running(free);
    for (const name of stuck) await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    await settle();
    for (const name of stuck) expect(await rig.attempt(name)).toMatchObject({ reason: 'CANCELLED' });
    expect(rig.runner.countOf('ensure')).toBe(9);
  });

  it('by silence for one order alone is no engine that is away: that order is given up', async () => {
    const executor = await rig.started();
    rig.runner.fail('ensure', new TappetError('ENGINE_UNAVAILABLE', 'It hangs.'), always);
    const name = await rig.create();
    await rig.until(async () => (await rig.store.listAttempts(name, 0))[0]?.reason === 'ENGINE_REFUSED');
    expect(executor.status().state).toBe('ready');
  });
});

describe('an engine', () => {
  it('that was restarted has ended its containers itself: no retry of the user is spent', async () => {
    await rig.started();
    const name = await rig.create({ maxRetries: 0 });
    await rig.running(name);
    rig.runner.goDown();
    await rig.clock.advance(2000);
    rig.runner.exit(rig.container(name), { exitCode: 137 });
    await rig.clock.advance(2000);
    rig.runner.goUp();
    await rig.until(async () => (await rig.store.listAttempts(name, 0))[0]?.reason === 'ENGINE_RESTARTED');
    expect((await rig.store.listAttempts(name, 0))[0]).toMatchObject({
      exitCode: 137,
      message: expect.stringMatching(/engine was restarted/),
    });
    // Long after it, the same code is the task's own.
    await rig.until(async () => (await rig.store.listAttempts(name, 0))[1]?.state === 'RUNNING');
    await rig.clock.advance(60_000);
    rig.runner.exit(rig.container(name, 0, 1), { exitCode: 137 });
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED', reason: 'NON_ZERO_EXIT_CODE' });
  });

  it('whose clock is behind does not turn a timeout into an exit of its own', async () => {
    await rig.started();
    const inspect = rig.runner.inspect.bind(rig.runner);
    rig.runner.inspect = async (container) => {
      const status = await inspect(container);
      return status.state === 'exited' ? { ...status, endTime: status.endTime - 3_600_000 } : status;
    };
    const name = await rig.create({ timeoutMs: 60_000, maxRetries: 0 });
    await rig.ended(name);
    expect(await rig.attempt(name)).toMatchObject({ reason: 'TIMED_OUT' });
  });

  it('that goes away in the middle of a start may have started it: it is adopted, not started twice', async () => {
    await rig.started();
    rig.runner.fail('ensure', new TappetError('ENGINE_UNAVAILABLE', 'Broken answer.'), { after: true });
    rig.runner.script = () => ({ output: [{ text: 'once' }], exitAt: 5000 });
    const name = await rig.create();
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(rig.runner.starts.get(rig.container(name))).toBe(1);
    expect(rig.logs.text(await rig.attempt(name))).toBe('once');
  });
});
