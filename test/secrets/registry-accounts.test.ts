import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RegistryAccount, RegistrySpec } from '../../src/core/registry.ts';
import { createRegistries } from '../../src/secrets/registry-accounts.ts';
import { createSecrets } from '../../src/secrets/secret-reader.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tpt-accounts-'));
});
afterEach(() => rm(dir, { recursive: true }));

const env: Record<string, string> = {};
const of = (specs: Record<string, RegistrySpec>) =>
  createRegistries({ specs: () => specs, secrets: createSecrets({ env, baseDir: dir }) });
const plain = (account: RegistryAccount | undefined) => {
  if (account === undefined) return undefined;
  if ('identityToken' in account) return { token: account.identityToken.reveal() };
  return { username: account.username, password: account.password.reveal() };
};

it('reads an account anew at each call', async () => {
  const registries = of({ 'r.example': { username: { env: 'USER' }, password: { env: 'PASS' } } });
  Object.assign(env, { USER: 'ann', PASS: 'one' });
  expect(plain(await registries.account('r.example'))).toEqual({ username: 'ann', password: 'one' });
  env['PASS'] = 'two';
  expect(plain(await registries.account('r.example'))).toEqual({ username: 'ann', password: 'two' });
});

it('has none for another host, port or what every object has', async () => {
  const registries = of({ 'r.example': { username: 'ann', password: { env: 'PASS' } } });
  for (const host of ['r.example:5000', 'x.r.example', 'constructor', '__proto__'])
    expect(await registries.account(host)).toBeUndefined();
});

describe('a Docker configuration', () => {
  const auth = (text: string) => Buffer.from(text).toString('base64');
  async function account(content: unknown, host = 'r.example') {
    const file = join(dir, 'config.json');
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
    return plain(await of({ [host]: { dockerConfig: file } }).account(host));
  }

  it.each([
    ['user and password in one', { auth: auth('ann:pa:ss') }, { username: 'ann', password: 'pa:ss' }],
    ['user and password', { username: 'ann', password: 'x' }, { username: 'ann', password: 'x' }],
    ['a token instead', { auth: auth('<token>:'), identitytoken: 'tok' }, { token: 'tok' }],
  ])('has %s', async (_, entry, wanted) => {
    expect(await account({ auths: { 'other.example': {}, 'r.example': entry }, HttpHeaders: {} })).toEqual(
      wanted,
    );
  });

  it('knows the old names of hosts', async () => {
    const entry = { auth: auth('ann:x') };
    const wanted = { username: 'ann', password: 'x' };
    expect(await account({ auths: { 'https://r.example': entry } })).toEqual(wanted);
    expect(await account({ auths: { 'https://index.docker.io/v1/': entry } }, 'docker.io')).toEqual(wanted);
  });

  it.each<[string, unknown, RegExp]>([
    ['no account for the host', { auths: {} }, /has no account for r\.example/],
    ['an empty one', { auths: { 'r.example': { auth: '' } } }, /has no account for r\.example/],
    ['it in a helper', { auths: { 'r.example': {} }, credsStore: 'pass' }, /helper program "pass"/],
    [
      'it in a helper of its own',
      { credHelpers: { 'r.example': 'ecr-login' } },
      /helper program "ecr-login"/,
    ],
    ['no JSON', '{ "auths": s3cret', /is no Docker configuration/],
    ['something else', { auths: 's3cret' }, /is no Docker configuration/],
  ])('that has %s is an error in words', async (_, content, message) => {
    const error = await account(content).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'SECRET_UNREADABLE',
      message: expect.stringMatching(message) as unknown,
    });
    expect(String(error)).not.toContain('s3cret');
  });

  it('that is not there, or is a folder, is an error in words', async () => {
    const missing = of({ x: { dockerConfig: join(dir, 'nope.json') } }).account('x');
    await expect(missing).rejects.toMatchObject({
      code: 'SECRET_UNREADABLE',
      message: expect.stringMatching(/nope\.json" does not exist/) as unknown,
    });
    await expect(of({ x: { dockerConfig: dir } }).account('x')).rejects.toMatchObject({
      code: 'SECRET_UNREADABLE',
    });
  });
});
