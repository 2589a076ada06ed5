import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { FileIdentity, LocalFile, LocalFiles } from '../../src/core/local-files.ts';
import { SystemFiles } from '../../src/lib/local-files.ts';
import { formatNanos } from '../../src/lib/nanos.ts';
import { tempFolder } from '../support/temp-folder.ts';

const files: LocalFiles = new SystemFiles();
let path: string;
let text: Buffer;
beforeEach(() => {
  path = join(tempFolder(), 'a.bin');
  text = Buffer.alloc(700_000, 'tappet ');
  writeFileSync(path, text);
});

function identity(): FileIdentity {
  const { ino, size, mtimeNs } = statSync(path, { bigint: true });
  return { path, ino: `${ino}`, size: Number(size), mtime: formatNanos(mtimeNs) };
}
async function opened(): Promise<LocalFile> {
  const file = await files.open(identity());
  if (typeof file === 'string') throw new Error(file);
  return file;
}
async function bytes(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}
const openHere = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path);
    } catch {
      return false;
    }
  }).length;

describe('a file that an event told of', () => {
  it('gives its size and its bytes, and is closed however far it was read', async () => {
    const file = await opened();
    expect(file.size).toBe(text.length);
    expect(openHere()).toBe(0);
    expect((await bytes(file.body)).equals(text)).toBe(true);
    for await (const chunk of (await opened()).body) {
      expect([chunk.length > 0, openHere()]).toEqual([true, 1]);
      break;
    }
    expect(openHere()).toBe(0);
  });

  it('may be empty', async () => {
    writeFileSync(path, '');
    const file = await opened();
    expect([file.size, await bytes(file.body)]).toEqual([0, Buffer.alloc(0)]);
  });

  it.each<[string, 'gone' | 'changed', () => void]>([
    ['deleted', 'gone', () => rmSync(path)],
    [
      'below what is no folder any more',
      'gone',
      () => {
        rmSync(join(path, '..'), { recursive: true });
        writeFileSync(join(path, '..'), '');
      },
    ],
    ['appended to', 'changed', () => appendFileSync(path, 'x')],
    ['written to anew', 'changed', () => writeFileSync(path, text.reverse())],
    [
      'replaced',
      'changed',
      () => {
        writeFileSync(`${path}.new`, text);
        renameSync(`${path}.new`, path);
      },
    ],
    [
      'a link to the very same file',
      'changed',
      () => {
        renameSync(path, `${path}.real`);
        symlinkSync(`${path}.real`, path);
      },
    ],
    [
      'a named pipe that nobody writes to',
      'changed',
      () => {
        rmSync(path);
        execFileSync('mkfifo', [path]);
      },
    ],
  ])('is told from one that was %s', async (_how, outcome, change) => {
    const known = identity();
    change();
    expect(await files.open(known)).toBe(outcome);
  });

  it.each<[string, RegExp, () => void]>([
    ['deleted', /a\.bin is gone while it was read$/, () => rmSync(path)],
    ['changed', /a\.bin was changed while it was read$/, () => appendFileSync(path, 'x')],
  ])('says so where it is %s between open and read', async (_how, message, change) => {
    const { body } = await opened();
    change();
    await expect(bytes(body)).rejects.toThrow(message);
  });

  it.each<[string, RegExp, () => void]>([
    ['appended to', /was changed while it was read$/, () => appendFileSync(path, 'x')],
    ['cut short', /was cut short while it was read$/, () => writeFileSync(path, '')],
  ])('never passes for whole where it is %s under the reader', async (_how, message, change) => {
    const { body } = await opened();
    const read = async (): Promise<void> => {
      let chunks = 0;
      for await (const chunk of body) {
        if (chunks === 0) change();
        chunks += chunk.length;
      }
    };
    await expect(read()).rejects.toThrow(message);
    expect(openHere()).toBe(0);
  });
});

describe('formatNanos', () => {
  it.each([
    [0n, '1970-01-01T00:00:00.000000000Z'],
    [1_769_848_200_123_456_789n, '2026-01-31T08:30:00.123456789Z'],
    [-1n, '1969-12-31T23:59:59.999999999Z'],
    [9_000_000_000_000_000_000_000_000n, '9000000000000000000000000'],
  ])('%d', (ns, text9) => expect(formatNanos(ns)).toBe(text9));
});
