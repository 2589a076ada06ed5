import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { readSecret } from '../../src/commands/read-secret.ts';
import { SecretStore } from '../../src/secrets/secret-store.ts';
import { cli, type CliRun } from '../support/cli-runner.ts';
import { tempFolder } from '../support/temp-folder.ts';

function folder(env: Record<string, string> = {}) {
  const dataDir = join(tempFolder(), 'data');
  const run = (args: readonly string[], stdin: string | Uint8Array = ''): Promise<CliRun> =>
    cli(['secrets', ...args], {
      env: { TAPPET_DATA_DIR: dataDir, ...env },
      readSecret: async () => Buffer.from(stdin),
    });
  const read = async (name: string, version?: number): Promise<string> =>
    (await new SecretStore({ dataDir, env }).read(name, version)).reveal();
  return { dataDir, run, read };
}

test('set stores the next version, and says where, how to name it, and what to keep', async () => {
  const { dataDir, run, read } = folder();
  const first = await run(['set', 'db'], 'hunter2\n');
  expect(first).toEqual({
    code: 0,
    out: 'name        db\nversion     1\ncreateTime  0s ago (2026-01-01T00:02:00Z)\n',
    err: [
      `Stored in the data folder ${dataDir}. The configuration names it as { "secret": "db" }.`,
      `Its key was made just now: ${dataDir}/secrets.key. Keep a copy of it elsewhere: without it no secret can be read.`,
      '',
    ].join('\n'),
  });
  const second = await run(['set', 'db', '-o', 'json'], 'hunter3');
  expect(JSON.parse(second.out)).toEqual({ name: 'db', version: 2, createTime: '2026-01-01T00:02:00.000Z' });
  expect(second.err).not.toContain('key was made');
  expect([await read('db'), await read('db', 1)]).toEqual(['hunter3', 'hunter2']);
});

test.each([
  ['x\n', 'x'],
  ['x\r\n', 'x'],
  ['x\n\n', 'x\n'],
  [' x ', ' x '],
  ['x\r', 'x\r'],
])('one line end is cut from %j, in a file too, unless it is to be kept', async (given, stored) => {
  const { dataDir, run, read } = folder();
  await run(['set', 'a'], given);
  const path = join(dataDir, 'given');
  writeFileSync(path, given);
  await run(['set', 'b', '--from-file', path]);
  await run(['set', 'c', '--keep-newline'], given);
  expect([await read('a'), await read('b'), await read('c')]).toEqual([stored, stored, given]);
});

test('list shows names, versions and times, and no value', async () => {
  const { run } = folder();
  const none = await run(['list']);
  expect(none).toMatchObject({ code: 0, out: 'NAME  VERSION  CREATED\n' });
  expect(none.err).toContain('There are no secrets in the data folder');
  await run(['set', 'db'], 'hunter2');
  await run(['set', 'db'], 'hunter3');
  expect((await run(['list'])).out).toBe(
    [
      'NAME  VERSION  CREATED',
      'db    1        0s ago (2026-01-01T00:02:00Z)',
      'db    2        0s ago (2026-01-01T00:02:00Z)',
      '',
    ].join('\n'),
  );
  const createTime = '2026-01-01T00:02:00.000Z';
  const json = await run(['list', '-o', 'json']);
  expect(JSON.parse(json.out)).toEqual({
    secrets: [
      {
        name: 'db',
        versions: [
          { version: 1, createTime },
          { version: 2, createTime },
        ],
      },
    ],
  });
});

test('delete takes one version or all, and says what is the newest then', async () => {
  const { run, read } = folder();
  for (const value of ['one', 'two', 'three']) await run(['set', 'db'], value);
  expect(await run(['delete', 'db', '--version', '3'])).toEqual({
    code: 0,
    out: '',
    err: 'Deleted db, version 3.\nThe newest is now version 2.\n',
  });
  expect(await read('db')).toBe('two');
  expect((await run(['delete', 'db'])).err).toBe('Deleted db, version 1, 2.\n');
  const again = await run(['delete', 'db']);
  expect(again.code).toBe(4);
  expect(again.err).toMatch(/^error: there is no secret "db" .*\n`tappet secrets list` shows/);
});

describe('what cannot be stored', () => {
  test.each([
    [['set', 'db'], '', 5, 'the value is empty'],
    [['set', 'db'], '\n', 5, 'the value is empty'],
    [['set', 'db'], 'x'.repeat(66_000), 5, 'larger than 64 KiB'],
    [['set', 'db'], Buffer.from([0xff, 0xfe]), 5, 'not text in UTF-8'],
    [['set', 'DB'], 'x', 5, 'lower-case letters'],
    [['set', 'db', 'hunter2'], '', 2, 'too many arguments'],
    [['set', 'db', '--from-file', '/nowhere'], '', 2, 'the file /nowhere cannot be read'],
    [['set', 'db', '--from-file', '/dev/zero'], '', 5, 'larger than 64 KiB'],
    [['set', 'db', '--from-file', '.'], '', 2, 'the file . cannot be read'],
    [['delete', 'db', '--version', '0'], '', 2, 'at least 1'],
  ] as const)('%j (%#)', async (args, stdin, code, message) => {
    const { run, dataDir } = folder();
    const result = await run(args, stdin);
    expect(result).toMatchObject({ code, out: '' });
    expect(result.err).toContain(message);
    // A value that was written on the command line is bad enough; it must not be printed too.
    expect(result.err).not.toContain('hunter2');
    expect(() => readdirSync(dataDir)).toThrow('ENOENT');
  });

  test('with a wrong key, which is told with what to do', async () => {
    const { dataDir, run } = folder();
    await run(['set', 'db'], 'x');
    const other = await cli(['secrets', 'set', 'db', '--data-dir', dataDir], {
      env: { TAPPET_SECRETS_KEY: 'ab'.repeat(32) },
      readSecret: async () => Buffer.from('y'),
    });
    expect(other).toMatchObject({ code: 1, out: '' });
    expect(other.err).toContain('TAPPET_SECRETS_KEY is not the key that version 1 of the secret "db"');
    expect(readdirSync(join(dataDir, 'secrets'))).toEqual(['db@1']);
  });
});

test('the program itself still tells its version', async () => {
  expect(await cli(['--version'])).toMatchObject({ code: 0, out: '1.2.3\n' });
});

describe('readSecret', () => {
  function terminal(isTTY: boolean) {
    const input = Object.assign(new PassThrough(), { isTTY, setRawMode: () => input });
    const output = new PassThrough();
    const interrupt = new AbortController();
    const shown = (): string => String(output.read() ?? '');
    const answer = readSecret({ input, output, signal: interrupt.signal }, 'Value: ');
    return { input, shown, answer, interrupt };
  }

  test('takes a typed line, with its corrections, and shows the question alone', async () => {
    const { input, shown, answer } = terminal(true);
    input.write('huntes\u007fr3\u007f2\r');
    expect(Buffer.from(await answer).toString()).toBe('hunter2');
    expect(shown()).toBe('Value: \n');
  });

  test('ends at Ctrl-C and a signal with 130; Ctrl-D gives nothing', async () => {
    const first = terminal(true);
    first.input.write('abc\u0003');
    await expect(first.answer).rejects.toMatchObject({ code: 130 });
    const second = terminal(true);
    second.input.write('\u0004');
    expect(await second.answer).toHaveLength(0);
    const third = terminal(true);
    third.interrupt.abort();
    await expect(third.answer).rejects.toMatchObject({ code: 130 });
  });

  test('takes all bytes where nobody types, and asks nothing', async () => {
    const { input, shown, answer } = terminal(false);
    input.write(Buffer.from([0xff, 0x0a]));
    input.end('more\n');
    expect(Buffer.from(await answer)).toEqual(Buffer.from('\u00ff\nmore\n', 'latin1'));
    expect(shown()).toBe('');
  });
});

test('no command puts the value where somebody could read it', async () => {
  const { dataDir, run } = folder();
  const printed = [
    await run(['set', 'db'], 'hunter2'),
    await run(['list', '-o', 'yaml']),
    await run(['delete', 'db']),
  ];
  const stored = readdirSync(join(dataDir, 'secrets')).map((name) =>
    readFileSync(join(dataDir, 'secrets', name), 'utf8'),
  );
  expect(JSON.stringify([printed, stored])).not.toContain('hunter2');
});
