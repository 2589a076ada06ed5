import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { findKey } from '../../src/secrets/key.ts';
import { SecretStore } from '../../src/secrets/secret-store.ts';
import { tempFolder } from '../support/temp-folder.ts';

const TIME = '2026-01-01T00:00:00.000Z';
const bytes = randomBytes(32);
/** Its base64 has both characters that base64url writes otherwise. */
const odd = Buffer.alloc(32, Buffer.from('fbff', 'hex'));

function make(env: Record<string, string> = {}, dataDir = tempFolder()) {
  const store = new SecretStore({ dataDir, env });
  const snapshot = (): [string, string][] =>
    readdirSync(join(dataDir, 'secrets')).map((name) => [
      name,
      readFileSync(join(dataDir, 'secrets', name), 'utf8'),
    ]);
  return { store, dataDir, snapshot, keyPath: join(dataDir, 'secrets.key') };
}
const value = Buffer.from('hunter2');

describe('the key', () => {
  it.each([
    ['base64', odd.toString('base64')],
    ['base64 without padding', odd.toString('base64').replace('=', '')],
    ['base64url', odd.toString('base64url')],
    ['hex', odd.toString('hex')],
    ['upper-case hex', odd.toString('hex').toUpperCase()],
    ['a line', `${odd.toString('base64')}\r\n`],
  ])('may be written as %s', async (_form, text) => {
    const found = await findKey({ TAPPET_SECRETS_KEY: text }, '/nowhere');
    expect(found?.key.export().equals(odd)).toBe(true);
    expect(found?.id).toBe((await findKey({ TAPPET_SECRETS_KEY: odd.toString('hex') }, '/nowhere'))?.id);
  });

  it.each([
    ['16 bytes', randomBytes(16).toString('hex'), '24 bytes'],
    ['31 bytes', randomBytes(31).toString('base64'), '31 bytes'],
    ['33 bytes', randomBytes(33).toString('base64'), '33 bytes'],
    ['a password', 'correct horse battery!', 'neither base64 nor hex'],
  ])('is refused where it is %s, and not printed', async (_what, text, has) => {
    const { store } = make({ TAPPET_SECRETS_KEY: text });
    const error = await store.add('db', value, TIME).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code: 'SECRET_UNREADABLE',
      message: expect.stringContaining(
        `TAPPET_SECRETS_KEY does not hold a key of 32 bytes in base64 or hex: it is ${has}`,
      ),
      fields: { fix: expect.stringContaining('openssl rand -base64 32') },
    });
    expect(inspect(error)).not.toContain(text);
  });

  it('is made at the first use, 32 bytes, for its owner alone, and stays', async () => {
    const { store, keyPath } = make();
    expect(await store.add('db', value, TIME)).toEqual({ version: 1, madeKey: keyPath });
    const text = readFileSync(keyPath, 'utf8');
    expect(Buffer.from(text, 'base64')).toHaveLength(32);
    expect(statSync(keyPath).mode & 0o777).toBe(0o600);
    expect(await store.add('db', value, TIME)).toEqual({ version: 2 });
    expect(readFileSync(keyPath, 'utf8')).toBe(text);
  });

  it('of the environment needs no file, and goes before one', async () => {
    const key = bytes.toString('base64');
    const { store, keyPath, dataDir } = make({ TAPPET_SECRETS_KEY: key });
    await store.add('db', value, TIME);
    expect(existsSync(keyPath)).toBe(false);
    writeFileSync(keyPath, randomBytes(32).toString('base64'), { mode: 0o600 });
    expect((await store.read('db')).reveal()).toBe('hunter2');
    // Moved from the variable to the file.
    writeFileSync(keyPath, key);
    expect((await make({ TAPPET_SECRETS_KEY: '' }, dataDir).store.read('db')).reveal()).toBe('hunter2');
  });

  it.each([0o640, 0o604, 0o620, 0o602])(
    'in a file of mode %o is refused with the command that mends it',
    async (mode) => {
      const { store, keyPath } = make();
      await store.add('db', value, TIME);
      chmodSync(keyPath, mode);
      const refused = {
        code: 'SECRET_UNREADABLE',
        message: expect.stringContaining('can be read or changed by other users'),
        fields: { fix: `run: chmod 600 '${keyPath}'` },
      };
      await expect(store.read('db')).rejects.toMatchObject(refused);
      await expect(store.add('db', value, TIME)).rejects.toMatchObject(refused);
      chmodSync(keyPath, 0o600);
      expect((await store.read('db')).reveal()).toBe('hunter2');
    },
  );

  it.each(['', 'x'.repeat(5000)])('file that holds none is refused (%#)', async (text) => {
    const { store, keyPath } = make();
    writeFileSync(keyPath, text, { mode: 0o600 });
    await expect(store.add('db', value, TIME)).rejects.toThrow('does not hold a key of 32 bytes');
    expect(readFileSync(keyPath, 'utf8')).toBe(text);
  });

  it('that is a wrong one is told as such, and nothing is written', async () => {
    const { store, dataDir, snapshot } = make();
    await store.add('db', value, TIME);
    const before = snapshot();
    const other = make({ TAPPET_SECRETS_KEY: bytes.toString('hex') }, dataDir).store;
    const refused = {
      code: 'SECRET_UNREADABLE',
      message:
        'the environment variable TAPPET_SECRETS_KEY is not the key that version 1 of the secret "db" was stored with',
    };
    await expect(other.read('db')).rejects.toMatchObject(refused);
    await expect(other.add('db', value, TIME)).rejects.toMatchObject(refused);
    await expect(other.add('another', value, TIME)).rejects.toMatchObject(refused);
    expect(snapshot()).toEqual(before);
    expect(await other.list()).toHaveLength(1);
  });

  it('that is lost is not made anew while something needs it', async () => {
    const { store, keyPath, snapshot } = make();
    await store.add('db', value, TIME);
    const before = snapshot();
    renameSync(keyPath, `${keyPath}.away`);
    await expect(store.read('db')).rejects.toThrow('their key is not here');
    await expect(store.add('db', value, TIME)).rejects.toThrow('their key is not here');
    expect([existsSync(keyPath), snapshot()]).toEqual([false, before]);
    renameSync(`${keyPath}.away`, keyPath);
    expect((await store.read('db')).reveal()).toBe('hunter2');
    // The way out where it does not come back.
    renameSync(keyPath, `${keyPath}.away`);
    await store.remove('db', undefined, TIME);
    expect(await store.add('db', value, TIME)).toEqual({ version: 2, madeKey: keyPath });
  });
});
