import { chmodSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigFolder } from '../support/config-folder.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const ENV = { env: { KEY: 'key', SECRET: 'hush-hush' } };
const KEYS = { kind: 's3', accessKeyId: { env: 'KEY' }, secretAccessKey: { env: 'SECRET' } };
const load = (connections: object) => folder.load({ connections }, ENV);
const found = async (connections: object): Promise<string[]> => {
  const lines = await folder.problemsOf({ connections }, ENV);
  return lines.map((line) => line.replace(/^config\.json:\d+:\d+ ?/, ''));
};

describe('what a connection becomes', () => {
  it('has every default', async () => {
    const { connections } = await load({ store: KEYS });
    expect([...connections]).toEqual([
      ['store', { ...KEYS, region: 'us-east-1', pathStyle: false, pollMs: 60_000 }],
    ]);
  });

  it('has what was written, its certificates by their place beside the configuration', async () => {
    folder.write('certs/store.pem', `# ours\n${rootCertificates[0]}\n`);
    const { connections } = await load({
      store: {
        ...KEYS,
        endpoint: 'https://store.example:9000/',
        region: 'eu-west-1',
        sessionToken: { env: 'KEY' },
        ca: './certs/store.pem',
        notifications: { token: { env: 'SECRET' }, dialect: 'minio' },
        poll: '15m',
      },
    });
    expect(connections.get('store')).toEqual({
      ...KEYS,
      endpoint: 'https://store.example:9000',
      region: 'eu-west-1',
      pathStyle: true,
      sessionToken: { env: 'KEY' },
      ca: `${folder.path}/certs/store.pem`,
      notifications: { token: { env: 'SECRET' }, dialect: 'minio' },
      pollMs: 900_000,
    });
  });

  it('never has a secret value', async () => {
    const config = await load({ store: KEYS });
    expect(JSON.stringify([...config.connections])).not.toContain('hush-hush');
  });

  it('may stand in any file of a folder, once', async () => {
    folder.write('two/a.json', { connections: { a: KEYS } });
    folder.write('two/b.json', { connections: { b: KEYS } });
    const two = `${folder.path}/two`;
    expect(await folder.problems(two, ENV)).toEqual([]);
    folder.write('two/b.json', { connections: { a: KEYS } });
    expect(await folder.problems(two, ENV)).toEqual([
      'two/b.json:3:5 connections.a: stands in two/a.json:3:5 already: remove or rename one of both',
    ]);
  });
});

describe('a connection is refused', () => {
  it.each([
    [{ kind: 's4' }, 'connections.c.kind: must be "s3"'],
    [{ kind: undefined }, 'connections.c.kind: must be "s3"; it is missing'],
    [{ accessKeyId: undefined }, 'connections.c.accessKeyId: is missing'],
    [{ secretAccessKey: 'plain-text' }, 'connections.c.secretAccessKey: a secret value never stands here'],
    [{ secretAccessKey: { env: 'NO' } }, 'secretAccessKey: the environment variable NO is not set: set NO'],
    [{ sessionToken: { file: './none' } }, 'none" does not exist: check the path and who may read it'],
    [{ endpoint: 'store:9000' }, 'connections.c.endpoint: must be an address'],
    [{ endpoint: 'http://store:9000/bucket' }, 'connections.c.endpoint: must be an address'],
    [{ poll: '1ms' }, 'connections.c.poll: must be between 1s and 1d'],
    [{ notifications: {} }, 'connections.c.notifications.token: is missing'],
    [{ ca: './none.pem' }, 'none.pem" does not exist'],
    [{ ca: '.' }, 'is not a file'],
    [{ ca: './config.json' }, 'holds no certificate in PEM'],
    [{ regoin: 'x' }, 'connections.c.regoin: unknown key "regoin": did you mean "region"?'],
  ])('with %j', async (fields, line) => {
    const lines = await found({ c: { ...KEYS, ...fields } });
    expect(lines).toContainEqual(expect.stringContaining(line));
    expect(lines.join()).not.toContain('plain-text');
  });

  it('by a name that no address could hold', async () => {
    expect(await found({ 'a/b': KEYS })).toEqual([expect.stringContaining('"a/b" cannot be a name')]);
  });

  it('with a certificate that is none', async () => {
    folder.write('bad.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    expect(await found({ c: { ...KEYS, ca: './bad.pem' } })).toEqual([
      expect.stringContaining('holds no certificate in PEM'),
    ]);
  });
});

it('a secret file that everyone can read is warned of once, however often it is named', async () => {
  chmodSync(folder.write('open.secret', 'x'), 0o644);
  const ref = { file: './open.secret' };
  const { warnings } = await load({
    a: { ...KEYS, secretAccessKey: ref },
    b: { ...KEYS, secretAccessKey: ref },
  });
  expect(warnings).toEqual([
    expect.stringMatching(
      /config\.json:\d+:\d+ the secret file "\.\/open\.secret" can be read by every user/,
    ),
  ]);
});
