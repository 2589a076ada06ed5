import { webcrypto } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
} from 'node:fs';
import { rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createSecrets } from '../../src/secrets/secret-reader.ts';
import { SecretStore } from '../../src/secrets/secret-store.ts';
import { tempFolder } from '../support/temp-folder.ts';

const TIME = '2026-01-01T00:00:00.000Z';
const ROOT = process.getuid?.() === 0;

function make(env: Record<string, string> = {}) {
  const dataDir = join(tempFolder(), 'data');
  return at(dataDir, env);
}
function at(dataDir: string, env: Record<string, string> = {}) {
  const store = new SecretStore({ dataDir, env });
  const add = async (name: string, value: string) => store.add(name, Buffer.from(value), TIME);
  const read = async (name: string, version?: number) => (await store.read(name, version)).reveal();
  const file = (name: string): string => join(dataDir, 'secrets', name);
  return { store, add, read, dataDir, file, keyPath: join(dataDir, 'secrets.key') };
}
/** Every file of the store with what it holds. */
function contents(dataDir: string): [string, string][] {
  const folder = join(dataDir, 'secrets');
  return readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]);
}

describe('versions', () => {
  it('count up from 1 and never change; the newest is given unless one is named', async () => {
    const { store, add, read } = make();
    const versions = [await add('db', 'one'), await add('db', 'two'), await add('other', 'x')];
    expect(versions.map(({ version }) => version)).toEqual([1, 2, 1]);
    expect([await read('db'), await read('db', 1), await read('db', 2)]).toEqual(['two', 'one', 'two']);
    expect(await store.list()).toEqual([
      {
        name: 'db',
        versions: [
          { version: 1, createTime: TIME },
          { version: 2, createTime: TIME },
        ],
      },
      { name: 'other', versions: [{ version: 1, createTime: TIME }] },
    ]);
  });

  it('are seen at the next read by who has read before, as the running gateway', async () => {
    const { add, dataDir } = make();
    await add('db', 'one');
    const secrets = createSecrets({ env: {}, baseDir: '/', store: new SecretStore({ dataDir, env: {} }) });
    expect((await secrets.resolve({ secret: 'db' })).reveal()).toBe('one');
    await add('db', 'two');
    expect((await secrets.resolve({ secret: 'db' })).reveal()).toBe('two');
    expect((await secrets.resolve({ secret: 'db', version: 1 })).reveal()).toBe('one');
  });

  it('are one number each where many write at once, with the key made once', async () => {
    const { dataDir, read, keyPath } = make();
    const writers = Array.from({ length: 12 }, (_, i) => at(dataDir).add('db', `value ${i}`));
    const added = await Promise.all(writers);
    expect(added.map(({ version }) => version).sort((a, b) => a - b)).toEqual(writers.map((_, i) => i + 1));
    for (const [i, { version }] of added.entries()) expect(await read('db', version)).toBe(`value ${i}`);
    expect(added.filter(({ madeKey }) => madeKey === keyPath)).toHaveLength(1);
    expect(readdirSync(join(dataDir, 'secrets'))).toHaveLength(12);
  });

  it('keep their number for ever: after a delete the next is a new one', async () => {
    const { store, add, read } = make();
    await add('db', 'one');
    await add('db', 'two');
    await add('db', 'three');
    expect(await store.remove('db', 3, TIME)).toEqual([3]);
    expect(await read('db')).toBe('two');
    await expect(read('db', 3)).rejects.toThrow('the secret "db" has no version 3');
    expect(await store.remove('db', undefined, TIME)).toEqual([1, 2]);
    expect(await store.list()).toEqual([]);
    await expect(read('db')).rejects.toThrow('there is no secret "db"');
    expect((await add('db', 'four')).version).toBe(4);
  });

  it('that are deleted leave nothing of their value in the folder', async () => {
    const { store, add, dataDir } = make();
    await add('db', 'one');
    const { box } = JSON.parse(contents(dataDir)[0]?.[1] ?? '') as { box: string };
    await store.remove('db', 1, TIME);
    expect(JSON.stringify(contents(dataDir))).not.toContain(box);
    await expect(store.remove('db', 1, TIME)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(store.remove('none', undefined, TIME)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('what is refused', () => {
  it.each(['', 'Db', '-db', '.db', 'a/b', '../db', 'a@1', 'a b', 'ä', 'a'.repeat(64)])(
    'the name %j',
    async (name) => {
      const { store, add, dataDir } = make();
      const code = 'INVALID_ARGUMENT';
      await expect(add(name, 'x')).rejects.toMatchObject({
        code,
        fields: { fix: expect.stringContaining('at most 63') },
      });
      await expect(store.read(name)).rejects.toMatchObject({ code: 'SECRET_UNREADABLE' });
      expect(existsSync(dataDir)).toBe(false);
    },
  );

  it.each(['a', '0', 'db-password', 'a..b', 'a_b.c-', 'a'.repeat(63)])('never the name %j', async (name) => {
    const { add, read } = make();
    await add(name, 'x');
    expect(await read(name)).toBe('x');
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'is empty'],
    ['too much', Buffer.alloc(64 * 1024 + 1, 'x'), 'larger than 64 KiB'],
    ['other bytes than UTF-8', Buffer.from([0x61, 0xff]), 'not text in UTF-8'],
  ])('as a value %s', async (_what, value, message) => {
    const { store } = make();
    await expect(store.add('db', value, TIME)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(message),
    });
  });

  it('a reference that leads nowhere, with the place and the command that mends it', async () => {
    const { add, store, dataDir } = make();
    await add('db-password', 'one');
    const secrets = createSecrets({ env: {}, baseDir: '/', store });
    await expect(secrets.resolve({ secret: 'db-pasword' })).rejects.toMatchObject({
      code: 'SECRET_UNREADABLE',
      message: `there is no secret "db-pasword" in the data folder ${dataDir} (did you mean "db-password"?)`,
      fields: { fix: `store it with: tappet secrets set db-pasword --data-dir ${dataDir}` },
    });
    await expect(secrets.resolve({ secret: 'db-password', version: 7 })).rejects.toThrow(
      `the secret "db-password" has no version 7 in the data folder ${dataDir}, only 1`,
    );
    await expect(createSecrets({ env: {}, baseDir: '/' }).resolve({ secret: 'x' })).rejects.toMatchObject({
      code: 'SECRET_UNREADABLE',
    });
  });

  it('to read makes nothing', async () => {
    const { store, dataDir } = make();
    await expect(store.read('db')).rejects.toThrow('there is no secret "db"');
    expect(await store.list()).toEqual([]);
    expect(existsSync(dataDir)).toBe(false);
  });
});

describe('a value', () => {
  it('is AES-256-GCM under the key of the file, bound to name and version', async () => {
    const { add, keyPath, file } = make();
    await add('db', 'hunter2 and more');
    const sealed = JSON.parse(readFileSync(file('db@1'), 'utf8')) as { nonce: string; box: string };
    const raw = Buffer.from(readFileSync(keyPath, 'utf8'), 'base64');
    const key = await webcrypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['decrypt']);
    const opened = await webcrypto.subtle.decrypt(
      {
        name: 'AES-GCM',
        iv: Buffer.from(sealed.nonce, 'base64'),
        additionalData: Buffer.from('tappet-secret:db@1'),
        tagLength: 128,
      },
      key,
      Buffer.from(sealed.box, 'base64'),
    );
    expect(Buffer.from(opened).toString()).toBe('hunter2 and more');
  });

  it('has a nonce of its own, and does not stand in the file or in what prints', async () => {
    const { store, add, dataDir } = make();
    for (let i = 0; i < 20; i += 1) await add('db', 'hunter2');
    const files = contents(dataDir).map(([, text]) => text);
    const nonces = files.map((text) => (JSON.parse(text) as { nonce: string }).nonce);
    expect(new Set(nonces).size).toBe(20);
    const printed = `${files.join('')}${inspect(await store.read('db'))}${inspect(store, { depth: 9 })}`;
    for (const form of ['utf8', 'base64', 'hex'] as const) {
      expect(printed).not.toContain(Buffer.from('hunter2').toString(form).replace(/=+$/, ''));
    }
  });

  it.each([
    ['another version of the same secret', 'db@2'],
    ['another secret', 'admin@1'],
  ])('does not open in the place of %s', async (_what, place) => {
    const { add, read, file } = make();
    await add('db', 'one');
    await add('admin', 'two');
    copyFileSync(file('db@1'), file(place));
    const [name = '', version] = place.split('@');
    await expect(read(name, Number(version))).rejects.toThrow('is damaged');
  });

  it('whose file was cut is told as damaged; the others go on, and it can be deleted', async () => {
    const { store, add, read, file } = make();
    await add('db', 'hunter2');
    writeFileSync(file('db@1'), readFileSync(file('db@1')).subarray(0, 40));
    await expect(read('db')).rejects.toThrow('version 1 of the secret "db" is damaged');
    expect(await store.list()).toEqual([{ name: 'db', versions: [{ version: 1, createTime: null }] }]);
    await add('db', 'anew');
    expect(await read('db')).toBe('anew');
    expect(await store.remove('db', 1, TIME)).toEqual([1]);
  });
});

describe('the folder', () => {
  it.each([0, 0o022, 0o277])('is for its owner alone under the umask %o', async (mask) => {
    const { add, read, dataDir, keyPath, file } = make();
    const before = process.umask(mask);
    try {
      await add('db', 'one');
    } finally {
      process.umask(before);
    }
    const modes = [dataDir, join(dataDir, 'secrets'), keyPath, file('db@1')].map(
      (path) => statSync(path).mode & 0o777,
    );
    expect(modes).toEqual([0o700, 0o700, 0o600, 0o600]);
    expect(await read('db')).toBe('one');
  });

  it('is cleared of drafts that a crash left, and of nothing else', async () => {
    const { add, file, dataDir } = make();
    await add('db', 'one');
    const old = 'draft-00000000000000aa';
    const young = 'draft-00000000000000bb';
    for (const name of [old, young, 'draft-of-a-letter', 'README']) writeFileSync(file(name), 'x');
    for (const name of [old, 'draft-of-a-letter', 'README']) utimesSync(file(name), 1e9, 1e9);
    await add('db', 'two');
    expect(readdirSync(join(dataDir, 'secrets')).sort()).toEqual(
      ['README', 'db@1', 'db@2', young, 'draft-of-a-letter'].sort(),
    );
  });

  it.runIf(ROOT)('belongs to whom the data folder belongs, where root writes', async () => {
    const { add, dataDir, keyPath, file } = make();
    mkdirSync(dataDir);
    chownSync(dataDir, 12_345, 54_321);
    await add('db', 'one');
    for (const path of [keyPath, join(dataDir, 'secrets'), file('db@1')]) {
      expect(statSync(path)).toMatchObject({ uid: 12_345, gid: 54_321 });
    }
  });

  it('that cannot be used is told with its place', async () => {
    const { dataDir, add, store } = make();
    mkdirSync(dataDir);
    writeFileSync(join(dataDir, 'secrets'), 'a file');
    await expect(add('db', 'x')).rejects.toMatchObject({
      code: 'DATA_FOLDER_UNUSABLE',
      message: expect.stringContaining(dataDir),
    });
    await expect(store.read('db')).rejects.toMatchObject({
      code: 'SECRET_UNREADABLE',
      message: expect.stringContaining(dataDir),
    });
    rmSync(join(dataDir, 'secrets'));
    chmodSync(dataDir, 0o700);
    expect((await add('db', 'x')).version).toBe(1);
  });
});
