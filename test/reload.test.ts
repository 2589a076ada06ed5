import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TappetError } from '../src/core/errors.ts';
import { ReloadRig } from './support/reload-rig.ts';

const job = (image: string) => ({ image });
const hook = (over: object = {}, run: object = {}) => ({
  source: { kind: 'webhook', auth: 'none' },
  run: { job: 'work', ...run },
  ...over,
});
const base = (triggers: object = { call: hook() }, more: object = {}) => ({
  jobs: { work: job('one') },
  triggers,
  ...more,
});
const start = (content: unknown = base(), env = {}) => ReloadRig.start({ 'a.json': content }, env);
const image = (rig: ReloadRig) => rig.current.jobs.get('work')?.spec.image;

describe('a valid change', () => {
  it('is applied as a whole, and told in one line a kind', async () => {
    const rig = await start(base({ call: hook(), old: hook(), same: hook() }));
    expect(await rig.call('call')).toMatchObject({ status: 202, outcome: 'matched' });
    const { etag } = rig.reload.status();
    rig.clock.set(rig.clock.now() + 60_000);
    rig.write('a.json', {
      server: { maxBody: '2Mi', eventRetention: '7d' },
      issuers: { google: { preset: 'google' } },
      jobs: { work: job('two'), more: job('three') },
      triggers: { call: hook({ when: 'false' }), same: hook(), fresh: hook() },
    });
    expect(await rig.reload.run()).toBeUndefined();
    const after = rig.reload.status();
    expect(rig.lines()).toEqual([
      'settings changed: server.maxBody, server.eventRetention',
      'issuers added: google',
      'jobs added: more; changed: work',
      'triggers added: fresh; changed: call; removed: old',
      'configuration applied',
    ]);
    expect(after).toEqual({
      state: 'applied',
      etag: expect.not.stringMatching(String(etag)),
      time: '2026-01-01T00:01:00.000Z',
      waitingForRestart: [],
    });
    expect(image(rig)).toBe('two');
    expect(rig.current.jobs.get('work')?.generation).toBe(2);
    expect(rig.current.definition('trigger', 'old')).toBeUndefined();
    expect(rig.applied).toBe(1);
    expect(await rig.call('call')).toMatchObject({ status: 202, outcome: 'filtered' });
    expect(await rig.call('fresh')).toMatchObject({ status: 202, outcome: 'matched' });
    expect(await rig.call('old')).toBeUndefined();
  });

  it('leaves executions as they were frozen', async () => {
    const rig = await start();
    const before = await rig.call('call');
    rig.write('a.json', { ...base(), jobs: { work: job('two') } });
    await rig.reload.run();
    const after = await rig.call('call');
    const images = [before, after].map((answer) => rig.store.getExecution(answer?.executions?.[0] ?? ''));
    expect((await Promise.all(images)).map((execution) => execution?.spec.image)).toEqual(['one', 'two']);
    rig.write('a.json', { jobs: {}, triggers: {} });
    await rig.reload.run();
    expect((await rig.store.listExecutions({}, { size: 10 })).items).toHaveLength(2);
  });

  it('of a folder is one too: a file more, a file less', async () => {
    const rig = await start();
    rig.write('b.json', { triggers: { fresh: hook() } });
    await rig.reload.run();
    expect(await rig.call('fresh')).toMatchObject({ status: 202 });
    rmSync(join(rig.folder.path, 'etc', 'b.json'));
    await rig.reload.run();
    expect(await rig.call('fresh')).toBeUndefined();
    expect(rig.lines().filter((line) => line.startsWith('triggers'))).toEqual([
      'triggers added: fresh',
      'triggers removed: fresh',
    ]);
  });

  it('names 20 of many', async () => {
    const rig = await start();
    const many = Array.from({ length: 23 }, (_, i) => [`t${i}`, hook()]);
    rig.write('b.json', { triggers: Object.fromEntries(many) });
    await rig.reload.run();
    expect(rig.lines()[0]).toMatch(/^triggers added: t0, t1, .*, t19 and 3 more$/);
  });

  it('exchanges the store of a connection that is another, and keeps one that executions may name', async () => {
    const connection = (endpoint: string) => ({
      connections: { s: { kind: 's3', endpoint, accessKeyId: { env: 'K' }, secretAccessKey: { env: 'K' } } },
    });
    const rig = await start(base(undefined, connection('http://127.0.0.1:1')), { K: 'key' });
    const first = rig.objects.connection('s');
    await rig.reload.run();
    expect(rig.objects.connection('s')).toBe(first);
    rig.write('a.json', base(undefined, connection('http://127.0.0.1:2')));
    await rig.reload.run();
    const second = rig.objects.connection('s');
    expect(second).not.toBe(first);
    rig.write('a.json', base());
    await rig.reload.run();
    expect(rig.objects.connection('s')).toBe(second);
    expect(rig.lines().filter((line) => line.startsWith('connections'))).toEqual([
      'connections changed: s',
      'connections removed: s',
    ]);
  });
});

describe('nothing', () => {
  it('is done where nothing has changed but the writing', async () => {
    const rig = await start();
    const before = rig.current.applied;
    rig.write('a.json', `// a remark\n${JSON.stringify(base())}`);
    rig.beforeSync = () => expect.fail('nothing is to be stored');
    rig.clock.set(rig.clock.now() + 5_000);
    expect(await rig.reload.run()).toBeUndefined();
    expect(rig.lines()).toEqual(['configuration read again: nothing in it has changed']);
    expect(rig.current.applied).toEqual(before);
  });

  it('but that a secret is another is a new check of callers', async () => {
    const auth = { bearer: { token: { env: 'T' } } };
    const rig = await start(base({ call: hook({ source: { kind: 'webhook', auth } }) }), { T: 'first' });
    const status = async (token: string) =>
      (await rig.call('call', {}, { authorization: `Bearer ${token}` }))?.status;
    expect([await status('first'), await status('second')]).toEqual([202, 401]);
    rig.env['T'] = 'second';
    await rig.reload.run();
    expect([await status('first'), await status('second')]).toEqual([401, 202]);
  });
});

describe('an invalid change', () => {
  it('changes nothing; its mistakes are told once, and the status has them beside the last good one', async () => {
    const rig = await start();
    const good = rig.reload.status();
    rig.clock.set(rig.clock.now() + 60_000);
    rig.write(
      'a.json',
      '{\n  "jobs": { "work": { "image": 7 } },\n  "triggers": { "call": { "rum": {} } }\n}',
    );
    expect(await rig.reload.run()).toBe(30_000);
    const lines = rig.lines();
    expect(lines).toEqual([
      expect.stringMatching(/^configuration not applied: a\.json:2:32 jobs\.work\.image: /),
      expect.stringMatching(/^configuration not applied: a\.json:3:\d+ triggers\.call/),
      ...lines.slice(2),
    ]);
    expect(rig.reload.status()).toEqual({
      ...good,
      state: 'invalid',
      message: expect.stringContaining('a.json:2:32 jobs.work.image: '),
      since: '2026-01-01T00:01:00.000Z',
    });
    expect(await rig.call('call')).toMatchObject({ status: 202, outcome: 'matched' });
    rig.clock.set(rig.clock.now() + 60_000);
    await rig.reload.run();
    expect(rig.lines()).toEqual([]);
    expect(rig.reload.status()).toMatchObject({ since: '2026-01-01T00:01:00.000Z' });
    rig.write('a.json', base());
    await rig.reload.run();
    expect(rig.lines()).toEqual(['configuration read again: nothing in it has changed']);
    expect(rig.reload.status()).toEqual(good);
  });

  it.each<[string, string | object, RegExp]>([
    ['is cut short', '{ "jobs": { "work": { "image": "two" } }, "trigg', /a\.json:1:\d+.*not valid JSON/],
    ['is empty', '', /a\.json:1:1/],
    [
      'trusts an issuer that cannot be used',
      base(
        { call: hook({ source: { kind: 'webhook', auth: { oidc: oidc('bad') } } }) },
        {
          issuers: {
            bad: {
              issuer: 'https://i.example',
              jwks: { keys: [{ kty: 'EC', crv: 'P-256', x: 'no', y: 'no' }] },
            },
          },
        },
      ),
      /issuers\.bad/,
    ],
    [
      'names a secret that is not there',
      base({ call: hook({ source: { kind: 'webhook', auth: { bearer: { token: { env: 'NONE' } } } } }) }),
      /NONE is not set/,
    ],
  ])('that %s leaves all as it was', async (_what, content, message) => {
    const rig = await start();
    const before = rig.current.applied;
    rig.write('a.json', content);
    await rig.reload.run();
    expect(rig.lines().join('\n')).toMatch(message);
    expect(rig.current.applied).toBe(before);
    expect(await rig.call('call')).toMatchObject({ status: 202, outcome: 'matched' });
  });

  it('whose folder is gone or empty leaves all as it was', async () => {
    const rig = await start();
    rmSync(join(rig.folder.path, 'etc', 'a.json'));
    await rig.reload.run();
    rmSync(join(rig.folder.path, 'etc'), { recursive: true });
    await rig.reload.run();
    expect(rig.log.lines.map(({ message }) => message)).toEqual([
      expect.stringContaining('the folder holds no *.json'),
      expect.stringContaining('there is no such file or folder'),
    ]);
    expect(await rig.call('call')).toMatchObject({ status: 202 });
  });
});

describe('a store that refuses', () => {
  it('keeps the last good one, and is asked again after a second', async () => {
    const rig = await start();
    rig.write('a.json', { ...base(), jobs: { work: job('two') } });
    rig.beforeSync = () => {
      throw new TappetError('STORE_UNAVAILABLE', 'the disk is full');
    };
    expect([await rig.reload.run(), await rig.reload.run()]).toEqual([1_000, 1_000]);
    expect(rig.lines()).toEqual(['configuration not applied: the store refuses: the disk is full']);
    expect(rig.reload.status()).toMatchObject({ state: 'waiting' });
    expect(image(rig)).toBe('one');
    rig.beforeSync = () => undefined;
    expect(await rig.reload.run()).toBeUndefined();
    expect(image(rig)).toBe('two');
    expect(rig.reload.status()).toMatchObject({ state: 'applied' });
  });
});

describe('a crash between the store and the exchange', () => {
  it('changes nothing but that the next start finds the definitions stored: no generation is counted twice', async () => {
    const rig = await start();
    rig.write('a.json', { ...base({ call: hook(), fresh: hook() }), jobs: { work: job('two') } });
    rig.afterSync = () => {
      throw new Error('the process ends here');
    };
    await rig.reload.run();
    expect(image(rig)).toBe('one');
    expect(await rig.call('fresh')).toBeUndefined();
    await rig.end();
    const next = await ReloadRig.start({}, {}, { after: rig });
    expect(image(next)).toBe('two');
    expect(next.current.definition('job', 'work')?.generation).toBe(2);
    expect(next.current.definition('trigger', 'call')?.generation).toBe(1);
    expect(await next.call('fresh')).toMatchObject({ status: 202, outcome: 'matched' });
  });
});

describe('settings that are bound at the start', () => {
  it('wait for a restart, are named, and the rest is applied', async () => {
    const rig = await start();
    const server = { host: '::1', port: 9, dataDir: './elsewhere', limits: { maxTasks: 2 } };
    rig.write('a.json', { ...base(), server });
    await rig.reload.run();
    const waiting = ['server.host', 'server.port', 'server.dataDir'];
    expect(rig.lines()).toEqual([
      `settings changed: ${[...waiting, 'server.limits'].join(', ')}`,
      `settings that wait for a restart: ${waiting.join(', ')}`,
      'configuration applied',
    ]);
    expect(rig.reload.status()).toMatchObject({ state: 'applied', waitingForRestart: waiting });
    expect(rig.current.server.limits.maxTasks).toBe(2);
    rig.write('a.json', base());
    await rig.reload.run();
    expect(rig.reload.status()).toMatchObject({ waitingForRestart: [] });
  });

  it('are not waited for where a flag decides', async () => {
    const rig = await ReloadRig.start({ 'a.json': base() }, {}, { flags: ['port', 'dataDir'] });
    rig.write('a.json', { ...base(), server: { host: '::1', port: 9, dataDir: './elsewhere' } });
    await rig.reload.run();
    expect(rig.reload.status()).toMatchObject({ waitingForRestart: ['server.host'] });
  });
});

function oidc(issuer: string): object {
  return { issuer, audience: 'a', require: "claims.sub == 'x'" };
}
