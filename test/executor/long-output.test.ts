import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { DoomedPorts, Rig } from '../support/executor-rig.ts';
import { settle } from '../support/manual-clock.ts';

const MIB = 1024 * 1024;
/** Four times the room. */
const PIECES = 40;
const PIECE = 100_000;
/** Each place in it tells where it is. */
const pieceOf = (i: number): string =>
  Array.from({ length: PIECE / 10 }, (_, j) => `${String(i * 10_000 + j).padStart(9)}\n`).join('');

let rig: Rig;
let dir: string;
beforeEach(async () => {
  rig = await new Rig().open();
  dir = await mkdtemp(join(tmpdir(), 'tappet-long-'));
});
afterEach(async () => {
  await rig.close();
  await rm(dir, { recursive: true, force: true });
});

/** Time passes only as fast as the disk goes along. */
async function until(done: () => Promise<boolean>): Promise<void> {
  while (!(await done())) {
    await settle(50);
    await rig.clock.advance(50);
  }
}

it.each([
  'writer.write:before:1',
  'writer.write:after:12',
  'writer.write:before:20',
  'writer.write:after:39',
  'writer.close:before:1',
  'writer.close:after:1',
])('of a log that outgrew its room no place is lost when the process ends at %s', async (place) => {
  const logs = new FileLogSink({ dir, clock: rig.clock });
  rig.runner.script = () => ({
    output: Array.from({ length: PIECES }, (_, i) => ({ at: i * 100, text: pieceOf(i) })),
    exitAt: 5000,
  });
  const ports = new DoomedPorts(Object.assign(Object.create(rig) as Rig, { logs }), place);
  const name = await rig.create({ maxLogBytes: MIB });
  await rig.mortal(ports.ports).start();
  await until(async () => ports.dead);
  const heir = new FileLogSink({ dir, clock: rig.clock });
  await rig.executor({ logs: heir }).start();
  await until(async () => (await rig.store.getExecution(name))?.completionTime !== null);
  const { logBytes } = await rig.attempt(name);
  expect(logBytes).toEqual({ stdout: PIECES * PIECE, stderr: 0 });

  const truth = Buffer.from(Array.from({ length: PIECES }, (_, i) => pieceOf(i)).join(''));
  let at = 0;
  let missing = 0;
  let kept = 0;
  for await (const chunk of heir.read({ execution: name, index: 0, attempt: 0 }, {})) {
    at += chunk.missing ?? 0;
    missing += chunk.missing ?? 0;
    expect(chunk.offset).toBe(at);
    at += chunk.data.length;
    kept += chunk.data.length;
    expect(truth.subarray(chunk.offset, at).equals(chunk.data)).toBe(true);
  }
  expect(at).toBe(truth.length);
  expect([missing > 2 * MIB, kept > 0.6 * MIB, kept <= MIB]).toEqual([true, true, true]);
});
