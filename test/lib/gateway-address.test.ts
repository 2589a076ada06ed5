import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ownAddress, publishAddress, withdrawAddress } from '../../src/lib/gateway-address.ts';
import { processStart } from '../../src/lib/process-start.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tappet-address-'));
  path = join(folder, 'server.json');
});
afterEach(() => rm(folder, { recursive: true }));

const written = async (): Promise<unknown> => JSON.parse(await readFile(path, 'utf8'));

test('is written for its owner alone, and removed by who wrote it', async () => {
  const own = await ownAddress('http://127.0.0.1:1');
  expect(await publishAddress(folder, own)).toBeUndefined();
  expect(await written()).toEqual(own);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await withdrawAddress(folder, own);
  expect(await readdir(folder)).toEqual([]);
  await withdrawAddress(folder, own);
});

test('of another process that lives stays as it is until that process has ended', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e9)'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  const first = { url: 'http://127.0.0.1:1', pid, started: await processStart(pid) };
  await writeFile(path, JSON.stringify(first));
  const own = await ownAddress('http://127.0.0.1:2');
  expect(await publishAddress(folder, own)).toEqual(first);
  await withdrawAddress(folder, own);
  expect(await written()).toEqual(first);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(await publishAddress(folder, own)).toBeUndefined();
  expect(await written()).toEqual(own);
});

test('of one of two that start together stands there whole, and the other hears of it', async () => {
  const both = [await ownAddress('http://127.0.0.1:1'), await ownAddress('http://127.0.0.1:2')];
  const answers = await Promise.all(both.map((own) => publishAddress(folder, own)));
  const winner = await written();
  expect(answers.filter((answer) => answer === undefined)).toHaveLength(1);
  expect(answers.find((answer) => answer !== undefined)).toEqual(winner);
  expect(await readdir(folder)).toEqual(['server.json']);
});

test.each([
  [
    'a process that has ended',
    JSON.stringify({ url: 'http://127.0.0.1:1', pid: 2 ** 22 + 1, started: null }),
  ],
  [
    'a number that was given again',
    JSON.stringify({ url: 'x', pid: process.pid, started: 'another boot/1' }),
  ],
  ['nothing, cut off by a crash', '{"url":"http://127'],
])('that names %s is written over, and its mode does not live on', async (_, left) => {
  await writeFile(path, left, { mode: 0o644 });
  const own = await ownAddress('http://127.0.0.1:2');
  expect(await publishAddress(folder, own)).toBeUndefined();
  expect(await written()).toEqual(own);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});
