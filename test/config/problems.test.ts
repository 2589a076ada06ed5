import { createServer } from 'node:net';
import { mkdirSync, symlinkSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigFolder } from '../support/config-folder.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const JOB = { image: 'x' };
const CRON = { kind: 'cron', cron: '0 2 * * *' };

/** Problems without their places: `path: message`. */
async function found(content: object, env: Record<string, string> = {}): Promise<string[]> {
  const lines = await folder.problemsOf(content, { env });
  return lines.map((line) => line.replace(/^config\.json:\d+:\d+ ?/, ''));
}
const job = (fields: object, server: object = {}) => found({ server, jobs: { a: { ...JOB, ...fields } } });
const trigger = (fields: object) =>
  found({ jobs: { a: JOB }, triggers: { t: { source: CRON, run: { job: 'a' }, ...fields } } });
const run = (fields: object) => trigger({ run: { job: 'a', ...fields } });
const auth = (value: unknown) =>
  found({
    issuers: { good: { issuer: 'https://id.example' } },
    jobs: { a: JOB },
    triggers: { t: { source: { kind: 'webhook', auth: value }, run: { job: 'a' } } },
  });
const issuer = (value: object) => found({ issuers: { i: value } });

it('reports everything at once, each with its place, in the order of the file', async () => {
  const text = `{
  "jobs": { "report": { "image": "x", "tiemout": "5m" } },
  "triggers": {
    "nightly": {
      "source": { "kind": "cron", "cron": "61 * * * *" },
      "run": { "job": "reprt" }
    },
    "open": { "source": { "kind": "webhook" }, "run": { "job": "report" } }
  }
}`;
  await expect(folder.problemsOf(text)).resolves.toEqual([
    'config.json:2:39 jobs.report.tiemout: unknown key "tiemout": did you mean "timeout"?',
    'config.json:5:43 triggers.nightly.source.cron: "61 * * * *": "61": minutes run from 0 to 59',
    'config.json:6:23 triggers.nightly.run.job: there is no job "reprt": did you mean "report"?',
    expect.stringMatching(
      /^config\.json:8:15 triggers\.open\.source\.auth: is missing; .*"oidc".*"hmac".*"bearer".*"none"/,
    ),
  ]);
});

it('reports what is wrong between valid parts just as well', async () => {
  const lines = await found({
    server: { limits: { maxTasks: 4 }, prot: 1 },
    jobs: { a: { image: 'x', taskCount: 5 } },
    triggers: { t: { source: CRON, when: 'evnt.x', run: { job: 'b' } } },
  });
  expect(lines).toEqual([
    'server.prot: unknown key "prot": did you mean "port"?',
    'jobs.a.taskCount: must be at most 4; the limit is server.limits.maxTasks',
    'triggers.t.when: column 1: unknown name "evnt": did you mean "event"?',
    'triggers.t.run.job: there is no job "b": did you mean "a"?',
  ]);
});

describe('jobs', () => {
  it.each([
    [{ cpu: 0.01 }, 'jobs.a.cpu: must be at least 0.05'],
    [{ cpu: '2' }, 'jobs.a.cpu: must be a number, not a text'],
    [{ memory: '1Mi' }, 'jobs.a.memory: must be between 6Mi and 1Ti, not 1Mi'],
    [{ memory: '512MB' }, 'jobs.a.memory: "512MB" has an unknown unit: write 512Mi'],
    [{ taskCount: 0 }, 'jobs.a.taskCount: must be at least 1'],
    [{ taskCount: 1.5 }, 'jobs.a.taskCount: must be a whole number'],
    [{ taskCount: 10_001 }, 'jobs.a.taskCount: must be at most 10000; the limit is server.limits.maxTasks'],
    [
      { parallelism: 101 },
      'jobs.a.parallelism: must be at most 100; the limit is server.limits.maxParallelism',
    ],
    [{ maxRetries: 11 }, 'jobs.a.maxRetries: must be at most 10'],
    [{ timeout: '169h' }, 'jobs.a.timeout: must be between 1s and 7d, not 169h'],
    [{ timeout: '90' }, 'jobs.a.timeout: "90" has no unit'],
    [{ timeout: 90 }, 'jobs.a.timeout: must have a unit: write "90s"'],
    [{ memory: [] }, 'jobs.a.memory: must be a text or a number, not a list'],
    [
      { env: { A: null } },
      'jobs.a.env.A: must be a text, or where a secret stands: { "env": "NAME" }, { "file": "./path" } or { "secret": "name" }; nothing stands there',
    ],
    [{ args: [['x']] }, 'jobs.a.args[0]: must be a text, a number or true or false, not a list'],
    [{ image: 'UPPER:1' }, 'jobs.a.image: must be the name of an image'],
    [{ retention: '366d' }, 'jobs.a.retention: must be between 1d and 365d, not 366d'],
    [{ retentionCount: 0 }, 'jobs.a.retentionCount: must be at least 1'],
    [{ maxConcurrentExecutions: 0 }, 'jobs.a.maxConcurrentExecutions: must be at least 1'],
    [{ maxConcurrentExecutions: '2' }, 'jobs.a.maxConcurrentExecutions: must be a number, not a text'],
    [{ maxLogBytes: '64Ki' }, 'jobs.a.maxLogBytes: must be between 1Mi and 1Ti, not 64Ki'],
    [{ image: 'a b' }, 'jobs.a.image: must be the name of an image'],
    [{ image: undefined }, 'jobs.a.image: is missing; it must be a text'],
    [{ command: [] }, 'jobs.a.command: must not be empty'],
    [{ command: ['sh', 'x'.repeat(100_000)] }, 'jobs.a.command[1]: is more than 98,304 bytes long'],
    [{ command: ['a\0'] }, 'jobs.a.command[0]: holds a NUL character, which no program can be given'],
    [
      { command: Array.from({ length: 20 }, () => 'x'.repeat(60_000)) },
      'jobs.a.command: the arguments take 1,200,180 bytes',
    ],
    [{ args: ['a', 'x'.repeat(100_000)] }, 'jobs.a.args[1]: is more than 98,304 bytes long'],
    [{ args: ['a\0'] }, 'jobs.a.args[0]: holds a NUL character, which no program can be given'],
    [
      {
        command: Array.from({ length: 10 }, () => 'x'.repeat(60_000)),
        args: Array.from({ length: 10 }, () => 'x'.repeat(60_000)),
      },
      'jobs.a.args: the arguments take 1,200,180 bytes',
    ],
    [{ workingDir: 'w' }, 'jobs.a.workingDir: must be an absolute path'],
    [{ user: 'a b' }, 'jobs.a.user: must be uid, uid:gid or a name'],
    [{ env: { CLOUD_RUN_JOB: 'x' } }, 'jobs.a.env.CLOUD_RUN_JOB: CLOUD_RUN_JOB is set by the gateway itself'],
    [{ env: { '1A': 'x' } }, 'jobs.a.env.1A: 1A is not a name for an environment variable'],
    [{ env: { A: 'x'.repeat(40_000) } }, 'jobs.a.env.A: A is 40,000 bytes long'],
    [
      { args: Array.from({ length: 20 }, () => 'x'.repeat(60_000)) },
      'jobs.a.args: the arguments take 1,200,180 bytes',
    ],
    [
      { env: { A: '${{ event.id }}' } },
      'jobs.a.env.A: column 5: `event` cannot be read here; what can: task',
    ],
    [
      { env: { A: '${{ task.indx }}' } },
      'jobs.a.env.A: column 5: `task` has no field `indx`: did you mean "index"?',
    ],
    [{ args: ['${{ task.index.x }}'] }, 'jobs.a.args[0]: column 5: `task.index.x` reads on after'],
    [{ args: ['${{ task. }}'] }, 'jobs.a.args[0]: column 9: something is missing after "."'],
  ])('%j', async (fields, line) => {
    expect(await job(fields)).toEqual([expect.stringContaining(line)]);
  });

  it('may set what the operator decides', async () => {
    expect(await job({ env: { PATH: '/bin', HOME: '/' } })).toEqual([]);
  });

  it.each(['Bad', 'a_b', '1a', 'a-', 'a'.repeat(50)])('are not called %s', async (name) => {
    expect(await found({ jobs: { [name]: JOB } })).toEqual([
      expect.stringContaining(`"${name}" cannot be a name`),
    ]);
  });

  it('are maps', async () => {
    expect(await found({ jobs: { a: 'x' } })).toEqual(['jobs.a: must be a map of settings']);
    expect(await found({ jobs: ['x'] })).toEqual(['jobs: must be a map from name to settings']);
  });
});

describe('volumes', () => {
  const volume = (bind: string, allowed: string[] = [], to = '/in') =>
    job({ volumes: [{ bind, to }] }, { allowedBinds: allowed });

  it('are refused unless their folder is allowed', async () => {
    expect(await volume('/etc')).toEqual([
      expect.stringContaining('"/etc" is not below a folder of server.allowedBinds (it is empty)'),
    ]);
    expect(await volume('/etcetera', ['/etc'])).toEqual([expect.stringContaining('not below')]);
    expect(await volume('etc', ['/etc'])).toEqual([expect.stringContaining('must be an absolute path')]);
  });

  it('are judged by where links and dots lead', async () => {
    mkdirSync(`${folder.path}/allowed/in`, { recursive: true });
    symlinkSync('/etc', `${folder.path}/allowed/out`);
    const allowed = [`${folder.path}/allowed`];
    expect(await volume(`${folder.path}/allowed/in`, allowed)).toEqual([]);
    expect(await volume(`${folder.path}/allowed/later`, allowed)).toEqual([]);
    expect(await volume(`${folder.path}/allowed/out`, allowed)).toEqual([
      expect.stringContaining('(which is /etc) is not below'),
    ]);
    expect(await volume(`${folder.path}/allowed/out/ssl`, allowed)).toEqual([
      expect.stringContaining('not below'),
    ]);
    expect(await volume(`${folder.path}/allowed/../x`, allowed)).toEqual([
      expect.stringContaining('not below'),
    ]);
  });

  it('never hold the data folder, also where a flag names it', async () => {
    const allowed = [folder.path];
    const content = {
      server: { allowedBinds: allowed },
      jobs: { a: { ...JOB, volumes: [{ bind: `${folder.path}/kept`, to: '/in' }] } },
    };
    expect(await folder.problemsOf(content)).toEqual([]);
    expect(await folder.problemsOf(content, { env: {}, dataDir: `${folder.path}/kept/data` })).toEqual([
      expect.stringContaining("holds the gateway's own data"),
    ]);
    const { server } = await folder.load({}, { env: {}, dataDir: 'here' });
    expect(server.dataDir).toBe(`${process.cwd()}/here`);
  });

  it.each(['/', '/run', '/var/run', '/var/run/docker.sock', '/run/podman'])(
    'never hold the engine: %s',
    async (bind) => {
      expect(await volume(bind, ['/'])).toEqual([expect.stringContaining("the engine's socket")]);
    },
  );

  it('never hold any socket, nor the one that DOCKER_HOST names', async () => {
    const path = `${folder.path}/s.sock`;
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    expect(await volume(path, [folder.path])).toEqual([expect.stringContaining('is a socket')]);
    await new Promise((resolve) => server.close(resolve));
    const content = {
      server: { allowedBinds: ['/'] },
      jobs: { a: { ...JOB, volumes: [{ bind: '/opt/eng', to: '/in' }] } },
    };
    expect(await found(content, { DOCKER_HOST: 'unix:///opt/eng/d.sock' })).toEqual([
      expect.stringContaining("the engine's socket"),
    ]);
  });

  it("never hold the gateway's own data", async () => {
    expect(await volume(`${folder.path}/.tappet/logs`, [folder.path])).toEqual([
      expect.stringContaining("the gateway's own data"),
    ]);
    expect(await volume(folder.path, [folder.path])).toEqual([
      expect.stringContaining("the gateway's own data"),
    ]);
  });

  it('stand at absolute places, one at each', async () => {
    const allowed = [`${folder.path}/v`];
    const bind = `${folder.path}/v/a`;
    expect(await volume(bind, allowed, 'in')).toEqual([
      expect.stringContaining('must be an absolute path in the container'),
    ]);
    const lines = await job(
      {
        volumes: [
          { bind, to: '/in' },
          { bind, to: '/in/../in' },
        ],
      },
      { allowedBinds: allowed },
    );
    expect(lines).toEqual(['jobs.a.volumes[1].to: another volume stands at "/in" already']);
  });

  it.each([
    [{ cpuOvercommit: 0 }, 'server.admission.cpuOvercommit: must be at least 0.1'],
    [{ memoryReserve: 5 }, 'server.admission.memoryReserve: '],
    [{ memory: '1Gi' }, 'server.admission.memory: unknown key "memory"'],
  ])('admission %j', async (admission, line) => {
    const lines = await found({ server: { admission, maxRunningTasks: 5 } });
    expect(lines).toEqual(line.endsWith(': ') ? [] : [expect.stringContaining(line)]);
  });

  it('need absolute folders in allowedBinds', async () => {
    expect(await found({ server: { allowedBinds: ['./data'] } })).toEqual([
      'server.allowedBinds[0]: "./data" must be an absolute path',
    ]);
  });
});

describe('triggers', () => {
  it.each([
    [{ source: { kind: 'cron', cron: '0 0 31 2 *' } }, 'triggers.t.source.cron: "0 0 31 2 *" never fires'],
    [
      { source: { ...CRON, zone: 'Europe/Berln' } },
      'triggers.t.source.zone: there is no time zone "Europe/Berln": did you mean "Europe/Berlin"?',
    ],
    [
      { source: { kind: 'crn' } },
      'triggers.t.source.kind: there is no kind of source "crn": did you mean "cron"?',
    ],
    [{ source: {} }, 'triggers.t.source.kind: needs a "kind": cron, webhook, storage or files'],
    [
      { source: { ...CRON, zoen: 'UTC' } },
      'triggers.t.source.zoen: unknown key "zoen": did you mean "zone"?',
    ],
    [{ when: 'event.x >' }, 'triggers.t.when: column 9: something is missing after ">"'],
    [{ when: '${{ event.x }}' }, 'triggers.t.when: is an expression as a whole: write it without ${{ }}'],
    [{ when: 'captures.x == 1' }, '`captures` cannot be read here; what can: event, claims, trigger'],
    [{ when: 'task.index == 1' }, '`task` cannot be read here'],
  ])('%j', async (fields, line) => {
    expect(await trigger(fields)).toEqual([expect.stringContaining(line)]);
  });

  it.each([
    [
      { env: { LD_PRELOAD: 'x' } },
      'triggers.t.run.env.LD_PRELOAD: LD_PRELOAD changes how programs are loaded',
    ],
    [{ env: { PATH: 'x' } }, 'triggers.t.run.env.PATH: PATH changes which programs are found'],
    [{ env: { X: '${{ event.x ' } }, 'triggers.t.run.env.X: column 1: "${{" has no "}}"'],
    [{ args: ['a', '${{ evnt.x }}'] }, 'triggers.t.run.args[1]: column 5: unknown name "evnt"'],
    [
      { taskCount: 10_001 },
      'triggers.t.run.taskCount: must be a whole number from 1 to 10000; the limit is server.limits.maxTasks',
    ],
    [{ taskCount: 'two' }, 'triggers.t.run.taskCount: must be a whole number'],
    [{ taskCount: '${{ task.count }}' }, '`task` cannot be read here'],
    [{ timeout: '8d' }, 'triggers.t.run.timeout: must be between 1s and 7d, not 8d'],
    [{ timeout: 60 }, 'triggers.t.run.timeout: must have a unit: write "60s"'],
    [{ timeout: 'soon' }, 'triggers.t.run.timeout: "soon" is not a duration'],
  ])('run %j', async (fields, line) => {
    expect(await run(fields)).toEqual([expect.stringContaining(line)]);
  });

  it('may render count and timeout from the event', async () => {
    expect(await run({ taskCount: '${{ event.data.n }}', timeout: '${{ event.data.n }}s' })).toEqual([]);
  });
});

describe('webhooks', () => {
  const oidc = { issuer: 'good', audience: 'x', require: "claims.sub == 'a'" };
  it.each([
    [undefined, 'a webhook must say who may call: choose one of "oidc", "hmac"'],
    [{}, 'nothing is chosen: choose one'],
    ['nobody', 'choose one of "oidc", "hmac"'],
    [{ oauth: {} }, 'auth.oauth: unknown key "oauth": there is: oidc, hmac, gitlab, bearer, basic'],
    [{ oidc, bearer: { token: { env: 'S' } } }, 'oidc and bearer cannot stand together'],
    [
      { hmac: { secret: 'plain-text' } },
      'auth.hmac.secret: a secret value never stands here: write { "env": "NAME" }, { "file": "./path" } or { "secret": "name" }',
    ],
    [{ hmac: { secret: { env: 'A', file: 'b' } } }, 'name exactly one of "env", "file" and "secret"'],
    [{ hmac: { secret: { env: 'NOPE' } } }, 'auth.hmac.secret: the environment variable NOPE is not set'],
    [{ bearer: { token: { file: './nope' } } }, 'nope" does not exist: check the path and who may read it'],
    [
      { oidc: { ...oidc, issuer: 'goood' } },
      'auth.oidc.issuer: there is no issuer "goood" under "issuers": did you mean "good"?',
    ],
    [{ oidc: { ...oidc, require: '' } }, 'auth.oidc.require: column 1: it is empty'],
    [{ oidc: { ...oidc, require: 'true' } }, 'auth.oidc.require: must say who may call'],
    [
      { oidc: { ...oidc, require: "claims.iss == 'x' && claims.aud == 'y' && claims.exp > 1" } },
      'must say who may call',
    ],
    [{ oidc: { ...oidc, require: 'has(claims.email)' } }, 'must say who may call'],
    [{ oidc: { ...oidc, require: 'claims.email_verified == true' } }, 'must say who may call'],
    [{ oidc: { ...oidc, require: "event.x == 'y'" } }, '`event` cannot be read here; what can: claims'],
    [
      { oidc: { issuer: 'good', audience: 'x' } },
      'auth.oidc: must say who may call, by "emails", "subjects" or a claim in "require"',
    ],
    [{ oidc: { ...oidc, audience: [] } }, 'auth.oidc.audience: must not be empty'],
  ])('auth %j', async (value, line) => {
    expect(await auth(value)).toEqual([expect.stringContaining(line)]);
  });

  it('never print a secret that was written in its place', async () => {
    expect((await auth({ hmac: { secret: 'plain-text' } })).join()).not.toContain('plain-text');
  });
});

describe('issuers', () => {
  const good = { issuer: 'https://id.example' };
  it.each([
    [{}, 'issuers.i: needs an "issuer"'],
    [
      { preset: 'gogle' },
      'issuers.i.preset: must be "google" or "github-actions" or "kubernetes" or "generic"',
    ],
    [{ preset: 'generic' }, 'issuers.i: needs an "issuer"'],
    [{ preset: 'kubernetes', issuer: 'http://10.0.0.1' }, 'issuers.i.issuer: must be https'],
    [{ ...good, maxKeyAge: '1m' }, 'issuers.i.maxKeyAge: must be between 10m and 30d, not 1m'],
    [{ preset: 'google', issuer: 'https://x' }, 'issuers.i.issuer: comes with the preset "google"'],
    [{ issuer: 'http://id.example' }, 'issuers.i.issuer: must be https'],
    [{ ...good, jwks: 'http://id.example/keys' }, 'issuers.i.jwks: must be https'],
    [{ ...good, jwks: { keys: [] } }, 'issuers.i.jwks.keys: must not be empty'],
    [{ ...good, jwks: 5 }, 'issuers.i.jwks: must be an address, or'],
    [{ ...good, jwks: { keys: [{ kty: 'RSA', d: 'x' }] } }, 'jwks.keys[0]: is a private key'],
    [{ ...good, jwks: { keys: [{ kty: 'oct', k: 'x' }] } }, 'jwks.keys[0]: is a shared secret'],
    [
      { ...good, algorithms: ['HS256'] },
      'algorithms[0]: "HS256" is refused: its key both checks and makes tokens',
    ],
    [{ ...good, algorithms: ['none'] }, 'algorithms[0]: "none" is no signature'],
    [{ ...good, algorithms: ['RS257'] }, 'did you mean "RS256"?'],
    [{ ...good, clockSkew: '6m' }, 'issuers.i.clockSkew: must be between 0s and 5m, not 6m'],
  ])('%j', async (value, line) => {
    expect(await issuer(value)).toEqual([expect.stringContaining(line)]);
  });

  it('may be reached by http where that is said', async () => {
    expect(await issuer({ issuer: 'http://127.0.0.1:8089', allowHttp: true })).toEqual([]);
  });
});

it('says what there is beside an unknown section', async () => {
  expect(await found({ receivers: {} })).toEqual([
    'receivers: unknown key "receivers": there is: server, issuers, connections, notifications, jobs, triggers',
  ]);
  expect(await found({ trigers: {} })).toEqual(['trigers: unknown key "trigers": did you mean "triggers"?']);
});
