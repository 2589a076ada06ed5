import { mkdtemp, open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { LogStream, OpenLog } from '../../src/core/log-sink.ts';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { encodeHeader, HEADER_BYTES, STDOUT } from '../../src/logs/frame.ts';
import { collect, textOf } from '../contract/log-sink.contract.ts';
import { ManualClock } from '../support/manual-clock.ts';

const KEY = { execution: 'report-0123456789', index: 0, attempt: 1 };
const STREAMS = ['stdout', 'stderr'] as const;
/** A file of a log of 1 MiB holds 128 KiB. */
const ROOM = { maxBytes: 1024 * 1024 };

let dir: string;
/** What the disk still takes. A write that does not fit is taken in part, the next one is refused, as Linux does. */
let left = Infinity;
let restore: () => void;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tappet-logs-'));
  const handle = await open(dir);
  const files = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const writev = Reflect.get<FileHandle, 'writev'>(files, 'writev');
  const spy = vi.spyOn(files, 'writev').mockImplementation(async function (
    this: FileHandle,
    buffers: readonly NodeJS.ArrayBufferView[],
    position?: number,
  ) {
    if (left === 0) throw Object.assign(new Error('ENOSPC: no space left on device'), { syscall: 'write' });
    const all = Buffer.concat(buffers as Uint8Array[]);
    const written = await writev.call(this, [all.subarray(0, left)], position);
    left -= written.bytesWritten;
    return { ...written, buffers };
  });
  restore = () => spy.mockRestore();
});
afterEach(async () => {
  restore();
  left = Infinity;
  await rm(dir, { recursive: true, force: true });
});

const sink = (): FileLogSink => new FileLogSink({ dir, clock: new ManualClock() });
const openLog = (): Promise<OpenLog> => sink().open(KEY, { ...ROOM, epoch: 2 });
/** As another process sees it, which writes nothing; of a lower epoch, it leaves the files as they are. */
const openToLook = (): Promise<OpenLog> => sink().open(KEY, { epoch: 1 });
const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
const taken = (writer: OpenLog): number[] => STREAMS.map((stream) => writer.cursor()[stream].bytes);

it('what a disk takes of a write before it is full is counted by the writer as by its heir, and nothing else', async () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 20_000, max: 140_000 }));
  const writes = fc.array(fc.tuple(fc.constantFrom<LogStream>(...STREAMS), size), {
    minLength: 1,
    maxLength: 8,
  });
  /** How much of what is missing the disk takes, in per cent. */
  const shares = fc.array(fc.nat(99), { minLength: 1, maxLength: 6 });
  let partly = 0;
  await fc.assert(
    fc.asyncProperty(writes, shares, async (all, given) => {
      await rm(join(dir, KEY.execution), { recursive: true, force: true });
      const writer = await openLog();
      const truth = { stdout: '', stderr: '' };
      for (const [i, [stream, bytes]] of all.entries())
        truth[stream] += String.fromCharCode(97 + i).repeat(bytes);
      for (const share of [...given, Infinity]) {
        const before = taken(writer);
        const missing = sum(STREAMS.map((stream) => truth[stream].length)) - sum(before);
        left = share === Infinity ? share : Math.floor((missing * share) / 100);
        const results = await Promise.allSettled(restOf(writer, truth, all));
        const refused = results.some(({ status }) => status === 'rejected');
        if (refused && sum(taken(writer)) > sum(before)) partly += 1;
        left = Infinity;
        expect(taken(await openToLook())).toEqual(taken(writer));
        for (const stream of STREAMS) {
          const text = textOf(await collect(sink(), KEY, { stream }));
          expect(text === truth[stream].slice(0, writer.cursor()[stream].bytes)).toBe(true);
        }
      }
      expect(taken(writer)).toEqual(STREAMS.map((stream) => truth[stream].length));
      await writer.close();
    }),
    { numRuns: 60 },
  );
  expect(partly).toBeGreaterThan(10);
});

/** Writes all that is missing, in pieces, at once: as a stream's reader does that goes on from the cursor. */
function restOf(
  writer: OpenLog,
  truth: Readonly<Record<LogStream, string>>,
  pieces: readonly (readonly [LogStream, number])[],
): Promise<void>[] {
  const { stdout, stderr } = writer.cursor();
  const from = { stdout: stdout.bytes, stderr: stderr.bytes };
  const sizes = [...pieces, ['stdout', Infinity] as const, ['stderr', Infinity] as const];
  return sizes.map(([stream, size]) => {
    const start = from[stream];
    from[stream] = Math.min(start + size, truth[stream].length);
    return writer.write(stream, Buffer.from(truth[stream].slice(start, from[stream])));
  });
}

it('what is left of a frame that was refused is not read as one, when a shorter one has taken its place', async () => {
  // Somebody prints what a log consists of, and the disk is full behind it.
  const payload = Buffer.from('of another log');
  const printed = Buffer.concat([encodeHeader({ kind: STDOUT, time: 0, offset: 4, payload }), payload]);
  const writer = await openLog();
  left = HEADER_BYTES + 4 + printed.length;
  const refused = writer.write('stdout', Buffer.concat([Buffer.from('1234'), printed, Buffer.alloc(9)]));
  await expect(refused).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  left = Infinity;
  await writer.write('stdout', Buffer.from('1234'));
  expect(taken(await openToLook())).toEqual([4, 0]);
  await writer.close();
});
