import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import type { PullProgress } from '../../src/core/runner.ts';
import { HoldUp, imageWords } from '../../src/executor/hold-up.ts';
import { Rig } from '../support/executor-rig.ts';
import { storeAway } from '../support/staging-fakes.ts';

describe('what keeps an attempt', () => {
  it('is the innermost of what it does, and nothing afterwards, whatever became of it', async () => {
    const holdUp = new HoldUp();
    const seen: (string | null)[] = [];
    const see = (): void => void seen.push(holdUp.words);
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

  it('is first of all that the engine does not tell of it', async () => {
    const holdUp = new HoldUp();
    holdUp.refusal = 'device busy';
    const asked = 'waits for the container engine to tell what its container does: device busy';
    await holdUp.during('outer', async () => expect(holdUp.words).toBe(asked));
  });

  const pull = (over: Partial<PullProgress>): readonly PullProgress[] => [
    { image: 'x', startTime: 0, layers: 0, layersDone: 0, bytes: 0, totalBytes: 0, ...over },
  ];
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
    expect(imageWords('x', pulls)).toBe(words);
  });
});

describe('an attempt says what keeps it, until it goes on', () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await new Rig().open();
  });
  afterEach(() => rig.close());

  const words = (name: string, index = 0): string | null =>
    rig.executorView().begun.get(name)?.get(index) ?? null;
  const says = (name: string, text: string): Promise<void> => rig.until(() => words(name) === text);
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
    await says(last, 'waits until other tasks have started');
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
    await says(last, 'waits until other tasks have their files');
    release();
    expect(await whenRunning(...names)).toEqual(names.map(() => null));
  });

  it('an engine that refused its start', async () => {
    await rig.started();
    rig.runner.fail('ensure', refused);
    const name = await rig.create();
    await says(name, 'is started again in some seconds: The engine will not: device busy.');
    expect(await whenRunning(name)).toEqual([null]);
  });

  it('an engine that does not tell what its container does', async () => {
    await rig.started();
    const name = await rig.create();
    await rig.running(name);
    rig.runner.fail('inspect', refused, { times: 3 });
    rig.runner.exit(rig.container(name), { exitCode: 0 });
    const asked = 'waits for the container engine to tell what its container does';
    await says(name, `${asked}: The engine will not: device busy.`);
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('the end of its output', async () => {
    await rig.started();
    const name = await rig.create();
    await rig.running(name);
    rig.runner.cut(rig.container(name));
    rig.runner.fail('logs', refused, always);
    rig.runner.exit(rig.container(name), { exitCode: 0 });
    await says(name, 'has ended, and its output is being read');
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
  });

  it('the object store of its files', async () => {
    rig.runner.script = () => ({ exitAt: 1000, leaves: { '/out/a': 'a' } });
    await rig.started();
    const release = rig.runner.hold('outputs');
    rig.objects.store.fail('put', storeAway());
    const name = await rig.create({ outputs: [{ from: '/out/a', to: 's3://store/done/a' }] });
    await says(name, 'has ended, and its files are being stored');
    release();
    await says(name, `waits for the object store of its files: ${storeAway().message}`);
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
  });
});
