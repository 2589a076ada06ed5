import { afterAll, describe, expect, it } from 'vitest';
import { ConfigFolder } from '../support/config-folder.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const ENV = { env: { USER: 'ann', PASS: 'hush-hush' } };
const JOB = { image: 'alpine:3' };
const load = (server: object, job: object = {}) =>
  folder.load({ server, jobs: { a: { ...JOB, ...job } } }, ENV);
const found = async (server: object, job: object = {}): Promise<string[]> => {
  const lines = await folder.problemsOf({ server, jobs: { a: { ...JOB, ...job } } }, ENV);
  return lines.map((line) => line.replace(/^config\.json:\d+:\d+ ?/, ''));
};

describe('pullPolicy', () => {
  it('is absent unless it is written, which is a policy of its own', async () => {
    expect((await load({})).jobs.get('a')?.spec).not.toHaveProperty('pullPolicy');
    for (const pullPolicy of ['IfNotPresent', 'Always', 'Never'])
      expect((await load({}, { pullPolicy })).jobs.get('a')?.spec).toMatchObject({ pullPolicy });
  });

  it('is one of three words', async () => {
    expect(await found({}, { pullPolicy: 'always' })).toEqual([
      expect.stringMatching(/^jobs\.a\.pullPolicy: .*IfNotPresent.*Always.*Never/),
    ]);
  });
});

describe('settings about images', () => {
  it('have defaults: 10 minutes, 2 without progress, every image, none removed', async () => {
    expect((await load({})).server).toMatchObject({
      pulls: { timeoutMs: 600_000, idleMs: 120_000 },
      registries: {},
      allowedImages: null,
      imagePrune: null,
    });
  });

  it('are what was written', async () => {
    folder.write('docker/config.json', { auths: { 'ghcr.io': { auth: 'YW5uOng=' } } });
    const { server } = await load({
      pulls: { timeout: '1h' },
      registries: {
        'r.example:5000': { username: 'ann', password: { env: 'PASS' } },
        'index.docker.io': { username: { env: 'USER' }, password: { env: 'PASS' } },
        'ghcr.io': { dockerConfig: './docker/config.json' },
      },
      allowedImages: ['alpine', 'r.example:5000/**'],
      imagePrune: {},
    });
    expect(server).toMatchObject({
      pulls: { timeoutMs: 3_600_000, idleMs: 120_000 },
      registries: {
        'r.example:5000': { username: 'ann', password: { env: 'PASS' } },
        'docker.io': { username: { env: 'USER' }, password: { env: 'PASS' } },
        'ghcr.io': { dockerConfig: `${folder.path}/docker/config.json` },
      },
      allowedImages: ['alpine', 'r.example:5000/**'],
      imagePrune: { unusedForMs: 7 * 86_400_000 },
    });
    expect(JSON.stringify(server)).not.toContain('hush-hush');
  });

  it('know the other names of Docker Hub, also in a Docker configuration', async () => {
    folder.write('docker/hub.json', { auths: { 'docker.io': { auth: 'YW5uOng=' } } });
    for (const host of ['index.docker.io', 'registry-1.docker.io']) {
      const { server } = await load({ registries: { [host]: { dockerConfig: './docker/hub.json' } } });
      expect(Object.keys(server.registries)).toEqual(['docker.io']);
    }
  });

  const account = { username: 'ann', password: { env: 'PASS' } };
  it.each<[object, RegExp]>([
    [{ pulls: { idle: '10ms' } }, /^server\.pulls\.idle: must be between 1s/],
    [{ engine: { answer: '10ms' } }, /^server\.engine\.answer: must be between 1s/],
    [{ imagePrune: { unusedFor: '1m' } }, /^server\.imagePrune\.unusedFor: must be between 1h/],
    [{ registries: { 'https://r.example': account } }, /^server\.registries.*must be a host, with its port/],
    [{ registries: { 'R.example/team': account } }, /^server\.registries.*must be a host, with its port/],
    [{ registries: { r: { username: 'ann' } } }, /^server\.registries\.r: write the account as/],
    [{ registries: { r: { ...account, dockerConfig: 'x' } } }, /^server\.registries\.r/],
    [
      { registries: { 'docker.io': account, 'registry-1.docker.io': account } },
      /^server\.registries\.registry-1\.docker\.io: is the same registry as "docker\.io"/,
    ],
    [
      { registries: { r: { username: 'ann', password: 'open' } } },
      /^server\.registries\.r\.password: a secret value never/,
    ],
    [
      { registries: { r: { username: 'ann', password: { env: 'NOPE' } } } },
      /^server\.registries\.r\.password: the environment variable NOPE is not set/,
    ],
    [
      { registries: { r: { username: { env: 'NOPE' }, password: { env: 'PASS' } } } },
      /^server\.registries\.r\.username: the environment variable NOPE is not set/,
    ],
    [
      { registries: { r: { dockerConfig: './no.json' } } },
      /^server\.registries\.r\.dockerConfig: .*does not exist/,
    ],
    [
      { allowedImages: ['https://r.example/**'] },
      /^server\.allowedImages\[0\]: has no "https:\/\/" in front/,
    ],
  ])('%j is told in words', async (server, message) => {
    const lines = await found(server);
    expect(lines).toContainEqual(expect.stringMatching(message));
    expect(lines.join()).not.toMatch(/hush-hush|"open"/);
  });
});

describe('allowedImages', () => {
  it('refuses a job whose image it does not name, and names itself', async () => {
    expect(await found({ allowedImages: ['r.example/**', 'busybox'] })).toEqual([
      'jobs.a.image: "alpine:3" is not an image that server.allowedImages lets run (it has r.example/**, busybox)',
    ]);
    expect(await found({ allowedImages: [] })).toEqual([
      'jobs.a.image: "alpine:3" is not an image that server.allowedImages lets run (it is empty)',
    ]);
    expect(await found({ allowedImages: ['docker.io/library/alpine:3*'] })).toEqual([]);
  });

  it('that is wrong itself blames no job', async () => {
    expect(await found({ allowedImages: ['a b'] })).toEqual([
      'server.allowedImages[0]: holds characters that no image has in its name',
    ]);
  });
});
