import { afterAll, describe, expect, it } from 'vitest';
import { ConfigFolder } from '../support/config-folder.ts';
import { loadConfig } from '../../src/config/load.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const JOB = { image: 'x' };
const CRON = { kind: 'cron', cron: '0 2 * * *' };

describe('what a job becomes', () => {
  it('has every default', async () => {
    const { jobs } = await folder.load({ jobs: { a: JOB } });
    expect(jobs.get('a')?.spec).toEqual({
      image: 'x',
      env: {},
      cpu: 1,
      memoryBytes: 512 * 1024 * 1024,
      taskCount: 1,
      parallelism: 1,
      maxRetries: 3,
      timeoutMs: 600_000,
      gracePeriodMs: 30_000,
      retentionMs: 30 * 86_400_000,
      binds: [],
    });
  });

  it('has what was written, numbers of an environment as text', async () => {
    const { jobs } = await folder.load({
      jobs: {
        a: {
          image: 'ffmpeg:7',
          command: ['sh'],
          args: ['-n', 5],
          env: { PORT: 8080, DEBUG: true, INDEX: '${{ task.index }}' },
          workingDir: '/w',
          user: '1000:1000',
          cpu: 0.5,
          memory: 6291456,
          taskCount: 3,
          parallelism: 0,
          maxRetries: 0,
          timeout: '168h',
          gracePeriod: '0s',
          retention: '365d',
          retentionCount: 10,
          maxConcurrentExecutions: 2,
          labels: { team: 'x' },
          annotations: { note: 'y' },
        },
      },
    });
    expect(jobs.get('a')).toMatchObject({
      labels: { team: 'x' },
      annotations: { note: 'y' },
      spec: {
        command: ['sh'],
        args: ['-n', '5'],
        env: { PORT: '8080', DEBUG: 'true', INDEX: '${{ task.index }}' },
        workingDir: '/w',
        user: '1000:1000',
        cpu: 0.5,
        memoryBytes: 6_291_456,
        parallelism: 0,
        timeoutMs: 604_800_000,
        gracePeriodMs: 0,
        retentionCount: 10,
        maxConcurrentExecutions: 2,
      },
    });
  });

  it('has an etag that follows what it does, not how it is written', async () => {
    const etag = async (job: object) => (await folder.load({ jobs: { a: job } })).jobs.get('a')?.etag;
    expect(await etag({ image: 'x', timeout: '1h' })).toBe(await etag({ timeout: '60m', image: 'x' }));
    expect(await etag({ image: 'x' })).not.toBe(await etag({ image: 'y' }));
    expect(await etag({ image: 'x' })).not.toBe(await etag({ image: 'x', labels: { a: 'b' } }));
  });
});

describe('what a trigger becomes', () => {
  it('is compiled', async () => {
    const { triggers } = await folder.load({
      jobs: { a: JOB },
      triggers: {
        t: {
          source: { ...CRON, zone: 'Europe/Berlin' },
          when: 'event.data.size > 0',
          run: {
            job: 'a',
            env: { N: '${{ event.data.size }}' },
            args: ['${{ task.index }}'],
            taskCount: 2,
            timeout: '5m',
          },
        },
      },
    });
    const trigger = triggers.get('t');
    expect(trigger).toMatchObject({
      origin: 'trigger/t',
      source: { kind: 'cron', cron: '0 2 * * *', zone: 'Europe/Berlin' },
    });
    const scope = { event: { data: { size: 4 } }, task: { index: 1 } };
    expect(trigger?.when?.evaluate(scope)).toEqual({ ok: true, value: true });
    expect(trigger?.run.env['N']?.render(scope)).toMatchObject({ value: '4' });
    expect(trigger?.run.args?.[0]?.render(scope)).toMatchObject({ value: '1' });
    expect(trigger?.run.taskCount?.render(scope)).toMatchObject({ value: '2' });
    expect(trigger?.run.timeout?.render(scope)).toMatchObject({ value: '5m' });
  });

  it('has a schedule in UTC unless it names another zone', async () => {
    const source = async (zone: object) => {
      const content = {
        jobs: { a: JOB },
        triggers: { t: { source: { ...CRON, ...zone }, run: { job: 'a' } } },
      };
      return (await folder.load(content)).triggers.get('t')?.source;
    };
    expect(await source({})).toMatchObject({ zone: 'UTC' });
    expect(await source({ zone: 'Asia/Tokyo' })).toMatchObject({ zone: 'Asia/Tokyo' });
  });

  it('keeps what was written, and never a secret value', async () => {
    const source = { kind: 'webhook', auth: { bearer: { token: { env: 'TOKEN' } } } };
    const config = await folder.load(
      { jobs: { a: JOB }, triggers: { t: { source, run: { job: 'a' } } } },
      { env: { TOKEN: 'hush-hush' } },
    );
    expect(config.triggers.get('t')?.definition).toEqual({ source, run: { job: 'a' } });
    expect(JSON.stringify([...config.triggers])).not.toContain('hush-hush');
  });

  it.each([
    ['none', 'none'],
    [{ bearer: { token: { env: 'S' } } }, { bearer: { token: { env: 'S' } } }],
    [
      { hmac: { secret: { env: 'S' } } },
      { hmac: { secret: { env: 'S' }, header: 'x-hub-signature-256', prefix: 'sha256=', encoding: 'hex' } },
    ],
    [
      { oidc: { issuer: 'google', audience: ['a', 'b'], require: "claims.sub == '1'" } },
      { oidc: { issuer: 'google', audience: ['a', 'b'], require: "claims.sub == '1'" } },
    ],
  ])('takes the auth %j', async (auth, expected) => {
    const config = await folder.load(
      {
        issuers: { google: { preset: 'google' } },
        jobs: { a: JOB },
        triggers: { t: { source: { kind: 'webhook', auth }, run: { job: 'a' } } },
      },
      { env: { S: 'secret' } },
    );
    expect(config.triggers.get('t')?.source).toEqual({
      kind: 'webhook',
      auth: expected,
      rememberMs: 24 * 60 * 60_000,
    });
  });
});

describe('issuers', () => {
  it('come with defaults or from a preset', async () => {
    const { issuers } = await folder.load({
      issuers: {
        google: { preset: 'google', maxLifetime: '1h' },
        own: { issuer: 'https://id.example', jwks: 'https://id.example/keys', clockSkew: '1m' },
        pinned: {
          issuer: 'http://in-the-cluster',
          jwks: { keys: [{ kty: 'RSA', n: 'x', e: 'AQAB' }] },
          algorithms: ['RS512'],
        },
      },
    });
    expect(issuers.get('google')).toEqual({
      issuer: 'https://accounts.google.com',
      jwks: { url: 'https://www.googleapis.com/oauth2/v3/certs' },
      algorithms: ['RS256'],
      skewMs: 30_000,
      maxLifetimeMs: 3_600_000,
      maxKeyAgeMs: 86_400_000,
      allowHttp: false,
      allowPrivateAddresses: false,
    });
    expect(issuers.get('own')).toMatchObject({
      jwks: { url: 'https://id.example/keys' },
      algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
      skewMs: 60_000,
      maxLifetimeMs: 86_400_000,
    });
    expect(issuers.get('pinned')).toMatchObject({ jwks: { keys: [{ kty: 'RSA' }] } });
  });
});

describe('the server', () => {
  it('has defaults, and its folder stands beside the configuration', async () => {
    const { server } = await folder.load({});
    expect(server).toEqual({
      host: '127.0.0.1',
      port: 8080,
      dataDir: `${folder.path}/.tappet`,
      maxBodyBytes: 1_048_576,
      allowAnonymous: false,
      rateLimit: null,
      trustedProxies: [],
      maxRunningTasks: null,
      admission: { cpuOvercommit: 8, memoryReserveBytes: 256 * 1_048_576 },
      limits: { maxTasks: 10_000, maxParallelism: 100 },
      allowedBinds: [],
      eventRetentionMs: 30 * 86_400_000,
      engine: { answerMs: 10_000, orderMs: 60_000 },
      pulls: { timeoutMs: 600_000, idleMs: 120_000 },
      registries: {},
      allowedImages: null,
      imagePrune: null,
      notify: null,
    });
    expect((await folder.load({ server: { dataDir: '/var/lib/t' } })).server.dataDir).toBe('/var/lib/t');
  });
});

describe('files', () => {
  it('may hold comments and trailing commas in JSON, and tabs', async () => {
    const file = folder.write(
      'c.json',
      '\uFEFF{\n\t// why\n\t"jobs": { /* so */ "a": { "image": "x", "args": ["http://x//y", ], }, },\n}\n',
    );
    expect((await loadConfig(file)).jobs.get('a')?.spec.args).toEqual(['http://x//y']);
  });

  it('may be YAML, with anchors', async () => {
    const file = folder.write(
      'c.yaml',
      `
jobs:
  a: &base { image: x, timeout: 5m, env: { ON: no } }
  b: *base
triggers:
`,
    );
    const { jobs } = await loadConfig(file);
    expect(jobs.get('b')?.spec).toEqual(jobs.get('a')?.spec);
    expect(jobs.get('a')?.spec.env).toEqual({ ON: 'no' });
  });

  it('may be a folder, whose files are one configuration', async () => {
    folder.write(
      'many/b.yaml',
      'triggers:\n  t: { source: { kind: cron, cron: 0 2 * * * }, run: { job: a } }\n',
    );
    folder.write('many/a.json', { jobs: { a: JOB }, server: { dataDir: 'data' } });
    folder.write('many/config.schema.json', { type: 'object' });
    folder.write('many/notes.txt', 'not ours');
    const config = await loadConfig(`${folder.path}/many`);
    expect([...config.triggers.keys(), ...config.jobs.keys()]).toEqual(['t', 'a']);
    expect(config.server.dataDir).toBe(`${folder.path}/many/data`);
    expect(config.folder).toBe(`${folder.path}/many`);
  });

  it('name both places of a name that stands twice', async () => {
    folder.write('twice/a.json', { jobs: { a: JOB }, server: { port: 1 } });
    folder.write('twice/b.yaml', 'jobs:\n  a: { image: y }\nserver: { port: 2 }\n');
    await expect(folder.problems(`${folder.path}/twice`)).resolves.toEqual([
      'twice/b.yaml:2:3 jobs.a: stands in twice/a.json:3:5 already: remove or rename one of both',
      'twice/b.yaml:3:1 server: stands in twice/a.json:7:3 already: remove or rename one of both',
    ]);
  });

  it.each([
    [
      'dup.yaml',
      'jobs:\n  a: {image: x}\n  a: {image: y}\n',
      'dup.yaml:3:3 jobs.a: this name stands twice here: remove or rename one of both',
    ],
    [
      'comma.json',
      '{"jobs": {"a": {"image": "x" "cpu": 1}}}',
      'comma.json:1:26: this is not valid JSON: a comma is missing before it',
    ],
    [
      'brace.json',
      '{"jobs": {"a": {"image": "x"}}',
      'brace.json:1:31: this is not valid JSON: a "}" is missing before it',
    ],
    [
      'open.yaml',
      'jobs:\n  a: { image: x, args: [1, 2\n',
      'open.yaml:3:1: this is not valid YAML: a "]" is missing before it',
    ],
    [
      'two.yaml',
      'jobs: {}\n---\njobs: {}\n',
      'two.yaml:2:1: this is not valid YAML: a second document begins here: remove the line "---", or make it a file of its own',
    ],
    [
      'quote.yaml',
      'jobs:\n  a: { image: "x }\n',
      'quote.yaml:3:1: this is not valid YAML: a quote is opened and never closed',
    ],
    ['empty.yaml', '', 'empty.yaml:1:1: must be a map with "jobs" and "triggers"'],
    ['list.yaml', '- a', 'list.yaml:1:1: must be a map with "jobs" and "triggers"'],
  ])('that cannot be read say where: %s', async (name, content, line) => {
    expect((await folder.problems(folder.write(name, content)))[0]).toBe(line);
  });

  it('with a name that stands twice tell their other mistakes too', async () => {
    const text =
      '{\n"jobs": { "a": { "image": "x", "image": 5 }, "b": { "imag": "x" } },\n"jobs": { "c": { "cpu": 0 } }\n}';
    await expect(folder.problemsOf(text)).resolves.toEqual([
      'config.json:2:32 jobs.a.image: this name stands twice here: remove or rename one of both',
      'config.json:3:1 jobs: this name stands twice here: remove or rename one of both',
      'config.json:3:11 jobs.c.image: is missing; it must be a text',
      'config.json:3:25 jobs.c.cpu: must be at least 0.05',
    ]);
  });

  it('that blow up by aliases are refused', async () => {
    const levels = Array.from(
      { length: 9 },
      (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`,
    );
    const file = folder.write('bomb.yaml', `l0: &l0 x\n${levels.join('\n')}\n`);
    await expect(folder.problems(file)).resolves.toEqual([expect.stringContaining('Excessive alias count')]);
  });

  it('that are not there, and folders without any, are told', async () => {
    await expect(loadConfig(`${folder.path}/nope.json`)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('there is no such file'),
    });
    folder.write('bare/notes.txt', 'x');
    await expect(loadConfig(`${folder.path}/bare`)).rejects.toThrow('holds no *.json, *.yaml or *.yml');
  });
});

it('is frozen all the way down', async () => {
  const config = await folder.load({
    jobs: { a: JOB },
    triggers: { t: { source: CRON, run: { job: 'a' } } },
  });
  const loose: string[] = [];
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return;
    if (!Object.isFrozen(value)) loose.push(path);
    for (const [key, item] of value instanceof Map ? value : Object.entries(value))
      walk(item, `${path}.${String(key)}`);
  };
  walk(config, 'config');
  expect(loose).toEqual([]);
});

it('warns of a secret file that everyone can read', async () => {
  folder.write('open.secret', 'x'.repeat(16));
  const source = { kind: 'webhook', auth: { hmac: { secret: { file: './open.secret' } } } };
  const config = await folder.load({ jobs: { a: JOB }, triggers: { t: { source, run: { job: 'a' } } } });
  expect(config.warnings).toEqual([
    expect.stringMatching(
      /config\.json:\d+:\d+ the secret file "\.\/open\.secret" can be read by every user/,
    ),
  ]);
});
