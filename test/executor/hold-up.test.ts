import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import type { PullProgress } from '../../src/core/runner.ts';
import { ContainerLook } from '../../src/executor/container-look.ts';
import { HoldUp, imageWords, shortWords } from '../../src/executor/hold-up.ts';
import type { LifeContext } from '../../src/executor/life-context.ts';
import { Rig } from '../support/executor-rig.ts';
import { settle } from '../support/manual-clock.ts';
import { storeAway } from '../support/staging-fakes.ts';

describe('what keeps an attempt', () => {
  it('is the innermost of what it does, and nothing afterwards, whatever became of it', async () => {
    const holdUp = new HoldUp();
    const seen: (string | null)[] = [];
    const see = (): void => void seen.push(holdUp.words([]));
    let count = 1;
    await holdUp.during('outer', async () => {
      see();
      const failing = holdUp.during(
        () => `inner ${count}`,
        async () => {
          see();
          count = 2;
          see();
          throw new Error('lost');
        },
      );
      await expect(failing).rejects.toThrow('lost');
      see();
    });
    see();
    expect(seen).toEqual(['outer', 'inner 1', 'inner 2', 'outer', null]);
  });

  it('is told in one line, as a part of others, and not at any length', () => {
    expect(shortWords('waits for it: no.\n  Not  now.')).toBe('waits for it: no. Not now');
    expect(shortWords('x'.repeat(300))).toBe('x'.repeat(300));
    expect(shortWords('x'.repeat(301))).toBe(`${'x'.repeat(299)}…`);
  });

  const pull = (over: Partial<PullProgress>): readonly PullProgress[] => [
    { image: 'x', startTime: 0, layers: 0, layersDone: 0, bytes: 0, totalBytes: 0, ...over },
  ];
  const of = (names: string[], pulls: readonly PullProgress[]): string => {
    return imageWords(names)(pulls);
  };
  it.each([
    ['nobody pulls', [], 'waits for image x'],
    ['another is pulled', pull({ image: 'y' }), 'waits for image x'],
    ['nothing is known yet', pull({}), 'waits for image x: its pull has begun'],
    ['no size is known yet', pull({ layers: 7 }), 'waits for image x: 0 of 7 layers'],
    [
      'it goes on',
      pull({ layers: 7, layersDone: 3, bytes: 12 * 1024 ** 2, totalBytes: 80 * 1024 ** 2 }),
      'waits for image x: 12 MiB of 80 MiB, 3 of 7 layers',
    ],
  ])('may be its image: %s', (_, pulls, words) => {
    expect(of(['x'], pulls)).toBe(words);
  });

  it('may be an image that another asked for by another name', () => {
    const digest = `r.test/x@sha256:${'0'.repeat(64)}`;
    expect(of(['x'], pull({ image: 'x:latest' }))).toBe('waits for image x: its pull has begun');
    expect(of(['x:1', digest], pull({ image: digest }))).toBe('waits for image x:1: its pull has begun');
    expect(of(['x:1', digest], pull({ image: 'x:2' }))).toBe('waits for image x:1');
  });
});

describe('an attempt says what keeps it, until it goes on', () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await new Rig().open();
  });
  afterEach(() => rig.close());

  const words = (name: string, index = 0): string | null => rig.executorView().begun(name).get(index) ?? null;
  const says = (name: string, text: string | null): Promise<void> => rig.until(() => words(name) === text);
  const refused = new TappetError('ENGINE_REFUSED', 'The engine will not: device busy.');
  const always = { times: Number.POSITIVE_INFINITY };
  const whenRunning = async (...names: string[]): Promise<(string | null)[]> => {
    for (const name of names) await rig.running(name);
    return names.map((name) => words(name));
  };

  it('its image', async () => {
    await rig.started();
    const release = rig.runner.hold('prepare');
    const name = await rig.create();
    await says(name, 'waits for image busybox');
    rig.runner.pulling = [
      { image: 'busybox', startTime: 0, layers: 2, layersDone: 1, bytes: 0, totalBytes: 0 },
    ];
    expect(words(name)).toBe('waits for image busybox: 1 of 2 layers');
    release();
    expect(await whenRunning(name)).toEqual([null]);
  });

  it('the engine that starts it, and others that start', async () => {
    await rig.started();
    const release = rig.runner.hold('ensure');
    const names = [];
    for (let i = 0; i < 10; i++) names.push(await rig.create({ memoryBytes: 1 }));
    const [first = '', last = ''] = [names.at(0), names.at(-1)];
    await says(first, 'is being started by the container engine');
    await says(last, 'waits for its turn to start');
    release();
    expect(await whenRunning(...names)).toEqual(names.map(() => null));
  });

  it('its files, and those of others', async () => {
    await rig.started();
    const release = rig.runner.hold('ensure');
    rig.objects.store.content.set('in/a', Buffer.from('a'));
    const names = [];
    const inputs = [{ from: 's3://store/in/a', to: '/in/a' }];
    for (let i = 0; i < 10; i++) names.push(await rig.create({ memoryBytes: 1, inputs }));
    const [first = '', last = ''] = [names.at(0), names.at(-1)];
    await says(first, 'is given its files');
    await says(last, 'waits for its turn to be given its files');
    release();
    expect(await whenRunning(...names)).toEqual(names.map(() => null));
  });

  it('an engine that refused its start', async () => {
    await rig.started();
    rig.runner.fail('ensure', refused);
    const name = await rig.create();
    await says(name, 'is started again in some seconds: The engine will not: device busy');
    expect(await whenRunning(name)).toEqual([null]);
  });

  const untold =
    'waits for the container engine to tell what its container does: The engine will not: device busy';
  it('an engine that does not tell what its container does', async () => {
    await rig.started();
    const name = await rig.create();
    await rig.running(name);
    rig.runner.fail('inspect', refused, { times: 3 });
    rig.runner.cut(rig.container(name));
    await says(name, untold);
    await says(name, null);
    expect((await rig.attempt(name)).state).toBe('RUNNING');
  });

  it('no more an engine that did not tell, once it has removed the container', async () => {
    const stopper = { removed: false };
    const context = {
      gate: { through: () => Promise.reject(refused) },
      runner: rig.runner,
      log: { warn: () => 0 },
    };
    const look = new ContainerLook({
      context: context as unknown as LifeContext,
      name: 'x',
      stopper,
      stopRequested: () => true,
    });
    expect(await look.ask()).toBeUndefined();
    expect(look.words).toBe(`${untold}.`);
    stopper.removed = true;
    expect(await look.ask()).toEqual({ state: 'missing' });
    expect(look.words).toBeNull();
  });

  it('its grace, and an engine that does not end it', async () => {
    rig.runner.script = () => ({ onTerm: null, unkillable: true });
    const executor = await rig.started();
    rig.runner.fail('kill', refused, always);
    const name = await rig.create({ gracePeriodMs: 2000 });
    await rig.settledIn(name);
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    await rig.until(() => words(name) !== null);
    const killed = new Date(rig.clock.now() + 2000).toISOString();
    expect(words(name)).toBe(`was asked to end, and is killed if it still runs at ${killed}`);
    await says(
      name,
      'did not end when it was asked, and is being killed; the engine last said: The engine will not: device busy',
    );
    expect(await rig.ended(name)).toMatchObject({ state: 'CANCELLED' });
  });

  it('nothing of its stop, once it has ended', async () => {
    rig.runner.script = () => ({ leaves: { '/out/a': 'a' } });
    const executor = await rig.started();
    const release = rig.runner.hold('outputs');
    const name = await rig.create({ outputs: [{ from: '/out/a', to: 's3://store/done/a' }] });
    await rig.running(name);
    rig.runner.exit(rig.container(name), { exitCode: 0 });
    await says(name, 'has its files stored');
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    await settle();
    expect(words(name)).toBe('has its files stored');
    release();
    await rig.ended(name);
  });

  it('its image, also while the gateway is drained', async () => {
    const executor = await rig.started();
    const release = rig.runner.hold('prepare');
    const name = await rig.create();
    await says(name, 'waits for image busybox');
    const drained = executor.drain();
    expect(rig.executorView()).toMatchObject({ ready: true, draining: true });
    release();
    await rig.running(name);
    rig.runner.exit(rig.container(name), { exitCode: 0 });
    await rig.ended(name);
    await rig.until(() => executor.status().runningTasks === 0);
    await rig.clock.advance(1000);
    await drained;
  });

  it('an error of the gateway itself', async () => {
    await rig.started();
    vi.spyOn(rig.runner, 'ensure').mockRejectedValueOnce(new TypeError('a bug'));
    const name = await rig.create();
    await says(name, 'begins anew in some seconds: the gateway made an error, which its log tells of');
    expect(await whenRunning(name)).toEqual([null]);
  });

  it('the disk of the gateway', async () => {
    await rig.started();
    const full = new TappetError('STORE_UNAVAILABLE', 'The disk is full.');
    const open = vi.spyOn(rig.logs, 'open').mockRejectedValue(full);
    const name = await rig.create();
    await says(name, "waits for the gateway's own disk: The disk is full");
    open.mockRestore();
    expect(await whenRunning(name)).toEqual([null]);
  });

  it('the end of its output', async () => {
    await rig.started();
    const name = await rig.create();
    await rig.running(name);
    rig.runner.cut(rig.container(name));
    rig.runner.fail('logs', refused, always);
    rig.runner.exit(rig.container(name), { exitCode: 0 });
    await says(name, 'has the end of its log read');
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('the object store of its files', async () => {
    rig.runner.script = () => ({ exitAt: 1000, leaves: { '/out/a': 'a' } });
    await rig.started();
    const release = rig.runner.hold('outputs');
    rig.objects.store.fail('put', storeAway());
    const name = await rig.create({ outputs: [{ from: '/out/a', to: 's3://store/done/a' }] });
    await says(name, 'has its files stored');
    release();
    await says(name, `waits for the object store of its files: ${storeAway().message.replace(/\.$/, '')}`);
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
  });
});
