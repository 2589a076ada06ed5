import { readlinkSync } from 'node:fs';
import { appendFile, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { collect, textOf } from '../contract/log-sink.contract.ts';
import { ManualClock } from '../support/manual-clock.ts';

const KEY = { execution: 'report-0123456789', index: 0, attempt: 0 };
let dir = '';
/** Files whose sync is refused, so many times; the disk keeps nothing of them then. */
let refuse = 0;
const synced: string[] = [];
const failed: unknown[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tappet-durable-'));
  refuse = 0;
  synced.length = 0;
  failed.length = 0;
  const handle = await open(dir, 'r');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const sync = Reflect.get(prototype, 'sync');
  vi.spyOn(prototype, 'sync').mockImplementation(async function (this: FileHandle) {
    const path = readlinkSync(`/proc/self/fd/${this.fd}`);
    if (/\.log/.test(path) && refuse-- > 0)
      throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });
    await sync.call(this);
    synced.push(path);
  });
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const sink = (): FileLogSink =>
  new FileLogSink({
    dir,
    clock: new ManualClock(),
    watch: { worked: () => undefined, failed: (error) => void failed.push(error) },
  });
const folder = (): string => join(dir, KEY.execution, '0-0');
const files = async (): Promise<string[]> =>
  (await readdir(folder())).sort().map((name) => join(folder(), name));
const inodes = async (): Promise<number[]> =>
  Promise.all((await files()).map(async (path) => (await stat(path)).ino));
const text = async (): Promise<string> => textOf(await collect(sink(), KEY));
const REFUSED = { code: 'STORE_UNAVAILABLE', message: 'The log could not be written: EIO: i/o error, fsync' };

describe('a log whose file the disk refuses', () => {
  it('is not closed, and is written anew by the next closing: another sync would prove nothing', async () => {
    const writer = await sink().open(KEY);
    await writer.write('stdout', Buffer.from('all of it'));
    const before = await inodes();
    refuse = 2;
    await expect(writer.close()).rejects.toMatchObject(REFUSED);
    await expect(writer.close()).rejects.toMatchObject(REFUSED);
    expect(failed).toHaveLength(2);
    expect(synced.filter((path) => path.includes('.log'))).toEqual([]);
    expect(await writer.close()).toEqual({ stdout: 9, stderr: 0 });
    const [only = ''] = await files();
    expect(await files()).toEqual([only]);
    expect(await inodes()).not.toEqual(before);
    expect(synced).toContain(`${only}.anew`);
    expect(await text()).toBe('all of it');
    // Closed means closed.
    await expect(writer.write('stdout', Buffer.from('x'))).rejects.toThrow(TypeError);
    const again = await sink().open(KEY);
    expect(again.cursor().stdout.bytes).toBe(9);
    await again.close();
  });

  it('goes on in the next file, and the one that was refused is written anew at the end', async () => {
    const writer = await sink().open(KEY, { maxBytes: 1024 * 1024 });
    const block = Buffer.alloc(100_000, 'x');
    await writer.write('stdout', block);
    const [first] = await inodes();
    refuse = 1;
    await expect(writer.write('stdout', block)).rejects.toMatchObject(REFUSED);
    await writer.write('stdout', block);
    expect(await writer.close()).toEqual({ stdout: 200_000, stderr: 0 });
    const all = await inodes();
    expect([all.length, all.includes(first ?? 0)]).toEqual([2, false]);
    expect((await text()).length).toBe(200_000);
  });

  it('stays refused where it can no longer be read whole', async () => {
    const writer = await sink().open(KEY);
    await writer.write('stdout', Buffer.from('all of it'));
    refuse = 1;
    await expect(writer.close()).rejects.toMatchObject(REFUSED);
    const [only = ''] = await files();
    const content = await readFile(only);
    await writeFile(only, Buffer.alloc(content.length));
    await expect(writer.close()).rejects.toThrow('what the disk refused cannot be read again');
    await writeFile(only, content);
    expect(await writer.close()).toEqual({ stdout: 9, stderr: 0 });
  });

  it('is taken over by another writer all the same', async () => {
    const logs = sink();
    const writer = await logs.open(KEY);
    await writer.write('stdout', Buffer.from('one '));
    refuse = 1;
    await expect(writer.close()).rejects.toMatchObject(REFUSED);
    const heir = await logs.open(KEY);
    await heir.write('stdout', Buffer.from('two'));
    expect(await heir.close()).toEqual({ stdout: 7, stderr: 0 });
    expect(await text()).toBe('one two');
  });
});

describe('what another process has written and not closed', () => {
  it('is made durable too', async () => {
    const lost = await sink().open(KEY);
    await lost.write('stdout', Buffer.from('one '));
    const [first = ''] = await files();
    // As a crash leaves it: torn.
    await appendFile(first, Buffer.from([1, 2, 3]));
    const heir = await sink().open(KEY);
    await heir.write('stdout', Buffer.from('two'));
    expect(synced).not.toContain(first);
    refuse = 2;
    await expect(heir.close()).rejects.toMatchObject(REFUSED);
    await expect(heir.close()).rejects.toMatchObject(REFUSED);
    expect(await heir.close()).toEqual({ stdout: 7, stderr: 0 });
    expect(synced.filter((path) => path.startsWith(first)).length).toBeGreaterThan(0);
    expect(await text()).toBe('one two');
  });
});
