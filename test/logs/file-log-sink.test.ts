import {
  appendFile,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LogOptions, LogStream, OpenLog } from '../../src/core/log-sink.ts';
import { SEGMENT_BYTES } from '../../src/logs/log-space.ts';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { collect, textOf } from '../contract/log-sink.contract.ts';
import { ManualClock } from '../support/manual-clock.ts';

const KEY = { execution: 'report-0123456789', index: 2, attempt: 1 };

let dir: string;
let clock: ManualClock;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tappet-logs-'));
  clock = new ManualClock();
});
/** Writers that a test gives up as a crash would; only their file descriptors are given back. */
const crashed: OpenLog[] = [];
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
  await Promise.allSettled(crashed.splice(0).map((writer) => writer.close()));
});

const sink = (): FileLogSink => new FileLogSink({ dir, clock });
async function openToCrash(options: LogOptions = {}): Promise<OpenLog> {
  const writer = await sink().open(KEY, options);
  crashed.push(writer);
  return writer;
}
const folder = (): string => join(dir, KEY.execution, '2-1');
const segments = async (): Promise<string[]> => (await readdir(folder())).sort();

describe('files', () => {
  it('are for the user of the gateway alone', async () => {
    const writer = await openToCrash();
    await writer.write('stdout', Buffer.from('x'));
    const [name = ''] = await segments();
    const modes = [join(dir, KEY.execution), folder(), join(folder(), name)].map(async (path) =>
      ((await stat(path)).mode & 0o777).toString(8),
    );
    expect(await Promise.all(modes)).toEqual(['700', '700', '600']);
  });

  it('are named after their first position and hold at most 8 MiB', async () => {
    const writer = await openToCrash();
    const block = Buffer.alloc(1_500_000, 'x');
    for (let i = 0; i < 16; i++) await writer.write(i % 2 === 0 ? 'stdout' : 'stderr', block);
    await writer.close();
    const names = await segments();
    expect(names.length).toBeGreaterThanOrEqual(3);
    let next = 0;
    for (const name of names) {
      expect(name).toBe(`${String(next).padStart(15, '0')}.log`);
      const { size } = await stat(join(folder(), name));
      // A checkpoint with both tails may stand before the frames.
      expect(size).toBeLessThanOrEqual(SEGMENT_BYTES + 10_000);
      next += size;
    }
    const chunks = await collect(sink(), KEY);
    expect(chunks.reduce((sum, c) => sum + c.data.length, 0)).toBe(24_000_000);
    const middle = chunks[Math.floor(chunks.length / 2)];
    const rest = await collect(sink(), KEY, { after: middle?.position ?? 0 });
    expect(rest[0]?.position).toBe(chunks[Math.floor(chunks.length / 2) + 1]?.position);
  });

  it('tell the cursor from the last one alone', async () => {
    const writer = await openToCrash();
    await writer.write('stderr', Buffer.from('once'));
    for (let i = 0; i < 12; i++) await writer.write('stdout', Buffer.alloc(1_000_000, 'y'));
    const names = await segments();
    expect(names.length).toBeGreaterThan(1);
    for (const name of names.slice(0, -1)) await rm(join(folder(), name));
    const again = await openToCrash();
    expect(again.cursor().stdout.bytes).toBe(12_000_000);
    expect(Buffer.from(again.cursor().stderr.tail).toString()).toBe('once');
  });

  it('stamp chunks with the time at which they were taken', async () => {
    const writer = await openToCrash();
    await writer.write('stdout', Buffer.from('a'));
    await clock.advance(1500);
    await writer.write('stdout', Buffer.from('b'));
    const times = (await collect(sink(), KEY)).map((c) => c.time);
    expect(times).toEqual([clock.now() - 1500, clock.now()]);
  });
});

describe('what a crash leaves', () => {
  it('is a prefix of each stream with a cursor that fits, at whatever byte it came', async () => {
    const write = fc.record({
      stream: fc.constantFrom<LogStream>('stdout', 'stderr'),
      data: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 4000, maxLength: 6000 })),
    });
    const rounds = fc.array(fc.record({ writes: fc.array(write, { maxLength: 12 }), cut: fc.nat() }), {
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(rounds, fc.boolean(), async (all, zeros) => {
        await rm(folder(), { recursive: true, force: true });
        let truth = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
        for (const { writes, cut } of all) {
          const writer = await openToCrash();
          await checkCursor(writer.cursor(), truth);
          for (const { stream, data } of writes) {
            await writer.write(stream, data);
            truth[stream] = Buffer.concat([truth[stream], data]);
          }
          truth = await cutLast(cut, zeros, truth);
        }
      }),
      { numRuns: 30 },
    );
  });

  /** Cuts the newest file (or, as a power cut may, leaves empty pages behind the cut); gives what must be left. */
  async function cutLast(cut: number, zeros: boolean, truth: Streams): Promise<Streams> {
    const last = (await segments().catch(() => [])).at(-1);
    if (last !== undefined) {
      const path = join(folder(), last);
      const { size } = await stat(path);
      const at = cut % (size + 1);
      await truncate(path, at);
      if (zeros) await appendFile(path, Buffer.alloc(size - at));
    }
    const left = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
    for (const chunk of await collect(sink(), KEY)) {
      expect(chunk.offset).toBe(left[chunk.stream].length);
      left[chunk.stream] = Buffer.concat([left[chunk.stream], chunk.data]);
    }
    for (const stream of ['stdout', 'stderr'] as const) {
      expect(truth[stream].subarray(0, left[stream].length).equals(left[stream])).toBe(true);
    }
    return left;
  }

  async function checkCursor(cursor: Awaited<ReturnType<typeof cursorOf>>, truth: Streams): Promise<void> {
    for (const stream of ['stdout', 'stderr'] as const) {
      expect(cursor[stream].bytes).toBe(truth[stream].length);
      expect(Buffer.from(cursor[stream].tail).equals(truth[stream].subarray(-4096))).toBe(true);
    }
  }
  const cursorOf = async () => (await openToCrash()).cursor();
  interface Streams {
    stdout: Buffer<ArrayBuffer>;
    stderr: Buffer<ArrayBuffer>;
  }

  it('may be a file that got nothing, which does not hide the one before', async () => {
    const writer = await openToCrash();
    await writer.write('stdout', Buffer.from('kept'));
    const { size } = await stat(join(folder(), (await segments())[0] ?? ''));
    await writeFile(join(folder(), `${String(size).padStart(15, '0')}.log`), 'T');
    const again = await openToCrash();
    expect(again.cursor().stdout.bytes).toBe(4);
    await again.write('stdout', Buffer.from('!'));
    expect(textOf(await collect(sink(), KEY))).toBe('kept!');
  });

  it('is not added to by a process that was thought dead', async () => {
    const zombie = await openToCrash({ epoch: 1 });
    await zombie.write('stdout', Buffer.from('a'));
    const heir = await openToCrash({ epoch: 2 });
    await heir.write('stdout', Buffer.from('b'));
    await zombie.write('stdout', Buffer.from('zzz'));
    await heir.write('stdout', Buffer.from('c'));
    await zombie.close();
    expect(textOf(await collect(sink(), KEY))).toBe('abc');
    expect((await openToCrash({ epoch: 3 })).cursor().stdout.bytes).toBe(3);
  });

  it('nor by one that begins files of its own, wherever those of its heir begin', async () => {
    /** A file of a log of 1 MiB holds 128 KiB; none of these logs outgrows its room. */
    const room = { maxBytes: 1024 * 1024 };
    const size = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 60_000, max: 140_000 }));
    const steps = fc.array(fc.tuple(fc.constantFrom('zombie', 'end', 'heir'), size), { maxLength: 6 });
    const whole = async (truth: string): Promise<void> => {
      const chunks = await collect(sink(), KEY);
      expect(chunks.filter(({ missing }) => missing !== undefined)).toEqual([]);
      expect(textOf(chunks) === truth).toBe(true);
    };
    await fc.assert(
      fc.asyncProperty(size, fc.boolean(), steps, async (printed, adopted, all) => {
        await rm(folder(), { recursive: true, force: true });
        const first = await openToCrash({ ...room, epoch: 1 });
        let truth = await add(first, 'a', printed);
        // One that took it over and heard nothing has no file of its own: its end is the first thing that it writes.
        const zombie = adopted ? await openToCrash({ ...room, epoch: 2 }) : first;
        const heir = await openToCrash({ ...room, epoch: 3 });
        for (const [what, bytes] of all) {
          if (what === 'heir') truth += await add(heir, 'b', bytes);
          else if (what === 'end') await zombie.close();
          else
            await add(zombie, 'z', bytes).catch((error: unknown) => expect(error).toBeInstanceOf(TypeError));
        }
        truth += await add(heir, 'c', 1);
        await whole(truth);
        const again = await openToCrash({ ...room, epoch: 4 });
        expect(again.cursor().stdout.bytes).toBe(truth.length);
        await whole(truth + (await add(again, 'd', 1)));
      }),
      { numRuns: 100 },
    );
  });

  it('is gone on with under a lower epoch, where the database was restored and the logs were not', async () => {
    await add(await openToCrash({ epoch: 8 }), 'a', 3);
    await add(await openToCrash({ epoch: 6 }), 'b', 3);
    expect((await openToCrash({ epoch: 6 })).cursor().stdout.bytes).toBe(6);
    expect(textOf(await collect(sink(), KEY))).toBe('aaabbb');
  });

  it('keeps the file that an owner after us has just begun', async () => {
    await add(await openToCrash({ epoch: 1 }), 'a', 3);
    const [first = ''] = await segments();
    const { size } = await stat(join(folder(), first));
    const begun = `${String(size).padStart(15, '0')}-3.log`;
    await writeFile(join(folder(), begun), 'T');
    const late = await openToCrash({ epoch: 2 });
    expect(late.cursor().stdout.bytes).toBe(3);
    await add(late, 'z', 3);
    expect(await segments()).toContain(begun);
    // Its owner did not come to write it after all.
    expect((await openToCrash({ epoch: 4 })).cursor().stdout.bytes).toBe(6);
    expect(await segments()).not.toContain(begun);
  });

  async function add(writer: OpenLog, letter: string, bytes: number): Promise<string> {
    await writer.write('stdout', Buffer.alloc(bytes, letter));
    return letter.repeat(bytes);
  }
});

it('is durable, with the names of its files and folders, before its end is told', async () => {
  const handle = await open(dir);
  const files = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const synced: string[] = [];
  const sync = Reflect.get<FileHandle, 'sync'>(files, 'sync');
  const spy = vi.spyOn(files, 'sync').mockImplementation(async function (this: FileHandle) {
    await sync.call(this);
    synced.push(await readlink(`/proc/self/fd/${this.fd}`));
  });
  try {
    const writer = await openToCrash();
    await writer.write('stdout', Buffer.from('a'));
    expect(synced).toEqual([]);
    await writer.close();
    const [name = ''] = await segments();
    expect(synced).toEqual([join(folder(), name), folder(), join(dir, KEY.execution), dir]);
  } finally {
    spy.mockRestore();
  }
});

describe('following', () => {
  it('sees what another process writes, within a second', async () => {
    const writer = await openToCrash();
    await writer.write('stdout', Buffer.from('a'));
    const reader = sink().read(KEY, { follow: true })[Symbol.asyncIterator]();
    expect((await reader.next()).done).toBe(false);
    const next = reader.next();
    await writer.write('stdout', Buffer.from('b'));
    await clock.advance(1_000);
    // No more time passes, but what the reader does at the files, which takes real time.
    const { done, value } = await next;
    expect(done === true ? '' : textOf([value])).toBe('b');
    await reader.return?.(undefined);
    expect(clock.pending).toBe(0);
  });

  it('goes through many files while they are written', async () => {
    const shared = sink();
    const writer = await shared.open(KEY);
    const following = collect(shared, KEY, { follow: true, stream: 'stdout' });
    for (let i = 0; i < 40; i++) await writer.write('stdout', Buffer.alloc(500_000, String(i % 10)));
    await writer.close();
    const chunks = await following;
    expect(chunks.reduce((sum, c) => sum + c.data.length, 0)).toBe(20_000_000);
    expect((await segments()).length).toBeGreaterThan(2);
  });
});

it('says that the disk refused, takes nothing then, and goes on when there is room again', async () => {
  const writer = await openToCrash();
  // A file where the folder should be: the write fails as it does on a broken disk.
  await mkdir(join(dir, KEY.execution), { recursive: true });
  await writeFile(folder(), '');
  const refused = await Promise.allSettled([
    writer.write('stdout', Buffer.from('a')),
    writer.write('stdout', Buffer.from('b')),
  ]);
  for (const result of refused) {
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'STORE_UNAVAILABLE' } });
  }
  await rm(folder());
  expect(writer.cursor().stdout.bytes).toBe(0);
  await writer.write('stdout', Buffer.from('ab'));
  await writer.close();
  expect(textOf(await collect(sink(), KEY))).toBe('ab');
  expect((await readFile(join(folder(), (await segments())[0] ?? ''))).length).toBeGreaterThan(2);
});

it('says that a log cannot be opened now in a way that is tried again, and opens it when it can', async () => {
  await mkdir(join(dir, KEY.execution), { recursive: true });
  await writeFile(folder(), '');
  const logs = sink();
  await expect(logs.open(KEY)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  await expect(logs.open({ ...KEY, execution: '../x' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await rm(folder());
  const writer = await logs.open(KEY);
  crashed.push(writer);
  expect(writer.cursor().stdout.bytes).toBe(0);
});

it('tells who watches of what cannot be opened or written, and of what can; a probe leaves nothing behind', async () => {
  const heard: string[] = [];
  const watch = {
    worked: () => void heard.push('worked'),
    failed: (error: unknown) => void heard.push(String(error)),
  };
  const logs = new FileLogSink({ dir: join(dir, 'logs'), clock, watch });
  await logs.probe();
  expect(await readdir(join(dir, 'logs'))).toEqual([]);
  const writer = await logs.open(KEY);
  crashed.push(writer);
  await rm(join(dir, 'logs'), { recursive: true });
  await writeFile(join(dir, 'logs'), '');
  await expect(logs.probe()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  await expect(writer.write('stdout', Buffer.from('a'))).rejects.toThrow(/not be written/);
  await expect(logs.open({ ...KEY, index: 3 })).rejects.toThrow(/not be opened/);
  expect(heard.splice(0)).toEqual([
    expect.stringContaining('could not be written'),
    expect.stringContaining('could not be opened'),
  ]);
  await rm(join(dir, 'logs'));
  await writer.write('stdout', Buffer.from('a'));
  expect(heard).toEqual(['worked']);
});
