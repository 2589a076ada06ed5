import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import type { JobSpec } from '../../src/core/job.ts';
import { accessDenied, storeAway } from '../support/staging-fakes.ts';
import { Rig } from '../support/executor-rig.ts';
import { settle } from '../support/manual-clock.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
  rig.runner.script = () => ({
    exitAt: 1000,
    leaves: { '/out/film.mp4': 'film', '/out/hls/index.m3u8': 'list', '/out/hls/a/1.ts': 'part' },
  });
});
afterEach(() => rig.close());

const FILM: NonNullable<JobSpec['outputs']> = [{ from: '/out/film.mp4', to: 's3://store/done/film.mp4' }];
const reasons = async (name: string) => (await rig.store.listAttempts(name, 0)).map(({ reason }) => reason);

describe('outputs', () => {
  it('are stored before the attempt has succeeded, files and folders', async () => {
    await rig.started();
    const name = await rig.create({
      outputs: [
        { from: '/out/film.mp4', to: 's3://store/done/film.mp4' },
        { from: '/out/film.mp4', to: 's3://store/done/${{ task.index }}/', contentType: 'x/y' },
        { from: '/out/hls/', to: 's3://store/done/hls/' },
        { from: '/out/hls/', to: 's3://store/all/' },
      ],
    });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    const { content, types } = rig.objects.store;
    const stored = [...content].map(([place, bytes]) => [place, bytes.toString(), types.get(place)]);
    expect(stored).toEqual([
      ['done/film.mp4', 'film', 'video/mp4'],
      ['done/0/film.mp4', 'film', 'x/y'],
      ['done/hls/index.m3u8', 'list', 'application/vnd.apple.mpegurl'],
      ['done/hls/a/1.ts', 'part', 'video/mp2t'],
      ['all/index.m3u8', 'list', 'application/vnd.apple.mpegurl'],
      ['all/a/1.ts', 'part', 'video/mp2t'],
    ]);
    expect((await rig.attempt(name)).message).toBe('Succeeded. 6 files were stored.');
  });

  it('are left alone where the code failed', async () => {
    rig.runner.script = () => ({ exitAt: 10, exit: { exitCode: 2 }, leaves: { '/out/film.mp4': 'half' } });
    await rig.started();
    const name = await rig.create({ outputs: FILM, maxRetries: 0 });
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED', reason: 'NON_ZERO_EXIT_CODE' });
    expect(rig.objects.store.puts).toEqual([]);
  });

  it.each<[string, JobSpec['outputs'], RegExp]>([
    ['no file', [{ from: '/out/none', to: 's3://store/d/k' }], /there is no file \/out\/none, which was to/],
    ['no folder', [{ from: '/none/', to: 's3://store/d/' }], /there is no file below \/none\//],
    [
      'a folder named as a file',
      [{ from: '/out/hls', to: 's3://store/d/k' }],
      /hls is a folder: write it with/,
    ],
    [
      'a file named as a folder',
      [{ from: '/out/film.mp4/', to: 's3://store/d/' }],
      /is a file: write it without/,
    ],
  ])('fail the attempt after exit code 0 and use a retry: %s', async (_, outputs, message) => {
    await rig.started();
    const name = await rig.create({ outputs: outputs ?? [], maxRetries: 1 });
    expect(await rig.ended(name)).toMatchObject({
      state: 'FAILED',
      message: expect.stringMatching(message) as unknown,
    });
    expect(await reasons(name)).toEqual(['OUTPUT_MISSING', 'OUTPUT_MISSING']);
    expect(await rig.attempt(name)).toMatchObject({ exitCode: 0, state: 'FAILED' });
  });

  it('fail the task at once where the store refuses', async () => {
    rig.objects.store.fail('put', accessDenied());
    await rig.started();
    const name = await rig.create({ outputs: FILM });
    expect(await rig.ended(name)).toMatchObject({
      state: 'FAILED',
      message: 'Task 0 failed: its outputs could not be stored: Connection "store" may not use bucket "b".',
    });
    expect(await reasons(name)).toEqual(['OUTPUT_REFUSED']);
  });

  it('have a connection before any work is done', async () => {
    await rig.started();
    const name = await rig.create({ outputs: [{ from: '/out/x', to: 's3://gone/d/k' }] });
    expect(await rig.ended(name)).toMatchObject({
      message: expect.stringContaining('no connection') as unknown,
    });
    expect(rig.runner.starts.size).toBe(0);
  });

  it('wait for a store that is away, with the work done once', async () => {
    rig.objects.store.fail('put', storeAway(), 10);
    await rig.started();
    const name = await rig.create({
      outputs: [...FILM, { from: '/out/hls/', to: 's3://store/hls/' }],
      maxRetries: 0,
      timeoutMs: 5000,
    });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(rig.runner.starts.size).toBe(1);
    expect(rig.objects.store.puts).toEqual(['done/film.mp4', 'hls/index.m3u8', 'hls/a/1.ts']);
    expect(rig.logLines.filter((line) => line.includes('wait for their object store'))).toHaveLength(1);
  });

  it('do the work again where it stays away, and then fail', async () => {
    rig.objects.store.fail('put', storeAway(), 1000);
    await rig.started();
    const name = await rig.create({ outputs: FILM, maxRetries: 0 });
    for (let i = 0; i < 60; i++) await rig.clock.advance(60_000);
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED' });
    expect(await reasons(name)).toEqual(['OUTPUT_FAILED', 'OUTPUT_FAILED', 'OUTPUT_FAILED']);
  });

  it('go on after the engine was away in the middle, and nothing is put twice', async () => {
    await rig.started();
    const release = rig.objects.store.hold('put');
    const name = await rig.create({
      outputs: [...FILM, { from: '/out/hls/', to: 's3://store/hls/' }],
    });
    await rig.until(() => rig.runner.countOf('outputs') === 1);
    rig.runner.goDown();
    release();
    await rig.clock.advance(3000);
    expect(rig.objects.store.puts).toEqual([]);
    rig.runner.goUp();
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(rig.objects.store.puts).toEqual(['done/film.mp4', 'hls/index.m3u8', 'hls/a/1.ts']);
    expect(await reasons(name)).toEqual(['EXITED_ZERO']);
    expect(rig.logLines.join('\n')).not.toContain('object store');
  });

  it('go on where they stood: what is stored is not put again', async () => {
    rig.objects.store.fail('put', storeAway(), 3, 'hls/a/1.ts');
    await rig.started();
    const name = await rig.create({ outputs: [...FILM, { from: '/out/hls/', to: 's3://store/hls/' }] });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(rig.objects.store.puts).toEqual(['done/film.mp4', 'hls/index.m3u8', 'hls/a/1.ts']);
  });

  it('fail the task at once where a name cannot be a key: the work again would make it again', async () => {
    rig.runner.fail('outputs', new TappetError('INVALID_ARGUMENT', 'It is not UTF-8.'));
    await rig.started();
    const name = await rig.create({ outputs: FILM });
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED' });
    expect(await reasons(name)).toEqual(['OUTPUT_REFUSED']);
  });

  it('are an infrastructure failure where the engine will not hand them over', async () => {
    rig.runner.fail('outputs', new TappetError('ENGINE_REFUSED', 'No.'), { times: 1 });
    await rig.started();
    const name = await rig.create({ outputs: FILM, maxRetries: 0 });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED' });
    expect(await reasons(name)).toEqual(['OUTPUT_FAILED', 'EXITED_ZERO']);
  });
});

describe('a cancel while outputs are being stored', () => {
  async function uploading(): Promise<{ name: string; release: () => void }> {
    const executor = await rig.started();
    const release = rig.objects.store.hold('put');
    const name = await rig.create({ outputs: FILM, gracePeriodMs: 20_000 });
    await rig.until(() => rig.runner.countOf('outputs') === 1);
    await rig.store.cancelExecution(name, 'test');
    executor.wakeStops();
    await settle();
    return { name, release };
  }

  it('lets them end within the grace period: the work stands', async () => {
    const { name, release } = await uploading();
    await rig.clock.advance(19_000);
    release();
    await settle();
    expect(await rig.store.getExecution(name)).toMatchObject({ counters: { succeeded: 1 } });
    expect(rig.objects.store.text('done/film.mp4')).toBe('film');
  });

  it('ends them after it', async () => {
    const { name } = await uploading();
    await rig.clock.advance(20_000);
    expect(await rig.store.getExecution(name)).toMatchObject({ state: 'CANCELLED' });
    expect(await rig.attempt(name)).toMatchObject({
      state: 'CANCELLED',
      message: 'Cancelled while its outputs were being stored; 0 of its files are stored.',
    });
    expect(rig.objects.store.puts).toEqual([]);
  });

  it('gives the next gateway what is left of the grace period', async () => {
    const first = await rig.started();
    rig.objects.store.hold('put');
    const name = await rig.create({ outputs: FILM, gracePeriodMs: 20_000 });
    await rig.until(() => rig.runner.countOf('outputs') === 1);
    await rig.store.cancelExecution(name, 'test');
    await rig.clock.advance(10_000);
    await first.stop();
    await rig.started();
    await rig.clock.advance(12_000);
    expect(await rig.store.getExecution(name)).toMatchObject({ state: 'CANCELLED' });
  });
});
