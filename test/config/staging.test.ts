import { afterAll, describe, expect, it } from 'vitest';
import { ConfigFolder } from '../support/config-folder.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const ENV = { env: { S: 'hush-hush' } };
const STORE = { kind: 's3', accessKeyId: { env: 'S' }, secretAccessKey: { env: 'S' } };
const config = (job: object, server: object = {}) => ({
  server,
  connections: { store: STORE },
  jobs: { a: { image: 'x', ...job } },
});
const load = (job: object) => folder.load(config(job), ENV);
const found = async (content: object): Promise<string[]> => {
  const lines = await folder.problemsOf(content, ENV);
  return lines.map((line) => line.replace(/^config\.json:\d+:\d+ ?/, ''));
};

const EVENT_KEY = 's3://store/bucket/${{ event.data.name }}.json';
const TASK_KEY = 's3://store/bucket/out/${{ task.index }}/';

describe('inputs and outputs', () => {
  it('are as they were written, modes as bits', async () => {
    const { jobs } = await load({
      inputs: [
        { from: 'event.object', to: '/in/object' },
        { from: 's3://store/bucket/a b%20+', to: '/in/plain' },
        { from: { env: 'S' }, to: '/in/key', mode: '0400' },
      ],
      outputs: [
        { from: '/out/video.mp4', to: 's3://store/bucket/video.mp4', contentType: 'video/mp4' },
        { from: '/out/', to: 's3://store/bucket/' },
      ],
    });
    expect(jobs.get('a')?.spec).toMatchObject({
      inputs: [
        { from: 'event.object', to: '/in/object' },
        { from: 's3://store/bucket/a b%20+', to: '/in/plain' },
        { from: { env: 'S' }, to: '/in/key', mode: 0o400 },
      ],
      outputs: [
        { from: '/out/video.mp4', to: 's3://store/bucket/video.mp4', contentType: 'video/mp4' },
        { from: '/out/', to: 's3://store/bucket/' },
      ],
    });
    expect(jobs.get('a')?.addresses).toBeUndefined();
  });

  it('have their addresses compiled, over event, claims, trigger and task', async () => {
    const escaped = 's3://store/bucket/$${{ event }}';
    const { jobs } = await load({
      inputs: [
        { from: EVENT_KEY, to: '/in/a' },
        { from: escaped, to: '/in/b' },
      ],
      outputs: [
        { from: '/out/', to: TASK_KEY },
        { from: '/log', to: 's3://store/bucket/${{ claims.sub }}/${{ trigger.name }}' },
      ],
    });
    const addresses = jobs.get('a')?.addresses;
    expect([...(addresses?.keys() ?? [])]).toEqual([
      EVENT_KEY,
      escaped,
      TASK_KEY,
      's3://store/bucket/${{ claims.sub }}/${{ trigger.name }}',
    ]);
    const event = { data: { name: 'ü/1' } };
    expect(addresses?.get(EVENT_KEY)?.render({ event })).toMatchObject({
      value: 's3://store/bucket/ü/1.json',
    });
    expect(addresses?.get(TASK_KEY)?.roots).toEqual(['task']);
  });

  it('leave no trace where there are none, and change the etag where there are', async () => {
    const none = (await load({})).jobs.get('a');
    const empty = (await load({ inputs: [], outputs: [] })).jobs.get('a');
    const some = (await load({ inputs: [{ from: 'event.file', to: '/in' }] })).jobs.get('a');
    expect(empty?.spec).not.toHaveProperty('inputs');
    expect(empty?.etag).toBe(none?.etag);
    expect(some?.etag).not.toBe(none?.etag);
  });
});

describe('an input is refused', () => {
  const input = (fields: object) =>
    found(config({ inputs: [{ from: 'event.object', to: '/in', ...fields }] }));

  it.each([
    [{ from: '/data/file' }, 'from: must be "event.object", "event.file", "event.body", an address s3://'],
    [{ from: 'event.objct' }, 'did you mean "event.object"?'],
    [{ from: '${{ event.file }}' }, 'from: is written without ${{ }}: "event.file"'],
    [{ from: 's3://store/bucket' }, 'from: must be an address, s3://<connection>/<bucket>/<key>'],
    [{ from: 's3://store/bucket/' }, 'from: "s3://store/bucket/" names no object'],
    [{ from: 's3://store/bucket/../x' }, 'from: the key has "." or ".." as a part'],
    [{ from: `s3://store/bucket/${'x'.repeat(1025)}` }, 'from: the key is 1,025 bytes long, more than 1,024'],
    [
      { from: 's3://stroe/bucket/k' },
      'there is no connection "stroe" under "connections": did you mean "store"?',
    ],
    [{ from: 's3://stroe/bucket/${{ event.id }}' }, 'there is no connection "stroe"'],
    [{ from: 's3://${{ event.id }}/bucket/k' }, 'from: must name connection and bucket in plain text'],
    [{ from: 's3://store/${{ event.id }}/k' }, 'from: must name connection and bucket in plain text'],
    [{ from: 's3://store/bucket/${{ evnt.id }}' }, 'from: column 23: unknown name "evnt"'],
    [{ from: 's3://store/bucket/${{ captures.id }}' }, 'what can: event, claims, trigger, task'],
    [{ from: 5 }, 'from: must be "event.object"'],
    [{ from: { env: 'NO' } }, 'from: the environment variable NO is not set'],
    [{ from: { envv: 'S' } }, 'from.envv: unknown key "envv": did you mean "env"?'],
    [{ from: undefined }, 'from: must be "event.object"'],
    [{ to: 'in' }, 'to: must be an absolute path in the container'],
    [{ to: '/in/' }, 'to: must name a file'],
    [{ to: '/' }, 'to: must name a file'],
    [{ to: '/in/../etc' }, 'to: must not hold "//", "." or ".." as a part'],
    [{ to: '/proc/x' }, 'to: is covered by the engine'],
    [{ to: '/etc/hosts' }, 'to: is covered by the engine'],
    [{ mode: 644 }, 'mode: must be three or four octal digits in quotes, such as "0644"'],
    [{ mode: '4755' }, 'mode: must be three or four octal digits'],
  ])('with %j', async (fields, line) => {
    expect(await input(fields)).toEqual([expect.stringContaining(`jobs.a.inputs[0].`)]);
    expect(await input(fields)).toEqual([expect.stringContaining(line)]);
  });

  it.each([
    ['/in', '/in', 'inputs[1].to: another input stands at "/in" already'],
    ['/in', '/in/b', 'inputs[1].to: cannot stand beside the input at "/in"'],
    ['/in/b', '/in', 'inputs[1].to: cannot stand beside the input at "/in/b"'],
  ])('where another has its place: %s and %s', async (first, second, line) => {
    const inputs = [first, second].map((to) => ({ from: 's3://store/bucket/k', to }));
    expect(await found(config({ inputs }))).toEqual([expect.stringContaining(line)]);
  });

  it.each([
    ['/in/b', '/in/', 'lies in the volume at "/in", a folder of the host, where it would stay'],
    ['/in', '/in', 'lies in the volume at "/in"'],
    ['/in', '/in/b', 'must be a folder, as the volume at "/in/b" lies in it'],
    ['/in', '/', 'lies in the volume at "/"'],
  ])('where a volume has its place: %s and %s', async (to, volume, line) => {
    const job = {
      inputs: [{ from: 'event.object', to }],
      volumes: [{ bind: `${folder.path}/v`, to: volume }],
    };
    const lines = await found(config(job, { allowedBinds: [`${folder.path}/v`] }));
    expect(lines).toEqual([expect.stringContaining(line)]);
  });

  it('where there are more than 100, once', async () => {
    const inputs = Array.from({ length: 120 }, (_, i) => ({ from: 'event.object', to: `/in/${i}` }));
    expect(await found(config({ inputs }))).toEqual(['jobs.a.inputs: must be at most 100 items long']);
  });
});

describe('an output is refused', () => {
  const output = (fields: object) =>
    found(config({ outputs: [{ from: '/out', to: 's3://store/bucket/k', ...fields }] }));

  it.each([
    [{ to: 'event.object' }, 'to: must be an address, s3://<connection>/<bucket>/<key>'],
    [{ to: 's3://stroe/bucket/k' }, 'there is no connection "stroe" under "connections"'],
    [{ to: 's3://store/${{ event.id }}/k' }, 'to: must name connection and bucket in plain text'],
    [{ from: '/out/', to: 's3://store/bucket/k' }, 'must end with /, since a whole folder goes there'],
    [{ from: '/out/', to: 's3://store/bucket/${{ event.id }}' }, 'must end with /, since a whole folder'],
    [{ from: 'out' }, 'from: must be an absolute path'],
    [{ from: '/' }, 'from: must not be the root of the container'],
    [{ from: '/out/./a' }, 'from: must not hold "//", "." or ".." as a part'],
    [{ from: undefined }, 'from: is missing'],
    [{ contentType: 'mp4' }, 'contentType: must be a media type such as "video/mp4"'],
    [{ contentType: 'a/b\r\nx: y' }, 'contentType: must be a media type'],
    [{ mode: '0644' }, 'mode: unknown key "mode"'],
  ])('with %j', async (fields, line) => {
    expect(await output(fields)).toEqual([expect.stringContaining(line)]);
  });

  it.each([
    ['/a', 's3://store/b/k', '/b', 's3://store/b/k'],
    ['/a/x', 's3://store/b/', '/b/x', 's3://store/b/'],
    ['/a/x', 's3://store/b/', '/b', 's3://store/b/x'],
    ['/a/', TASK_KEY, '/a/', TASK_KEY],
  ])('where another goes to the same key: %s to %s, %s to %s', async (from, to, other, target) => {
    const outputs = [
      { from, to },
      { from: other, to: target },
    ];
    expect(await found(config({ outputs }))).toEqual(['jobs.a.outputs[1].to: outputs[0] goes there already']);
  });

  it('not where two folders, or two names, share what their keys start with', async () => {
    const to = 's3://store/bucket/';
    const outputs = ['/a/', '/b/', '/x', '/y'].map((from) => ({ from, to }));
    expect(await found(config({ outputs }))).toEqual([]);
  });
});

it('a key that every task would write is warned of', async () => {
  const outputs = [
    { from: '/out/a', to: 's3://store/bucket/a' },
    { from: '/out/b', to: 's3://store/bucket/b-${{ task.index }}' },
    { from: '/out/', to: 's3://store/bucket/all/' },
  ];
  const { warnings } = await load({ taskCount: 3, outputs });
  expect(warnings).toEqual([
    expect.stringMatching(/config\.json:\d+:\d+ each of 3 tasks stores its file under this key/),
  ]);
  expect((await load({ outputs })).warnings).toEqual([]);
});

describe('what a job takes of an event', () => {
  const triggers = (job: object, sources: Record<string, object>) => ({
    ...config(job),
    triggers: Object.fromEntries(
      Object.entries(sources).map(([name, source]) => [name, { source, run: { job: 'a' } }]),
    ),
  });
  const cron = { kind: 'cron', cron: '0 2 * * *' };
  const storage = { kind: 'storage', connection: 'store', bucket: 'bucket' };
  const files = { kind: 'files', path: './inbox' };
  const hook = { kind: 'webhook', auth: 'none' };
  const wants = (from: string) => ({
    inputs: [
      { from: 's3://store/b/k', to: '/k' },
      { from, to: '/in' },
    ],
  });

  it('an object comes from storage triggers alone', async () => {
    expect(await found(triggers(wants('event.object'), { cron, storage, files, hook }))).toEqual([
      'triggers.cron.run.job: job "a" takes event.object (its inputs[1]), but events of a cron trigger tell of no object: run it from a storage trigger',
      expect.stringContaining('triggers.files.run.job: job "a" takes event.object'),
      expect.stringContaining('triggers.hook.run.job: job "a" takes event.object'),
    ]);
  });

  it('a file comes from files triggers alone', async () => {
    expect(await found(triggers(wants('event.file'), { cron, storage, files }))).toEqual([
      expect.stringContaining('triggers.cron.run.job: job "a" takes event.file'),
      expect.stringContaining(
        'triggers.storage.run.job: job "a" takes event.file (its inputs[1]), but events of a storage trigger tell of no file: run it from a files trigger',
      ),
    ]);
  });

  it('a body comes from webhook triggers that keep it as a file', async () => {
    const kept = { kind: 'webhook', body: 'file', auth: { addresses: ['10.0.0.0/8'] } };
    expect(await found(triggers(wants('event.body'), { cron, hook, kept }))).toEqual([
      expect.stringContaining(
        'triggers.cron.run.job: job "a" takes event.body (its inputs[1]), but events of a cron trigger tell of no body that is a file: run it from a webhook trigger',
      ),
      'triggers.hook.run.job: job "a" takes event.body (its inputs[1]), which is not kept as a file here: add "body: file" to the source of this trigger',
    ]);
  });

  it('both never come, which is told once', async () => {
    const inputs = ['event.object', 'event.file'].map((from, i) => ({ from, to: `/in/${i}` }));
    expect(await found(triggers({ inputs }, { cron, storage, files }))).toEqual([
      'jobs.a.inputs[1].from: no event tells of several of these, an object, a file and a body: make a job of each',
    ]);
  });
});
