import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const CLI = join(ROOT, 'dist/src/cli.js');
const AT_TERMINAL = join(ROOT, 'test/support/at-terminal.py');

let dir: string;
let dataDir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tappet-secrets-'));
  dataDir = join(dir, 'data');
});
afterEach(() => rmSync(dir, { recursive: true }));

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function run(program: string, args: readonly string[], stdin?: string): Promise<Ended> {
  const env = { ...process.env, TAPPET_DATA_DIR: dataDir, TAPPET_SECRETS_KEY: '' };
  return new Promise((resolve) => {
    const child = execFile(program, args, { cwd: dir, env }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
    child.stdin?.end(stdin ?? '');
  });
}
const tappet = (args: readonly string[], stdin?: string): Promise<Ended> =>
  run(process.execPath, [CLI, 'secrets', ...args], stdin);
const versions = async (): Promise<unknown> => JSON.parse((await tappet(['list', '-o', 'json'])).out);

test('processes that set one secret at the same time get a version each, under one key', async () => {
  const values = ['one', 'two', 'three', 'four'];
  const ended = await Promise.all(values.map((value) => tappet(['set', 'db', '-o', 'json'], `${value}\n`)));
  expect(ended.map(({ code, err }) => [code, err])).toEqual(values.map(() => [0, expect.any(String)]));
  const numbers = ended.map(({ out }) => (JSON.parse(out) as { version: number }).version);
  expect(numbers.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4]);
  expect(await versions()).toMatchObject({ secrets: [{ name: 'db', versions: [{}, {}, {}, {}] }] });
  expect(readdirSync(dataDir).toSorted()).toEqual(['secrets', 'secrets.key']);
  // All four were sealed with the key that is there: it would refuse to add another else.
  expect(await tappet(['set', 'db'], 'five')).toMatchObject({ code: 0 });
});

test('what is written is for its owner alone, in a shell that gives everything to everybody', async () => {
  const line = `umask 0; printf hunter2 | "$0" "$1" secrets set db`;
  expect(await run('sh', ['-c', line, process.execPath, CLI])).toMatchObject({ code: 0 });
  const mode = (path: string): string => (statSync(join(dataDir, path)).mode & 0o777).toString(8);
  expect(['', 'secrets', 'secrets.key', 'secrets/db@1'].map(mode)).toEqual(['700', '700', '600', '600']);
  expect(readFileSync(join(dataDir, 'secrets/db@1'), 'utf8')).not.toContain('hunter2');
});

test('a value that is typed at a terminal is not shown', async () => {
  const args = [AT_TERMINAL, String.raw`hunter2\r`, process.execPath, CLI, 'secrets', 'set', 'db'];
  const { code, out } = await run('python3', args);
  expect({ code, out }).toMatchObject({
    code: 0,
    out: expect.stringMatching(/not shown.*: \r\n.*name +db\r\n/s),
  });
  expect(out).not.toContain('hunter2');
  expect(await versions()).toMatchObject({ secrets: [{ name: 'db', versions: [{ version: 1 }] }] });
});

test('Ctrl-C at the question ends with 130 and stores nothing', async () => {
  const args = [AT_TERMINAL, String.raw`hunt\x03`, process.execPath, CLI, 'secrets', 'set', 'db'];
  expect(await run('python3', args)).toMatchObject({ code: 130 });
  expect(readdirSync(dir)).toEqual([]);
});
