import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { createSecrets, secretWarning } from '../../src/secrets/secret-reader.ts';

const folder = mkdtempSync(join(tmpdir(), 'tappet-secrets-'));
afterAll(() => rmSync(folder, { recursive: true }));
const secrets = createSecrets({ env: { KEY: 'from-env', EMPTY: '' }, baseDir: folder });

function write(name: string, text: string, mode = 0o600): { file: string } {
  writeFileSync(join(folder, name), text);
  chmodSync(join(folder, name), mode);
  return { file: `./${name}` };
}

describe('createSecrets', () => {
  it.each([
    ['x', 'x'],
    ['x\n', 'x'],
    ['x\r\n', 'x'],
    ['x\n\n', 'x\n'],
    [' x ', ' x '],
  ])('reads %j from a file beside the configuration', async (text, value) => {
    expect((await secrets.resolve(write('s', text))).reveal()).toBe(value);
  });

  it('reads the environment and a changed file anew', async () => {
    expect((await secrets.resolve({ env: 'KEY' })).reveal()).toBe('from-env');
    await secrets.resolve(write('rotated', 'old'));
    expect((await secrets.resolve(write('rotated', 'new'))).reveal()).toBe('new');
  });

  it('gives a value that does not print', async () => {
    const value = await secrets.resolve({ env: 'KEY' });
    expect(`${String(value)} ${JSON.stringify({ value })} ${inspect(value)}`).not.toContain('from-env');
  });

  it.each([
    [{ env: 'NOPE' }, 'the environment variable NOPE is not set'],
    [{ env: 'toString' }, 'the environment variable toString is not set'],
    [{ env: 'EMPTY' }, 'is empty'],
    [{ file: './nope' }, 'does not exist'],
    [{ file: '.' }, 'is not a file'],
    [{ file: '/dev/zero' }, 'is not a file'],
  ])('refuses %j: %s', async (ref, message) => {
    await expect(secrets.resolve(ref)).rejects.toMatchObject({
      code: 'SECRET_UNREADABLE',
      message: expect.stringContaining(message),
      fields: { fix: expect.any(String) },
    });
  });

  it('refuses an empty and a far too large file', async () => {
    await expect(secrets.resolve(write('empty', '\n'))).rejects.toThrow('is empty');
    await expect(secrets.resolve(write('large', 'x'.repeat(70_000)))).rejects.toThrow('larger than 64 KiB');
  });
});

describe('secretWarning', () => {
  it.each([
    [0o600, undefined],
    [0o640, undefined],
    [0o644, 'can be read by every user'],
    [0o666, 'can be changed by every user'],
  ])('mode %o', async (mode, warning) => {
    const found = await secretWarning(write('mode', 'x', mode), folder);
    if (warning === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(warning);
  });

  it('has nothing to say about the environment and the store', async () => {
    expect(await secretWarning({ env: 'KEY' }, folder)).toBeUndefined();
    expect(await secretWarning({ secret: 'key', version: 1 }, folder)).toBeUndefined();
  });
});

it('resolves from its own folder, not from where the gateway was started', async () => {
  mkdirSync(join(folder, 'sub'));
  writeFileSync(join(folder, 'sub', 'k'), 'deep');
  expect((await secrets.resolve({ file: 'sub/k' })).reveal()).toBe('deep');
});
