import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigFolder } from '../support/config-folder.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const ENV = { S: 'secret' };
const SECRET = { env: 'S' };

const STORE = {
  kind: 's3',
  endpoint: 'http://127.0.0.1:9000',
  accessKeyId: SECRET,
  secretAccessKey: SECRET,
  notifications: { token: SECRET, dialect: 'minio' },
};
const OF_OBJECT = { from: 'event.object', to: '/in/object' };

const STAGED = {
  image: 'z',
  env: { KEY: SECRET },
  inputs: [
    OF_OBJECT,
    { from: 's3://store/bucket/${{ event.data.name }}.json', to: '/in/more' },
    { from: SECRET, to: '/in/key', mode: '0400' },
  ],
  outputs: [{ from: '/out/', to: 's3://store/bucket/${{ task.index }}/' }],
};

/** Without any mistake, and with a place for each of those below. */
const right = () => ({
  server: { allowedBinds: [`${folder.path}/in`], limits: { maxParallelism: 50 } },
  issuers: { own: { issuer: 'https://id.example', algorithms: ['RS256'] } },
  connections: { store: STORE },
  jobs: {
    a: {
      image: 'x',
      args: ['one', 'two'],
      env: { A: '1', B: '2' },
      volumes: [{ bind: `${folder.path}/in/a`, to: '/in' }],
    },
    b: { image: 'y' },
    staged: STAGED,
    'of-object': { image: 'z', inputs: [OF_OBJECT] },
  },
  triggers: {
    clock: {
      source: { kind: 'cron', cron: '0 2 * * *' },
      run: { job: 'a', env: { X: '1' }, args: ['one', 'two'] },
    },
    token: {
      source: {
        kind: 'webhook',
        auth: { oidc: { issuer: 'own', audience: 'x', require: "claims.sub == '1'" } },
      },
      run: { job: 'b' },
    },
    signed: {
      source: { kind: 'webhook', auth: { hmac: { secret: { env: 'S' } } } },
      run: { job: 'b' },
    },
    upload: {
      source: { kind: 'storage', connection: 'store', bucket: 'bucket' },
      run: { job: 'staged' },
    },
    drop: { source: { kind: 'files', path: './drop' }, run: { job: 'b' } },
  },
});

/** A copy in which no part stands twice: a mistake in one must not be one in another. */
const rightConfig = (): object => JSON.parse(JSON.stringify(right()));

type Mistake = readonly [path: string, value: unknown, line: string];

/** What is written where, and how the line about it begins. `undefined` takes it away. */
const MISTAKES: readonly Mistake[] = [
  ['conections', {}, 'conections: unknown key'],
  ['server.port', 'x', 'server.port: must be'],
  ['server.prot', 1, 'server.prot: unknown key'],
  ['server.limits.maxTasks', 'x', 'server.limits.maxTasks: must be'],
  ['server.allowedBinds.0', './x', 'server.allowedBinds[0]: "./x" must be'],
  ['server.allowedBinds.1', 5, 'server.allowedBinds[1]: must be'],
  ['issuers.own.issuer', 'http://id.example', 'issuers.own.issuer: must be https'],
  ['issuers.own.algorithms.0', 'HS256', 'issuers.own.algorithms[0]: "HS256" is refused'],
  ['issuers.own.algorithms.1', 5, 'issuers.own.algorithms[1]: must be'],
  ['issuers.own.clockSkew', '6m', 'issuers.own.clockSkew: must be'],
  ['issuers.own.jwks', 'http://id.example/keys', 'issuers.own.jwks: must be https'],
  ['connections.store.kind', 's4', 'connections.store.kind: must be "s3"'],
  ['connections.store.endpoint', '127.0.0.1', 'connections.store.endpoint: must be an address'],
  ['connections.store.accessKeyId.env', 'NO', 'connections.store.accessKeyId: the env'],
  ['connections.store.secretAccessKey', 'x', 'connections.store.secretAccessKey: a secret value never'],
  ['connections.store.sessionToken', { secret: 'no' }, 'connections.store.sessionToken: there is no secret'],
  ['connections.store.ca', './no.pem', 'connections.store.ca: "'],
  ['connections.store.poll', '1ms', 'connections.store.poll: must be'],
  ['connections.store.notifications.dialect', 'x', 'connections.store.notifications.dialect: must be'],
  ['connections.store.notifications.token.file', 'x', 'connections.store.notifications.token: name exactly'],
  ['connections.Bad', STORE, 'connections.Bad: "Bad" cannot be a name'],
  ['jobs.staged.env.KEY.env', 'NO', 'jobs.staged.env.KEY: the env'],
  ['jobs.staged.env.OTHER', { secret: 'no' }, 'jobs.staged.env.OTHER: there is no secret'],
  ['jobs.staged.inputs.0.from', 'event.objct', 'jobs.staged.inputs[0].from: must be "event.object"'],
  ['jobs.staged.inputs.0.form', 'x', 'jobs.staged.inputs[0].form: unknown key'],
  ['jobs.staged.inputs.1.from', 's3://stor/b/k', 'jobs.staged.inputs[1].from: there is no connection'],
  ['jobs.staged.inputs.1.to', 'in', 'jobs.staged.inputs[1].to: must be an absolute'],
  ['jobs.staged.inputs.2.from.env', 'NO', 'jobs.staged.inputs[2].from: the env'],
  ['jobs.staged.inputs.2.mode', 400, 'jobs.staged.inputs[2].mode: must be'],
  ['jobs.staged.inputs.2.to', '/in/object', 'jobs.staged.inputs[2].to: another input'],
  ['jobs.staged.inputs.3', 'x', 'jobs.staged.inputs[3]: must be'],
  ['jobs.staged.outputs.0.from', '/out/../', 'jobs.staged.outputs[0].from: must not hold'],
  ['jobs.staged.outputs.0.to', 's3://store/${{ x }}/k/', 'jobs.staged.outputs[0].to: must name'],
  ['jobs.staged.outputs.0.contentType', 'x', 'jobs.staged.outputs[0].contentType: must be'],
  ['jobs.a.image', undefined, 'jobs.a.image: is missing'],
  ['jobs.a.cpu', 'x', 'jobs.a.cpu: must be'],
  ['jobs.a.memory', '1Mi', 'jobs.a.memory: must be'],
  ['jobs.a.parallelism', 51, 'jobs.a.parallelism: must be at most 50'],
  ['jobs.a.tiemout', '1m', 'jobs.a.tiemout: unknown key'],
  ['jobs.a.args.0', ['x'], 'jobs.a.args[0]: must be'],
  ['jobs.a.args.1', '${{ task.indx }}', 'jobs.a.args[1]: column 5'],
  ['jobs.a.env.A', null, 'jobs.a.env.A: must be'],
  ['jobs.a.env.B', '${{ event.id }}', 'jobs.a.env.B: column 5'],
  ['jobs.a.env.CLOUD_RUN_JOB', 'x', 'jobs.a.env.CLOUD_RUN_JOB: CLOUD_RUN_JOB is set'],
  ['jobs.a.volumes.0.bind', '/run', 'jobs.a.volumes[0].bind: "/run" holds'],
  ['jobs.a.volumes.0.to', 'in', 'jobs.a.volumes[0].to: must be'],
  ['jobs.a.volumes.0.readOnly', 'x', 'jobs.a.volumes[0].readOnly: must be'],
  ['jobs.Bad', { image: 'x', cpu: 1 }, 'jobs.Bad: "Bad" cannot be a name'],
  ['jobs.c', 'x', 'jobs.c: must be a map'],
  ['triggers.clock.when', 'evnt.x', 'triggers.clock.when: column 1'],
  ['triggers.clock.wen', 'x', 'triggers.clock.wen: unknown key'],
  ['triggers.clock.labels', 5, 'triggers.clock.labels: must be'],
  ['triggers.clock.source.cron', '61 * * * *', 'triggers.clock.source.cron: "61 * * * *"'],
  ['triggers.clock.source.zone', 'Nowhere/Atall', 'triggers.clock.source.zone: there is no'],
  ['triggers.clock.source.zoen', 'x', 'triggers.clock.source.zoen: unknown key'],
  ['triggers.clock.run.job', 'c2', 'triggers.clock.run.job: there is no job "c2"'],
  ['triggers.clock.run.env.X', {}, 'triggers.clock.run.env.X: must be'],
  ['triggers.clock.run.env.LD_PRELOAD', 'x', 'triggers.clock.run.env.LD_PRELOAD: LD_PRELOAD'],
  ['triggers.clock.run.args.0', [], 'triggers.clock.run.args[0]: must be'],
  ['triggers.clock.run.args.1', '${{ x', 'triggers.clock.run.args[1]: column 1'],
  ['triggers.clock.run.taskCount', 'two', 'triggers.clock.run.taskCount: must be'],
  ['triggers.clock.run.timeout', 60, 'triggers.clock.run.timeout: must have a unit'],
  ['triggers.upload.source.connection', 'x', 'triggers.upload.source.connection: there is no connection'],
  ['triggers.upload.source.bucket', 'a/b', 'triggers.upload.source.bucket: is no name'],
  ['triggers.upload.source.prefx', 'a', 'triggers.upload.source.prefx: unknown key'],
  ['triggers.drop.source.path', '.', 'triggers.drop.source.path: "'],
  ['triggers.drop.source.settle', 2, 'triggers.drop.source.settle: must have a unit'],
  ['triggers.drop.run.job', 'of-object', 'triggers.drop.run.job: job "of-object" takes event.object'],
  ['triggers.token.run', undefined, 'triggers.token.run: is missing'],
  ['triggers.token.source.auth.oidc.issuer', 'none', 'triggers.token.source.auth.oidc.issuer: there is no'],
  ['triggers.token.source.auth.oidc.audience', [], 'triggers.token.source.auth.oidc.audience: must not'],
  ['triggers.token.source.auth.oidc.require', 'true', 'triggers.token.source.auth.oidc.require: must say'],
  ['triggers.signed.run.job', 5, 'triggers.signed.run.job: must be'],
  ['triggers.signed.source.auth.hmac.secret.env', 'NO', 'triggers.signed.source.auth.hmac.secret: the env'],
  ['triggers.signed.source.auth.hmac.encoding', 'x', 'triggers.signed.source.auth.hmac.encoding: must be'],
];

function put(target: object, path: string, value: unknown): void {
  const segments = path.split('.');
  const last = segments.pop() ?? '';
  const parent = segments.reduce<unknown>(
    (at, segment) => (typeof at === 'object' && at !== null ? Reflect.get(at, segment) : undefined),
    target,
  );
  if (typeof parent !== 'object' || parent === null) throw new Error(`no place for ${path}`);
  if (value === undefined) Reflect.deleteProperty(parent, last);
  else Reflect.set(parent, last, value);
}

/** Problems without their places: `path: message`. */
async function problemsOf(mistakes: readonly Mistake[]): Promise<string[]> {
  const content = rightConfig();
  for (const [path, value] of mistakes) put(content, path, value);
  const lines = await folder.problemsOf(content, { env: ENV });
  return lines.map((line) => line.replace(/^config\.json:\d+:\d+ /, ''));
}

describe('every mistake', () => {
  it('is none without any', async () => {
    expect(await problemsOf([])).toEqual([]);
  });

  it.each(MISTAKES)('%s = %j is told, once', async (path, value, line) => {
    const lines = await problemsOf([[path, value, line]]);
    expect(lines).toEqual([expect.stringContaining(line)]);
    expect(lines[0]?.startsWith(line)).toBe(true);
  });

  it('is told together with all others, wherever they stand', async () => {
    await fc.assert(
      fc.asyncProperty(fc.subarray([...MISTAKES], { minLength: 2 }), async (mistakes) => {
        const lines = await problemsOf(mistakes);
        const untold = mistakes.filter(([, , start]) => !lines.some((line) => line.startsWith(start)));
        expect({ untold, count: lines.length }).toEqual({ untold: [], count: mistakes.length });
      }),
      // Two mistakes stand together in a third of the runs: a pair that none of them holds is rare.
      { numRuns: 40 },
    );
  });
});

describe('across files', () => {
  const job = (fields: object) => JSON.stringify({ jobs: { a: { image: 'x', ...fields } } });

  it('what stands twice is told, and what else is wrong in both', async () => {
    folder.write('both/1.json', job({ cpu: 'x' }));
    folder.write('both/2.json', job({ cpu: 0 }));
    await expect(folder.problems(`${folder.path}/both`)).resolves.toEqual([
      'both/1.json:1:33 jobs.a.cpu: must be a number, not a text',
      'both/2.json:1:10 jobs.a: stands in both/1.json:1:10 already: remove or rename one of both',
      'both/2.json:1:33 jobs.a.cpu: must be at least 0.05',
    ]);
  });

  it('a file that cannot be read hides nothing in others, and nobody misses what it may hold', async () => {
    folder.write('slip/1.yaml', 'jobs: { b: { image: "x }\n');
    folder.write(
      'slip/2.yaml',
      'triggers:\n  t: { source: { kind: cron, cron: 0 0 31 2 * }, run: { job: b } }\njobs: { a: { cpu: x } }\n',
    );
    await expect(folder.problems(`${folder.path}/slip`)).resolves.toEqual([
      expect.stringContaining('slip/1.yaml:2:1: this is not valid YAML'),
      expect.stringContaining('slip/2.yaml:2:36 triggers.t.source.cron: "0 0 31 2 *" never fires'),
      expect.stringContaining('slip/2.yaml:3:9 jobs.a.image: is missing'),
      expect.stringContaining('slip/2.yaml:3:19 jobs.a.cpu: must be a number'),
    ]);
  });

  it('a setting with a mistake makes none of what it would have allowed', async () => {
    const content = {
      server: { allowedBinds: ['./in'], limits: { maxTasks: 'x' } },
      jobs: { a: { image: 'x', taskCount: 20_000, volumes: [{ bind: '/srv/in', to: '/in' }] } },
    };
    await expect(folder.problemsOf(content)).resolves.toEqual([
      expect.stringContaining('server.allowedBinds[0]: "./in" must be an absolute path'),
      expect.stringContaining('server.limits.maxTasks: must be'),
    ]);
  });
});

it('hundreds of mistakes are told one by one, without comparing every name with every other', async () => {
  const range = Array.from({ length: 200 }, (_, i) => i);
  const jobs = Object.fromEntries(range.map((i) => [`jobb-${i}`, { image: 'x' }]));
  const source = { kind: 'cron', cron: '0 2 * * *' };
  const triggers = Object.fromEntries(range.map((i) => [`t-${i}`, { source, run: { job: `job-${i}` } }]));
  const lines = await folder.problemsOf({ jobs, triggers });
  expect(lines).toHaveLength(200);
  expect(lines[0]).toContain('run.job: there is no job "job-0": did you mean "jobb-0"?');
  expect(lines[199]).toContain('run.job: there is no job "job-199": write the name of one that is there');
});
