import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Attempt } from '../../src/core/execution.ts';
import type { LogChunk, OpenLog } from '../../src/core/log-sink.ts';
import { followAttempt } from '../../src/http/log-follow.ts';
import { FileLogSink } from '../../src/logs/file-log-sink.ts';
import { textOf } from '../contract/log-sink.contract.ts';
import { ManualClock } from '../support/manual-clock.ts';

const KEY = { execution: 'report-0123456789', index: 0, attempt: 1 };

let dir: string;
let clock: ManualClock;
const opened: OpenLog[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tappet-logs-'));
  clock = new ManualClock();
});
afterEach(async () => {
  await rm(dir, { recursive: true, force: true });
  await Promise.allSettled(opened.splice(0).map((writer) => writer.leave()));
});

const sink = (): FileLogSink => new FileLogSink({ dir, clock });
/** In a process of its own. */
async function owner(epoch: number, from = sink()): Promise<OpenLog> {
  const writer = await from.open(KEY, { epoch });
  opened.push(writer);
  return writer;
}
const write = (writer: OpenLog, text: string): Promise<void> => writer.write('stdout', Buffer.from(text));

/** What a follower in a third process is told, until `ended` has been called. */
class Follower {
  readonly told: LogChunk[] = [];
  readonly #done: Promise<void>;
  #state: 'RUNNING' | 'SUCCEEDED' = 'RUNNING';

  constructor() {
    const row = { ...KEY, state: 'RUNNING' } as Attempt;
    const store = { listAttempts: async () => [{ ...row, state: this.#state }] };
    const params = { store, logs: sink(), clock, stream: undefined, signal: new AbortController().signal };
    const following = followAttempt({ ...KEY, ...params } as never, row, undefined);
    this.#done = (async () => {
      for await (const chunk of following) this.told.push(chunk);
    })();
  }

  get text(): string {
    return textOf(this.told);
  }

  /** Lets it look, until it has been told `text`: what it reads takes real time. Gives what it was told. */
  async until(text: string): Promise<string> {
    await clock.advance(1_000);
    for (let i = 0; i < 200 && this.text !== text; i++)
      await new Promise((resolve) => setTimeout(resolve, 5));
    return this.text;
  }

  /** All that it was told, once the attempt has ended. Errors: a place twice or out of order, or a gap. */
  async ended(): Promise<string> {
    this.#state = 'SUCCEEDED';
    await clock.advance(1_000);
    await this.#done;
    for (const [i, { position, missing }] of this.told.entries()) {
      if (position <= (this.told[i - 1]?.position ?? -1)) throw new Error(`${position} is out of order`);
      if (missing !== undefined) throw new Error(`${missing} bytes were said to be missing`);
    }
    return this.text;
  }
}

describe('a follower that was told what an owner wrote that had been overtaken', () => {
  it('is told each byte once', async () => {
    const first = await owner(1);
    await write(first, 'ab');
    const follower = new Follower();
    expect(await follower.until('ab')).toBe('ab');
    // It does not know yet, and the engine gives both of them what is printed.
    const heir = await owner(2);
    await write(first, 'cd');
    expect(await follower.until('abcd')).toBe('abcd');
    await write(heir, 'c');
    await write(heir, 'defgh');
    await write(heir, 'ij');
    expect(await follower.until('abcdefghij')).toBe('abcdefghij');
    await heir.close();
    expect(await follower.ended()).toBe('abcdefghij');
    expect(follower.told.map(({ offset }) => offset)).toEqual([0, 2, 4, 8]);
  });

  it('is told what follows, though it lies before that in the file', async () => {
    const first = await owner(1);
    await write(first, 'a');
    const follower = new Follower();
    expect(await follower.until('a')).toBe('a');
    const heir = await owner(2);
    const late = 'z'.repeat(2_000);
    for (const letter of late) await write(first, letter);
    expect(await follower.until(`a${late}`)).toBe(`a${late}`);
    await write(heir, `${late}the rest`);
    await heir.close();
    expect(await follower.ended()).toBe(`a${late}the rest`);
  });

  it('is told what two owners after it wrote', async () => {
    const first = await owner(1);
    await write(first, 'a');
    const follower = new Follower();
    expect(await follower.until('a')).toBe('a');
    const second = await owner(2);
    const late = 'z'.repeat(400);
    for (const letter of late) await write(first, letter);
    expect(await follower.until(`a${late}`)).toBe(`a${late}`);
    await write(second, `${late}b`);
    const third = await owner(3);
    await write(third, 'c');
    expect(await follower.until(`a${late}bc`)).toBe(`a${late}bc`);
    await third.close();
    expect(await follower.ended()).toBe(`a${late}bc`);
  });
});

it('an owner who leaves makes nothing again of a log that was removed meanwhile, and has nothing to complain of', async () => {
  const logs = sink();
  await write(await owner(1, logs), 'a');
  const again = await owner(2, logs);
  await sink().remove(KEY.execution);
  await again.leave();
  expect(await readdir(dir)).toEqual([]);
  const writing = await owner(3, logs);
  await write(writing, 'b');
  await sink().remove(KEY.execution);
  await expect(writing.leave()).resolves.toBeUndefined();
  expect(await readdir(dir)).toEqual([]);
});
