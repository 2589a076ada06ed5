import { afterAll, describe, expect, it } from 'vitest';
import { SecretStore } from '../../src/secrets/secret-store.ts';
import { ConfigFolder } from '../support/config-folder.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const TIME = '2026-01-01T00:00:00.000Z';
const store = new SecretStore({ dataDir: `${folder.path}/.tappet`, env: {} });
await store.add('api-key', Buffer.from('hush-hush'), TIME);
await store.add('api-key', Buffer.from('newer-hush'), TIME);
await store.add('binary', Buffer.from('a\0b'), TIME);

const job = (fields: object) => ({ jobs: { a: { image: 'x', ...fields } } });
const found = async (content: object): Promise<string[]> => {
  const lines = await folder.problemsOf(content);
  return lines.map((line) => line.replace(/^config\.json:\d+:\d+ ?/, ''));
};

/** Every place where a secret may stand. */
const PLACES: readonly [path: string, content: (ref: unknown) => object][] = [
  [
    'triggers.t.source.auth.bearer.token',
    (ref) => ({
      ...job({}),
      triggers: { t: { source: { kind: 'webhook', auth: { bearer: { token: ref } } }, run: { job: 'a' } } },
    }),
  ],
  [
    'triggers.t.source.auth.hmac.secret',
    (ref) => ({
      ...job({}),
      triggers: { t: { source: { kind: 'webhook', auth: { hmac: { secret: ref } } }, run: { job: 'a' } } },
    }),
  ],
  [
    'connections.c.secretAccessKey',
    (ref) => ({
      connections: { c: { kind: 's3', accessKeyId: { secret: 'api-key' }, secretAccessKey: ref } },
    }),
  ],
  ['jobs.a.env.KEY', (ref) => job({ env: { KEY: ref } })],
  ['jobs.a.inputs[0].from', (ref) => job({ inputs: [{ from: ref, to: '/key' }] })],
];

describe.each(PLACES)('at %s', (path, content) => {
  it('a stored secret may stand, of the newest version or of one', async () => {
    expect(await found(content({ secret: 'api-key' }))).toEqual([]);
    const config = await folder.load(content({ secret: 'api-key', version: 1 }));
    const shown = JSON.stringify([...config.jobs, ...config.triggers, ...config.connections]);
    expect(shown).toContain('"secret":"api-key","version":1');
    expect(shown).not.toContain('hush');
  });

  it.each([
    [
      { secret: 'api-kye' },
      `there is no secret "api-kye" in the data folder .tappet (did you mean "api-key"?)`,
    ],
    [{ secret: 'api-kye' }, 'store it with: tappet secrets set api-kye --data-dir .tappet'],
    [{ secret: 'api-key', version: 3 }, 'the secret "api-key" has no version 3'],
    [{ env: 'NO' }, 'the environment variable NO is not set: set NO where the gateway is started'],
    [{ file: './none' }, '"none" does not exist: check the path'],
    [{ env: 'A', secret: 'api-key' }, 'name exactly one of "env", "file" and "secret"'],
    [{}, 'name exactly one of "env", "file" and "secret"'],
  ])('%j is refused', async (ref, line) => {
    const lines = await found(content(ref));
    expect(lines).toEqual([expect.stringContaining(line)]);
    expect(lines[0]?.startsWith(`${path}: `)).toBe(true);
  });

  it.each([
    [{ secret: 'Not A Name' }, 'secret: cannot be the name of a secret: write lower-case'],
    [{ file: './x', version: 1 }, 'version: belongs to "secret" alone'],
    [{ secret: 'api-key', version: 0 }, 'version: must be at least 1'],
    [{ sceret: 'api-key' }, 'sceret: unknown key "sceret": did you mean "secret"?'],
  ])('%j is refused at its own field', async (ref, line) => {
    expect(await found(content(ref))).toEqual(
      [`${path}.${line}`].map((text) => expect.stringContaining(text)),
    );
  });
});

it('a job’s variables may be texts and secrets side by side', async () => {
  const env = { LEVEL: 5, KEY: { secret: 'api-key' }, OTHER: { env: 'S' }, INDEX: '${{ task.index }}' };
  const config = await folder.load(job({ env }), { env: { S: 'x' } });
  expect(config.jobs.get('a')?.spec.env).toEqual({ ...env, LEVEL: '5' });
});

it('a secret that no environment can carry is told at the variable, without its value', async () => {
  expect(await found(job({ env: { KEY: { secret: 'binary' } } }))).toEqual([
    'jobs.a.env.KEY: KEY holds a NUL character, which no program can be given',
  ]);
  expect(await found(job({ inputs: [{ from: { secret: 'binary' }, to: '/key' }] }))).toEqual([]);
});

it('what an event sets is text: a mapping takes no secret', async () => {
  const source = { kind: 'cron', cron: '0 2 * * *' };
  const run = { job: 'a', env: { KEY: { secret: 'api-key' } } };
  expect(await found({ ...job({}), triggers: { t: { source, run } } })).toEqual([
    expect.stringContaining('triggers.t.run.env.KEY: must be a text'),
  ]);
});

it('is looked up in the data folder that a flag names', async () => {
  const content = job({ env: { KEY: { secret: 'api-key' } } });
  expect(await folder.problemsOf(content, { env: {}, dataDir: `${folder.path}/other` })).toEqual([
    expect.stringContaining('there is no secret "api-key" in the data folder other (there are none)'),
  ]);
});
