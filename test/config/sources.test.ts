import { mkdirSync, symlinkSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import type { CloudEvent } from '../../src/core/event.ts';
import { ConfigFolder } from '../support/config-folder.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const ENV = { env: { S: 'secret' } };
const STORE = { kind: 's3', accessKeyId: { env: 'S' }, secretAccessKey: { env: 'S' } };
const config = (source: object) => ({
  connections: { store: STORE },
  jobs: { a: { image: 'x' } },
  triggers: { t: { source, run: { job: 'a' } } },
});
const trigger = async (source: object) => (await folder.load(config(source), ENV)).triggers.get('t');
const found = async (source: object): Promise<string[]> => {
  const lines = await folder.problemsOf(config(source), ENV);
  return lines.map((line) => line.replace(/^config\.json:\d+:\d+ ?/, ''));
};

describe('a storage trigger', () => {
  const storage = (fields: object) => ({ kind: 'storage', connection: 'store', bucket: 'videos', ...fields });
  const upload = (bucket: string, name: string): CloudEvent => ({
    specversion: '1.0',
    id: '1',
    source: 'x',
    type: 'google.cloud.storage.object.v1.finalized',
    time: '2026-01-01T00:00:00Z',
    data: { bucket, name },
  });

  it('listens to its connection, for what is its own', async () => {
    const made = await trigger(storage({ prefix: 'in/', suffix: '.mp4' }));
    expect(made).toMatchObject({
      origin: 'connection/store',
      source: {
        kind: 'storage',
        connection: 'store',
        bucket: 'videos',
        prefix: 'in/',
        suffix: '.mp4',
        existing: 'skip',
      },
    });
    const wanted = [upload('videos', 'in/a.mp4'), upload('videos', 'a.mp4'), upload('other', 'in/a.mp4')];
    expect(wanted.map((event) => made?.concerns?.(event))).toEqual([true, false, false]);
  });

  it.each([
    [{ connection: 'stroe' }, 'there is no connection "stroe" under "connections": did you mean "store"?'],
    [{ connection: '' }, 'triggers.t.source.connection: must not be empty'],
    [{ bucket: 'a/b' }, 'triggers.t.source.bucket: is no name of a bucket'],
    [{ bucket: undefined }, 'triggers.t.source.bucket: is missing'],
    [{ existing: 'yes' }, 'triggers.t.source.existing: must be "skip" or "run"'],
    [{ path: 'x' }, 'triggers.t.source.path: unknown key "path"'],
  ])('is refused with %j', async (fields, line) => {
    expect(await found(storage(fields))).toEqual([expect.stringContaining(line)]);
  });

  it('does not miss a connection that may stand in a file that cannot be read', async () => {
    folder.write('slip/1.yaml', 'connections: { store: { kind: "s3 }\n');
    folder.write('slip/2.json', { ...config(storage({})), connections: {} });
    expect(await folder.problems(`${folder.path}/slip`, ENV)).toEqual([
      expect.stringContaining('slip/1.yaml:2:1: this is not valid YAML'),
    ]);
  });
});

describe('a files trigger', () => {
  const files = (path: string, fields: object = {}) => ({ kind: 'files', path, ...fields });
  mkdirSync(`${folder.path}/inbox`);

  it('watches a folder beside the configuration', async () => {
    expect(await trigger(files('./inbox', { glob: '*.csv', poll: '10s' }))).toMatchObject({
      origin: 'trigger/t',
      source: {
        kind: 'files',
        path: `${folder.path}/inbox`,
        glob: '*.csv',
        existing: 'skip',
        settleMs: 2000,
        pollMs: 10_000,
      },
    });
    expect(await trigger(files('/srv/in/'))).toMatchObject({ source: { path: '/srv/in' } });
    expect((await trigger(files('./inbox')))?.concerns).toBeUndefined();
  });

  it('may wait for a folder that is not there yet, with a warning', async () => {
    const { warnings } = await folder.load(config(files('./later')), ENV);
    expect(warnings).toEqual([
      expect.stringMatching(
        /config\.json:\d+:\d+ the folder ".*\/later" does not exist: its trigger waits until it is there/,
      ),
    ]);
    expect((await folder.load(config(files('./inbox')), ENV)).warnings).toEqual([]);
  });

  it.each([
    ['.tappet', "lies in the gateway's own data folder"],
    ['./.tappet/../.tappet/in', "lies in the gateway's own data folder"],
    ['.', "holds the gateway's own data, which changes all the time"],
    ['/', "holds the gateway's own data"],
    ['./config.json', 'is not a folder'],
    ['./config.json/in', 'lies below a file'],
  ])('does not watch %s', async (path, line) => {
    expect(await found(files(path))).toEqual([expect.stringContaining(`triggers.t.source.path: "`)]);
    expect(await found(files(path))).toEqual([expect.stringContaining(line)]);
  });

  it('does not watch the data folder by another name, nor where a flag names it', async () => {
    mkdirSync(`${folder.path}/.tappet`);
    symlinkSync('.tappet', `${folder.path}/link`);
    expect(await found(files('./link'))).toEqual([
      expect.stringContaining('"link" (which is .tappet) lies in the gateway'),
    ]);
    const options = { ...ENV, dataDir: `${folder.path}/inbox/data` };
    expect(await folder.problemsOf(config(files('./inbox')), options)).toEqual([
      expect.stringContaining("holds the gateway's own data"),
    ]);
  });

  it.each([
    [{ glob: '../*' }, 'triggers.t.source.glob: '],
    [{ settle: 2 }, 'triggers.t.source.settle: must have a unit: write "2s"'],
    [{ poll: '10ms' }, 'triggers.t.source.poll: '],
    [{ path: '' }, 'triggers.t.source.path: must not be empty'],
    [{ pol: '10s' }, 'triggers.t.source.pol: unknown key "pol": did you mean "poll"?'],
  ])('is refused with %j', async (fields, line) => {
    expect(await found(files('./inbox', fields))).toEqual([expect.stringContaining(line)]);
  });
});
