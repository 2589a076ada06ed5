import { createHash, randomBytes } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BodyFiles, ORPHAN_MS } from '../../src/bodies/body-files.ts';
import type { Disk } from '../../src/bodies/body-files.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { tempFolder } from '../support/temp-folder.ts';

const MIB = 1024 * 1024;
const UID = '01900000-0000-7000-8000-000000000001';
const ANY = { maxBytes: 64 * MIB, announcedBytes: undefined };
const NONE = { body: null };
const ROOMY: Disk = { space: async () => ({ free: 1e12, all: 1e12 }) };

/** `dir` is not made yet. `heard`: what the watch was told. */
function rig(disk: Disk = ROOMY) {
  const dir = join(tempFolder(), 'bodies');
  const clock = new ManualClock(Date.now());
  const heard: string[] = [];
  const watch = {
    worked: () => void heard.push('worked'),
    failed: (error: unknown) => void heard.push(String(error)),
  };
  const bodies = new BodyFiles({ dir, clock, watch, disk });
  const names = () => readdirSync(dir).toSorted();
  /** As another process: it holds nothing. */
  const next = () => new BodyFiles({ dir, clock, disk });
  return { dir, clock, heard, bodies, names, next };
}
type Step = Uint8Array | Error | 'never';
/** Gives the pieces; `error` breaks off, `never` waits for ever. */
function source(...steps: Step[]): { stream: ReadableStream<Uint8Array>; cancelled: () => boolean } {
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const step = steps.shift();
        if (step === undefined) return controller.close();
        if (step === 'never') {
          onTestFinished(() => {
            if (!cancelled) controller.error(new Error('over'));
          });
          return new Promise(() => undefined);
        }
        return step instanceof Error ? controller.error(step) : controller.enqueue(step);
      },
      cancel: () => void (cancelled = true),
    },
    { highWaterMark: 0 },
  );
  return { stream, cancelled: () => cancelled };
}
const text = (words: string): Uint8Array => new TextEncoder().encode(words);
const noEvents = { whichEventsExist: async () => new Set<string>() };

describe('a body', () => {
  it('is a file of its owner alone, byte for byte, with its size and digest', async () => {
    const { bodies, dir, heard } = rig();
    const pieces = [randomBytes(100_000), randomBytes(1), randomBytes(3 * MIB)];
    const all = Buffer.concat(pieces);
    const body = await bodies.receive(UID, { body: source(...pieces).stream }, ANY);
    expect(body).toMatchObject({
      size: all.length,
      sha256: createHash('sha256').update(all).digest('hex'),
    });
    expect(readFileSync(join(dir, UID)).equals(all)).toBe(true);
    expect(statSync(join(dir, UID)).mode & 0o777).toBe(0o600);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(heard).toEqual(['worked']);
  });

  it.each([
    ['nothing at all', null],
    ['an empty one', source().stream],
  ])('may be empty: %s', async (_name, stream) => {
    const { bodies, dir } = rig();
    const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    expect(await bodies.receive(UID, { body: stream }, ANY)).toMatchObject({ size: 0, sha256: empty });
    expect(statSync(join(dir, UID)).size).toBe(0);
  });

  it('that is announced larger than the limit is not read at all', async () => {
    const { bodies, dir } = rig();
    const { stream } = source(text('x'));
    const limits = { maxBytes: 10 * MIB, announcedBytes: 10 * MIB + 1 };
    await expect(bodies.receive(UID, { body: stream }, limits)).rejects.toThrow(/larger than 10Mi/);
    expect(stream.locked).toBe(false);
    expect(() => readdirSync(dir)).toThrow('ENOENT');
  });

  it('that grows larger than the limit is read no further, and nothing of it stays', async () => {
    const { bodies, names, heard } = rig();
    const { stream, cancelled } = source(text('12345'), text('6'), 'never');
    const received = bodies.receive(UID, { body: stream }, { maxBytes: 5, announcedBytes: undefined });
    await expect(received).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    expect(cancelled()).toBe(true);
    expect(names()).toEqual([]);
    expect(heard).toEqual([]);
  });

  it('may be exactly as large as the limit', async () => {
    const { bodies } = rig();
    const limits = { maxBytes: 5, announcedBytes: 5 };
    expect(await bodies.receive(UID, { body: source(text('12345')).stream }, limits)).toMatchObject({
      size: 5,
    });
  });

  it('that breaks off leaves nothing', async () => {
    const { bodies, names, heard } = rig();
    const received = bodies.receive(UID, { body: source(text('123'), new Error('aborted')).stream }, ANY);
    await expect(received).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(names()).toEqual([]);
    expect(heard).toEqual([]);
  });

  it('that the disk does not take is refused for later, leaves nothing, and whoever watches the disk hears of it', async () => {
    const { bodies, dir, names, heard } = rig();
    mkdirSync(join(dir, UID), { recursive: true });
    writeFileSync(join(dir, UID, 'in-the-way'), '');
    const { stream } = source(text('x'));
    await expect(bodies.receive(UID, { body: stream }, ANY)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      fields: { retryAfter: 30 },
    });
    expect(names()).toEqual([UID]);
    expect(heard).toEqual([expect.stringContaining('cannot be written to files now')]);
  });
});

describe('a disk with little room', () => {
  it.each([
    ['what is announced would leave too little', 400 * MIB, 200 * MIB, /does not fit/, []],
    [
      'too little is left as it is',
      255 * MIB,
      undefined,
      /too little room/,
      [expect.stringContaining('too little room left')],
    ],
  ])('takes nothing: %s', async (_name, free, announcedBytes, words, told) => {
    const { bodies, names, heard } = rig({ space: async () => ({ free, all: 1e12 }) });
    const { stream } = source(text('x'));
    const received = bodies.receive(UID, { body: stream }, { maxBytes: 1e12, announcedBytes });
    await expect(received).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringMatching(words) as unknown,
    });
    expect(stream.locked).toBe(false);
    expect(names()).toEqual([]);
    expect(heard).toEqual(told);
  });

  it('is not given twice: what was announced by one body is not there for another, until it ends', async () => {
    const { bodies } = rig({ space: async () => ({ free: 400 * MIB, all: 1e12 }) });
    const announced = { maxBytes: 1e12, announcedBytes: 100 * MIB };
    const asked = deferred<void>();
    const stream = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        await asked.promise;
        controller.enqueue(new Uint8Array(MIB));
        controller.close();
      },
    });
    const first = bodies.receive('a', { body: stream }, announced);
    const second = bodies.receive('b', NONE, announced);
    await expect(second).rejects.toThrow(/does not fit/);
    await expect(bodies.probe()).resolves.toBeUndefined();
    asked.resolve();
    await expect(first).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(bodies.receive('c', NONE, announced)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('keeps a twentieth of itself free where it is small', async () => {
    const small = (free: number): Disk => ({ space: async () => ({ free, all: 100 * MIB }) });
    await rig(small(5 * MIB)).bodies.receive(UID, NONE, ANY);
    await expect(rig(small(5 * MIB - 1)).bodies.receive(UID, NONE, ANY)).rejects.toThrow(/too little room/);
  });

  it('is looked at while a body comes in', async () => {
    let free = 300 * MIB;
    const disk: Disk = {
      space: async () => {
        free -= 30 * MIB;
        return { free, all: 1e12 };
      },
    };
    const { bodies, names } = rig(disk);
    const pieces = Array.from({ length: 3 }, () => Buffer.alloc(MIB));
    const { stream } = source(...pieces, 'never');
    await expect(bodies.receive(UID, { body: stream }, { ...ANY, maxBytes: 1e12 })).rejects.toThrow(
      /too little room/,
    );
    expect(names()).toEqual([]);
  });

  it('tells by a probe that there is room again', async () => {
    let free = 0;
    const { bodies, names } = rig({ space: async () => ({ free, all: 1e12 }) });
    await expect(bodies.probe()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    free = 1e12;
    await bodies.probe();
    expect(names()).toEqual([]);
  });
});

it('at most 64 bodies come in at a time, and then others again', async () => {
  const { bodies } = rig();
  const all = Array.from({ length: 64 }, (_, i) => {
    const { stream } = source(text('x'), 'never');
    // Never ends: this test waits for none of them.
    void bodies.receive(`u-${i}`, { body: stream }, ANY).catch(() => undefined);
  });
  expect(all).toHaveLength(64);
  await expect(bodies.receive(UID, NONE, ANY)).rejects.toMatchObject({ fields: { retryAfter: 5 } });
});

describe('reading', () => {
  const bytesOf = async (opened: Awaited<ReturnType<BodyFiles['openBody']>>): Promise<string> => {
    if (typeof opened === 'string') return opened;
    const parts: Uint8Array[] = [];
    for await (const part of opened.body) parts.push(part);
    return Buffer.concat(parts).toString();
  };

  it('gives the same bytes, as often as it is asked', async () => {
    const { bodies } = rig();
    (await bodies.receive(UID, { body: source(text('abc'), text('def')).stream }, ANY)).keep();
    for (let i = 0; i < 2; i++)
      expect(await bytesOf(await bodies.openBody({ event: UID, size: 6 }))).toBe('abcdef');
  });

  it('tells what is gone, of another size, or no file of this folder', async () => {
    const { bodies, dir } = rig();
    expect(await bodies.openBody({ event: UID, size: 6 })).toBe('gone');
    (await bodies.receive(UID, { body: source(text('abc')).stream }, ANY)).keep();
    expect(await bodies.openBody({ event: UID, size: 6 })).toBe('changed');
    writeFileSync(join(dir, '../other'), 'abc');
    expect(await bodies.openBody({ event: '../other', size: 3 })).toBe('gone');
    symlinkSync('../other', join(dir, 'link'));
    expect(await bodies.openBody({ event: 'link', size: 8 })).toBe('changed');
  });
});

describe('a sweep', () => {
  const old = (path: string, clock: ManualClock) => {
    const seconds = (clock.now() - ORPHAN_MS) / 1000;
    utimesSync(path, seconds, seconds);
  };

  it('removes what no event has after ten minutes, and never what one has', async () => {
    const { bodies, dir, clock, names, next } = rig();
    for (const uid of ['a', 'b']) (await bodies.receive(uid, { body: source(text(uid)).stream }, ANY)).keep();
    writeFileSync(join(dir, 'c.part'), 'half');
    const whichEventsExist = async () => new Set(['a', 'c']);
    expect(await next().sweep({ whichEventsExist })).toBe(0);
    await clock.advance(ORPHAN_MS - 60_000);
    expect(await next().sweep({ whichEventsExist })).toBe(0);
    await clock.advance(120_000);
    expect(await next().sweep({ whichEventsExist })).toBe(2);
    expect(names()).toEqual(['a']);
    // By years, at the start of a machine whose clock has no battery.
    clock.set(Date.now() - 365 * 24 * 60 * 60_000);
    expect(await next().sweep(noEvents)).toBe(1);
  });

  it('asks once for five hundred files, and not for what never became whole', async () => {
    const { bodies, dir, clock, names } = rig();
    await bodies.probe();
    const all = Array.from({ length: 1001 }, (_, i) => `e${i}`);
    for (const name of [...all, 'half.part']) {
      writeFileSync(join(dir, name), 'x');
      old(join(dir, name), clock);
    }
    const asked: (readonly string[])[] = [];
    const whichEventsExist = async (uids: readonly string[]) => {
      asked.push(uids);
      return new Set(uids.filter((uid) => uid !== 'e7'));
    };
    expect(await bodies.sweep({ whichEventsExist })).toBe(2);
    expect(asked.flat().toSorted()).toEqual(all.toSorted());
    expect(asked.length).toBeLessThanOrEqual(3);
    expect(names()).toHaveLength(1000);
    expect(names()).not.toContain('e7');
  });

  it('leaves alone what this process still writes, or has not yet given to its event', async () => {
    const { bodies, dir, clock, names } = rig();
    const { stream } = source(text('x'), 'never');
    void bodies.receive('a', { body: stream }, ANY).catch(() => undefined);
    const body = await bodies.receive('b', { body: source(text('y')).stream }, ANY);
    for (const name of names()) old(join(dir, name), clock);
    expect(await bodies.sweep(noEvents)).toBe(0);
    expect(names()).toEqual(['a.part', 'b']);
    body.keep();
    expect(await bodies.sweep(noEvents)).toBe(1);
    expect(names()).toEqual(['a.part']);
  });

  it('leaves alone what another process has written to meanwhile, however long it takes', async () => {
    const { dir, clock, bodies, next } = rig();
    await bodies.probe();
    const path = join(dir, 'a.part');
    writeFileSync(path, 'x');
    old(path, clock);
    writeFileSync(path, 'xx');
    expect(await next().sweep(noEvents)).toBe(0);
  });

  it('leaves alone what is not of its making', async () => {
    const { bodies, dir, names, clock } = rig();
    await bodies.probe();
    for (const name of ['read me', 'a.txt', '.hidden', 'x.part.y']) {
      writeFileSync(join(dir, name), '');
      old(join(dir, name), clock);
    }
    mkdirSync(join(dir, 'folder'));
    expect(await bodies.sweep(noEvents)).toBe(0);
    expect(names()).toHaveLength(5);
  });

  it('has nothing to do where there never was a body, and ends when it is told to', async () => {
    expect(await rig().bodies.sweep(noEvents)).toBe(0);
    const { bodies, dir, clock } = rig();
    (await bodies.receive(UID, NONE, ANY)).keep();
    old(join(dir, UID), clock);
    expect(await bodies.sweep({ ...noEvents, signal: AbortSignal.abort() })).toBe(0);
  });

  it('lets a dropped body be gone at once, and again', async () => {
    const { bodies, names } = rig();
    const body = await bodies.receive(UID, { body: source(text('x')).stream }, ANY);
    await body.drop();
    await body.drop();
    expect(names()).toEqual([]);
  });
});

it('the room of the real disk is what the system says', async () => {
  const dir = join(tempFolder(), 'bodies');
  const bodies = new BodyFiles({ dir, clock: new SystemClock() });
  await expect(
    bodies.receive(UID, NONE, { maxBytes: Number.MAX_SAFE_INTEGER, announcedBytes: Number.MAX_SAFE_INTEGER }),
  ).rejects.toThrow(/does not fit/);
  await bodies.receive(UID, NONE, ANY);
});
