import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configSignature, ConfigWatch } from '../../src/config/watch.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { tempFolder } from '../support/temp-folder.ts';

let clock: ManualClock;
let folder: string;
let file: string;
let reads: number;
let answer: () => Promise<number | undefined>;
let watch: ConfigWatch;

beforeEach(() => {
  clock = new ManualClock();
  folder = tempFolder();
  file = join(folder, 'tappet.json');
  writeFileSync(file, 'one');
  reads = 0;
  answer = async () => undefined;
});
afterEach(() => watch.stop());

async function watching(path: string): Promise<void> {
  const seen = await configSignature(path);
  const reload = () => {
    reads++;
    return answer();
  };
  watch = new ConfigWatch({ path, seen, clock, reload });
  await watch.start();
}

/** The next look, to its end: then it waits for the clock again. */
async function look(): Promise<void> {
  await waits();
  await clock.advance(1_000);
  await waits();
}
async function waits(): Promise<void> {
  while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
}

describe('a file', () => {
  it('is read when it has changed and was the same at two looks', async () => {
    await watching(file);
    await look();
    await look();
    expect(reads).toBe(0);
    writeFileSync(file, 'another');
    await look();
    expect(reads).toBe(0);
    await look();
    expect(reads).toBe(1);
    await look();
    expect(reads).toBe(1);
  });

  it('is not read while somebody writes to it', async () => {
    await watching(file);
    for (let i = 0; i < 5; i++) {
      writeFileSync(file, 'x'.repeat(i + 10));
      await look();
    }
    expect(reads).toBe(0);
    await look();
    expect(reads).toBe(1);
  });

  it('that is replaced by one of the same size and time is another', async () => {
    utimesSync(file, 1, 1);
    await watching(file);
    writeFileSync(`${file}.new`, 'two');
    utimesSync(`${file}.new`, 1, 1);
    renameSync(`${file}.new`, file);
    await look();
    await look();
    expect(reads).toBe(1);
  });

  it('that goes away is read once, and again when it is back', async () => {
    await watching(file);
    rmSync(file);
    for (let i = 0; i < 4; i++) await look();
    expect(reads).toBe(1);
    writeFileSync(file, 'one');
    for (let i = 0; i < 4; i++) await look();
    expect(reads).toBe(2);
  });

  it('that changed before the watch began, after it was read, is found', async () => {
    const seen = await configSignature(file);
    writeFileSync(file, 'later');
    watch = new ConfigWatch({ path: file, seen, clock, reload: async () => void reads++ });
    await watch.start();
    await look();
    await look();
    expect(reads).toBe(1);
  });

  it('that changes while it is read is read again', async () => {
    await watching(file);
    answer = async () => {
      if (reads === 1) writeFileSync(file, 'changed meanwhile');
      return undefined;
    };
    writeFileSync(file, 'another');
    for (let i = 0; i < 5; i++) await look();
    expect(reads).toBe(2);
  });

  it('is read again after the time that the reader asks for, though it has not changed', async () => {
    await watching(file);
    answer = async () => (reads === 1 ? 3_000 : undefined);
    writeFileSync(file, 'another');
    await look();
    await look();
    expect(reads).toBe(1);
    await look();
    await look();
    expect(reads).toBe(1);
    await look();
    expect(reads).toBe(2);
    for (let i = 0; i < 5; i++) await look();
    expect(reads).toBe(2);
  });

  it('is read at once when somebody asks, also twice, and not again for that', async () => {
    await watching(file);
    await waits();
    watch.ask();
    while (reads === 0) await new Promise((resolve) => setImmediate(resolve));
    writeFileSync(file, 'half');
    watch.ask();
    watch.ask();
    while (reads < 2) await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 3; i++) await look();
    expect(reads).toBe(2);
  });
});

describe('a folder', () => {
  it.each<[string, () => void]>([
    ['gets a file', () => writeFileSync(join(folder, 'b.yaml'), 'x')],
    ['loses a file', () => rmSync(file)],
    ['has a file changed', () => writeFileSync(file, 'changed')],
    ['has a file renamed', () => renameSync(file, join(folder, 'other.json'))],
    [
      'has a link that leads elsewhere',
      () => {
        mkdirSync(join(folder, 'data'));
        writeFileSync(join(folder, 'data', 'two.json'), 'one');
        symlinkSync(join('data', 'two.json'), join(folder, '.new'));
        renameSync(join(folder, '.new'), file);
      },
    ],
  ])('that %s is read', async (_what, change) => {
    await watching(folder);
    change();
    await look();
    await look();
    expect(reads).toBe(1);
  });

  it.each([['notes.txt'], ['.tappet.json.swp'], ['.hidden.json'], ['config.schema.json']])(
    'does not mind %s',
    async (name) => {
      await watching(folder);
      writeFileSync(join(folder, name), 'x');
      await look();
      await look();
      expect(reads).toBe(0);
    },
  );
});

describe('stop', () => {
  it('ends it between two looks, and leaves no timer', async () => {
    await watching(file);
    await waits();
    await watch.stop();
    expect(clock.pending).toBe(0);
  });

  it('waits for the read under way', async () => {
    await watching(file);
    let end = (): void => undefined;
    answer = () => new Promise((resolve) => (end = () => resolve(undefined)));
    await waits();
    watch.ask();
    while (reads === 0) await new Promise((resolve) => setImmediate(resolve));
    let stopped = false;
    const stopping = watch.stop().then(() => (stopped = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(stopped).toBe(false);
    end();
    await stopping;
    expect(reads).toBe(1);
  });
});
