import { chmod, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensureToken, TokenAuth } from '../../src/auth/api-tokens.ts';
import { PERMISSIONS } from '../../src/core/permissions.ts';
import { SecretValue } from '../../src/core/secrets.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tappet-token-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

const put = async (text: string, mode = 0o600): Promise<string> => {
  await writeFile(join(dir, 'token'), text);
  await chmod(join(dir, 'token'), mode);
  return join(dir, 'token');
};

test('the first start makes a token that only its owner can read; the next one finds it', async () => {
  const data = join(dir, 'data', 'deep');
  const made = await ensureToken(data);
  expect(made).toMatchObject({ path: join(data, 'token'), created: true });
  expect(made.token.reveal()).toMatch(/^tpt_[A-Za-z0-9_-]{43}$/);
  expect((await stat(made.path)).mode & 0o777).toBe(0o600);
  expect(await readdir(data)).toEqual(['token']);
  const found = await ensureToken(data);
  expect(found.created).toBe(false);
  expect(found.token.reveal()).toBe(made.token.reveal());
  expect((await readFile(made.path, 'utf8')).trim()).toBe(made.token.reveal());
});

test('two starts at once agree on one token', async () => {
  const all = await Promise.all(Array.from({ length: 8 }, () => ensureToken(dir)));
  expect(new Set(all.map(({ token }) => token.reveal())).size).toBe(1);
  const created = all.map((one) => one.created);
  expect(created.filter((one) => one)).toEqual([true]);
  expect(created.filter((one) => !one)).toEqual(Array<boolean>(7).fill(false));
  expect(await readdir(dir)).toEqual(['token']);
});

test('a start that finds a token writes nothing: the folder may be full, or for reading alone', async () => {
  await put('my-own-token-of-some-length');
  await utimes(dir, 1, 1);
  expect((await ensureToken(dir)).created).toBe(false);
  expect((await stat(dir)).mtimeMs).toBe(1000);
});

test.each(['my-own-token-of-some-length', 'sixteen-letters.'])(
  'a token put there by hand is taken, without the line end of an editor: %s',
  async (text) => {
    await put(`${text}\n`);
    expect((await ensureToken(dir)).token.reveal()).toBe(text);
  },
);

test.each([0o640, 0o604, 0o620, 0o644, 0o666])(
  'mode %o is refused with the command that mends it',
  async (mode) => {
    const path = await put('my-own-token-of-some-length', mode);
    const refused = ensureToken(dir);
    await expect(refused).rejects.toMatchObject({ code: 'DATA_FOLDER_UNUSABLE', fields: { path } });
    await expect(refused).rejects.toMatchObject({
      message: `The token file ${path} can be read or changed by other users of this machine.`,
      fields: { fix: expect.stringContaining(`chmod 600 '${path}'`) },
    });
  },
);

const UNSENDABLE = 'holds something that no HTTP header can carry as one word.';

test.each([
  ['empty', '', 'is empty.'],
  ['only a line end', '\n', 'is empty.'],
  ['short', 'fifteen-letters', 'holds fewer than 16 characters.'],
  ['two lines', 'my-own-token-of-some-length\nmore', UNSENDABLE],
  ['with a space', 'my own token of some length', UNSENDABLE],
  ['with a comma', 'my,own,token,of,some,length', UNSENDABLE],
  ['not ASCII', 'mein-schlüssel-von-einiger-länge', UNSENDABLE],
])('a token file that is %s is refused, and the message does not hold it', async (_name, text, why) => {
  const path = await put(text);
  const error = await ensureToken(dir).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({
    code: 'DATA_FOLDER_UNUSABLE',
    message: `The token file ${path} ${why}`,
    fields: { fix: 'Delete it: the next start makes a new one.' },
  });
  if (text.trim() !== '') expect(String(error)).not.toContain(text);
});

test('a data folder that is a file is an error with the path', async () => {
  const path = await put('my-own-token-of-some-length');
  await expect(ensureToken(path)).rejects.toMatchObject({
    code: 'DATA_FOLDER_UNUSABLE',
    message: expect.stringMatching(/ cannot be used: ENOTDIR/) as unknown,
    fields: { path: join(path, 'token'), fix: 'Give the gateway its own data folder.' },
  });
});

const whoSends = (authorization: string | undefined) =>
  new TokenAuth(new SecretValue('my-own-token-of-some-length')).authenticate(
    new Headers(authorization === undefined ? {} : { authorization }),
  );

test('the token makes its bearer admin, who may do everything', async () => {
  const principal = await whoSends('Bearer my-own-token-of-some-length');
  expect(principal?.name).toBe('admin');
  expect([...(principal?.permissions ?? [])]).toEqual([...PERMISSIONS]);
});

test.each([
  undefined,
  '',
  'Bearer',
  'Bearer ',
  'Bearer my-own-token-of-some-lengt',
  'Bearer my-own-token-of-some-length2',
  'Bearer undefined',
  'Basic my-own-token-of-some-length',
  'Bearer my-own-token-of-some-length, Bearer x',
])('nobody: %j', async (value) => {
  expect(await whoSends(value)).toBeUndefined();
});

test('an empty token never becomes an Auth', () => {
  expect(() => new TokenAuth(new SecretValue(''))).toThrow(new TypeError('the API token is empty'));
});
