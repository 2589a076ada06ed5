import { afterAll, describe, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import { ConfigFolder } from '../support/config-folder.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const ENV = { env: { W: `whsec_${Buffer.alloc(32, 1).toString('base64')}`, PLAIN: 'a password' } };
const receiver = { url: 'https://example.com/hook', secret: { env: 'W' } };
const notifications = { ops: receiver, ci: { ...receiver, allowPrivateAddresses: true } };
const jobOf = async (notify: object | undefined, all?: object) => {
  const job = notify === undefined ? { image: 'x' } : { image: 'x', notify };
  const server = all === undefined ? {} : { server: { notify: all } };
  return (await folder.load({ ...server, notifications, jobs: { a: job } }, ENV)).jobs.get('a')?.spec.notify;
};
const problemsOf = async (config: object): Promise<string[]> => {
  const error = await folder.load(config, ENV).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  const errors = error instanceof TappetError ? (error.fields.errors ?? []) : [];
  return errors.map(({ path, message }) => `${path.replace(/^\S+ ?/, '')}: ${message}`);
};

describe('who is told', () => {
  it('stands under "notifications", with the safe choices where nothing is said', async () => {
    const config = await folder.load({ notifications }, ENV);
    expect(config.notifications.get('ops')).toEqual({
      ...receiver,
      allowHttp: false,
      allowPrivateAddresses: false,
    });
    expect(config.notifications.get('ci')).toMatchObject({ allowPrivateAddresses: true });
  });

  it('of a failure hears of the recovery too, unless that is said otherwise', async () => {
    expect(await jobOf({ onFailure: ['ops'] })).toEqual({
      onFailure: ['ops'],
      onRecovery: ['ops'],
      onCompletion: [],
    });
    expect(await jobOf({ onFailure: ['ops', 'ops'], onRecovery: [], onCompletion: ['ci'] })).toEqual({
      onFailure: ['ops'],
      onRecovery: [],
      onCompletion: ['ci'],
    });
  });

  it('of every job stands in the server, and each job may say otherwise', async () => {
    const all = { onFailure: ['ops'] };
    expect(await jobOf(undefined)).toBeUndefined();
    expect(await jobOf(undefined, all)).toMatchObject({ onFailure: ['ops'], onRecovery: ['ops'] });
    expect(await jobOf({ onCompletion: ['ci'] }, all)).toMatchObject({
      onFailure: ['ops'],
      onRecovery: ['ops'],
      onCompletion: ['ci'],
    });
    expect(await jobOf({ onFailure: [] }, all)).toBeUndefined();
  });

  it('is found in what is wrong, with the place', async () => {
    expect(
      await problemsOf({
        server: { notify: { onFailure: ['opps'] } },
        notifications: {
          ops: { ...receiver, url: 'http://10.0.0.1/' },
          ci: { ...receiver, secret: { env: 'PLAIN' } },
        },
        jobs: { a: { image: 'x', notify: { onCompletion: ['ci', 'nobody'], onFail: [] } } },
      }),
    ).toEqual(
      [
        expect.stringContaining(
          'server.notify.onFailure[0]: there is no receiver "opps" under "notifications"',
        ),
        expect.stringContaining('notifications.ops.url: must be https'),
        expect.stringContaining('notifications.ci.secret: must be "whsec_"'),
        expect.stringContaining('jobs.a.notify.onCompletion[1]: there is no receiver "nobody"'),
        expect.stringContaining('jobs.a.notify.onFail: unknown key "onFail": did you mean "onFailure"?'),
      ].map((one: unknown) => one),
    );
  });
});
