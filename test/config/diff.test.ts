import { afterAll, describe, expect, it } from 'vitest';
import { diffConfigs } from '../../src/config/diff.ts';
import { ConfigFolder } from '../support/config-folder.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const SOURCE = { kind: 'cron', cron: '0 2 * * *' };
const trigger = (job: string, source: object = SOURCE) => ({ source, run: { job } });
const connection = (region: string) => ({
  kind: 's3',
  region,
  accessKeyId: { env: 'S' },
  secretAccessKey: { env: 'S' },
});
const receiver = (path: string) => ({ url: `https://a.example${path}`, secret: { env: 'W' } });
const base = {
  server: { port: 1 },
  issuers: { a: { issuer: 'https://a.example' }, b: { issuer: 'https://b.example' } },
  connections: { a: connection('us-east-1'), b: connection('us-east-1') },
  notifications: { a: receiver('/a'), b: receiver('/b') },
  jobs: { a: { image: 'x' }, b: { image: 'y' } },
  triggers: { t: trigger('a'), u: trigger('b') },
};
const ENV = { env: { S: 'secret', W: `whsec_${Buffer.alloc(32).toString('base64')}` } };
const diff = async (before: object, after: object) =>
  diffConfigs(await folder.load(before, ENV), await folder.load(after, ENV));

const NOTHING = { added: [], changed: [], removed: [] };

describe('diffConfigs', () => {
  it('finds nothing between a file and itself, read twice', async () => {
    expect(await diff(base, base)).toEqual({
      server: [],
      issuers: NOTHING,
      connections: NOTHING,
      notifications: NOTHING,
      jobs: NOTHING,
      triggers: NOTHING,
    });
  });

  it('names what came, what went, and what is another', async () => {
    const after = {
      server: { port: 2, maxBody: '2Mi' },
      issuers: { b: { issuer: 'https://b.example', clockSkew: '1m' }, c: { preset: 'google' } },
      connections: { b: connection('eu-west-1'), c: connection('us-east-1') },
      notifications: { b: receiver('/other'), c: receiver('/c') },
      jobs: { b: { image: 'y', timeout: '1m' }, c: { image: 'z' } },
      triggers: { u: trigger('b', { ...SOURCE, zone: 'Asia/Tokyo' }), v: trigger('c') },
    };
    expect(await diff(base, after)).toEqual({
      server: ['port', 'maxBodyBytes'],
      issuers: { added: ['c'], changed: ['b'], removed: ['a'] },
      connections: { added: ['c'], changed: ['b'], removed: ['a'] },
      notifications: { added: ['c'], changed: ['b'], removed: ['a'] },
      jobs: { added: ['c'], changed: ['b'], removed: ['a'] },
      triggers: { added: ['v'], changed: ['u'], removed: ['t'] },
    });
  });

  it('judges a job by what it does, so that a default written out is no change, nor the order of keys', async () => {
    const after = { ...base, jobs: { b: { timeout: '10m', image: 'y' }, a: { image: 'x' } } };
    expect((await diff(base, after)).jobs).toEqual(NOTHING);
  });

  it('leaves jobs and triggers alone whose connection is another', async () => {
    const storage = (region: string) => ({
      connections: { a: connection(region) },
      jobs: { j: { image: 'x', inputs: [{ from: 's3://a/bucket/key', to: '/in' }] } },
      triggers: { t: trigger('j', { kind: 'storage', connection: 'a', bucket: 'bucket' }) },
    });
    expect(await diff(storage('us-east-1'), storage('eu-west-1'))).toMatchObject({
      connections: { changed: ['a'] },
      jobs: NOTHING,
      triggers: NOTHING,
    });
  });

  it('leaves a trigger alone whose job is another', async () => {
    const after = { ...base, jobs: { ...base.jobs, a: { image: 'z' } } };
    expect(await diff(base, after)).toMatchObject({ jobs: { changed: ['a'] }, triggers: NOTHING });
  });
});
