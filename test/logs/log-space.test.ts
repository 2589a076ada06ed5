import { mkdir, mkdtemp, readdir, rename, rm, stat, truncate, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { LogStream, OpenLog } from '../../src/core/log-sink.ts';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { collect } from '../contract/log-sink.contract.ts';
import { ManualClock } from '../support/manual-clock.ts';

const KEY = { execution: 'report-0123456789', index: 0, attempt: 0 };
const MIB = 1024 * 1024;
/** A file of a log of 1 MiB holds so much. */
const SEGMENT = MIB / 8;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tappet-space-'));
});
const crashed: OpenLog[] = [];
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
  await Promise.allSettled(crashed.splice(0).map((writer) => writer.close()));
});

const folder = (): string => join(dir, KEY.execution, '0-0');
const sink = (): FileLogSink => new FileLogSink({ dir, clock: new ManualClock() });
async function openToCrash(maxBytes = MIB, epoch = 0): Promise<OpenLog> {
  const writer = await sink().open(KEY, { maxBytes, epoch });
  crashed.push(writer);
  return writer;
}
const files = async (): Promise<string[]> =>
  (await readdir(folder())).sort().map((name) => join(folder(), name));
async function onDisk(): Promise<number> {
  const sizes = await Promise.all((await files()).map(async (path) => (await stat(path)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** What byte `i` of a stream is: every place tells where it is. */
function truth(stream: LogStream, from: number, to: number): Buffer {
  const words = Buffer.alloc(Math.ceil(to / 4) * 4 - Math.floor(from / 4) * 4);
  const salt = stream === 'stdout' ? 0 : 0x80000000;
  for (let at = 0; at < words.length; at += 4) words.writeUInt32BE(Math.floor(from / 4) + at / 4 + salt, at);
  return words.subarray(from % 4, (from % 4) + to - from);
}

const taken = { stdout: 0, stderr: 0 };
beforeEach(() => Object.assign(taken, { stdout: 0, stderr: 0 }));
async function write(writer: OpenLog, stream: LogStream, bytes: number): Promise<void> {
  await writer.write(stream, truth(stream, taken[stream], taken[stream] + bytes));
  taken[stream] += bytes;
}

/** Every byte is there or told of, each at its place; returns what is told of. */
async function checked(): Promise<Record<LogStream, number>> {
  const at = { stdout: 0, stderr: 0 };
  const missing = { stdout: 0, stderr: 0 };
  for (const chunk of await collect(sink(), KEY)) {
    const { stream, offset, data } = chunk;
    at[stream] += chunk.missing ?? 0;
    missing[stream] += chunk.missing ?? 0;
    expect(offset).toBe(at[stream]);
    at[stream] += data.length;
    expect(truth(stream, offset, at[stream]).equals(data)).toBe(true);
  }
  expect(at).toEqual(taken);
  return missing;
}

it('never takes more room, and loses no place, whatever is written and wherever it crashes', async () => {
  const one = fc.record({
    stream: fc.constantFrom<LogStream>('stdout', 'stderr'),
    bytes: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 50_000, max: 300_000 })),
  });
  const lives = fc.array(fc.array(one, { minLength: 1, maxLength: 10 }), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(lives, async (all) => {
      await rm(folder(), { recursive: true, force: true });
      Object.assign(taken, { stdout: 0, stderr: 0 });
      for (const writes of all) {
        const writer = await openToCrash();
        expect([writer.cursor().stdout.bytes, writer.cursor().stderr.bytes]).toEqual([
          taken.stdout,
          taken.stderr,
        ]);
        for (const { stream, bytes } of writes) await write(writer, stream, bytes);
        expect(await onDisk()).toBeLessThanOrEqual(MIB);
      }
      const missing = await checked();
      // Most of the room is used before anything goes.
      if (missing.stdout + missing.stderr > 0) expect(await onDisk()).toBeGreaterThan(0.7 * MIB);
    }),
    { numRuns: 12 },
  );
});

async function full(): Promise<void> {
  const writer = await openToCrash();
  for (let i = 0; i < 9; i++) await write(writer, i % 2 === 0 ? 'stdout' : 'stderr', 100_000);
}

it.each([0, 1, 2])('a crash when the mark was cut and %i files were removed is taken up', async (removed) => {
  await full();
  const before = await files();
  const ends = await Promise.all(before.map(async (path) => (await stat(path)).size));
  // The first file that is not of the first half, as the table says.
  let bytes = 0;
  const mark = ends.findIndex((size) => (bytes += size) > MIB / 2);
  expect(mark).toBeGreaterThan(1);
  // Its checkpoint with both ends of streams.
  await truncate(before[mark] ?? '', 24 + 16 + 2 * 4096);
  for (const path of before.slice(mark + 1, mark + 1 + removed)) await unlink(path);
  await checked();
  const heir = await openToCrash();
  for (let i = 0; i < 12; i++) await write(heir, 'stdout', 100_000);
  const missing = await checked();
  expect(missing.stdout).toBeGreaterThan(500_000);
  expect(await onDisk()).toBeLessThanOrEqual(MIB);
  expect((await files()).slice(0, mark + 1)).toEqual(before.slice(0, mark + 1));
});

it('a disk that will not remove a file refuses the write, and nothing is lost by it', async () => {
  await full();
  const writer = await openToCrash();
  const all = await files();
  const victim = all.at(-3) ?? '';
  await rename(victim, join(dir, 'aside'));
  await mkdir(join(victim, 'full'), { recursive: true });
  let refusal: unknown;
  while (refusal === undefined)
    refusal = await write(writer, 'stdout', SEGMENT / 2).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: 'STORE_UNAVAILABLE' });
  expect(writer.cursor().stdout.bytes).toBe(taken.stdout);
  await rm(victim, { recursive: true });
  await rename(join(dir, 'aside'), victim);
  for (let i = 0; i < 8; i++) await write(writer, 'stdout', SEGMENT);
  await checked();
  expect(await onDisk()).toBeLessThanOrEqual(MIB);
});

it('a reader that is overtaken hears how much it missed; one that comes back finds its place', async () => {
  const logs = sink();
  const writer = await logs.open(KEY, { maxBytes: MIB });
  await write(writer, 'stdout', 100);
  const following = logs.read(KEY, { follow: true })[Symbol.asyncIterator]();
  let at = 0;
  const first = await following.next();
  if (first.done !== true) at += first.value.data.length;
  for (let i = 0; i < 40; i++) await write(writer, 'stdout', 100_000);
  await writer.close();
  let missing = 0;
  const places: number[] = [];
  for (let next = await following.next(); next.done !== true; next = await following.next()) {
    const chunk = next.value;
    places.push(chunk.position);
    at += chunk.missing ?? 0;
    missing += chunk.missing ?? 0;
    expect(chunk.offset).toBe(at);
    at += chunk.data.length;
  }
  expect(at).toBe(taken.stdout);
  expect(missing).toBeGreaterThan(2 * MIB);
  for (const [i, position] of places.entries()) {
    const [next] = await collect(sink(), KEY, { after: position });
    expect(next?.position).toBe(places[i + 1]);
  }
});

it('a file of one that was thought dead counts no more when the one that overtook it has gone', async () => {
  const zombie = await openToCrash(MIB, 1);
  for (let i = 0; i < 6; i++) await write(zombie, 'stdout', SEGMENT - 1_000);
  const heir = await openToCrash(MIB, 2);
  await write(heir, 'stdout', 10);
  const before = await files();
  await zombie.write('stdout', Buffer.alloc(SEGMENT - 1_000, 'z'));
  const late = (await files()).filter((path) => !before.includes(path));
  expect(late).toHaveLength(1);
  for (let i = 0; i < 10; i++) await write(heir, 'stdout', SEGMENT - 1_000);
  expect(await files()).not.toContain(late[0]);
  expect(await files()).not.toContain(before.at(-1));
  expect((await checked()).stdout).toBeGreaterThan(0);
});
