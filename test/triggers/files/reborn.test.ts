import { chmod, mkdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { FilesRig } from '../../support/files-rig.ts';

/** As from an archive: whole seconds, the same for all. */
const TIME = new Date('2026-01-01T00:00:00Z');
let rig: FilesRig;
beforeEach(async () => {
  rig = new FilesRig();
  await mkdir(rig.root);
  await rig.start();
});

async function drop(name: string): Promise<void> {
  const path = join(rig.root, name);
  await writeFile(path, 'same size');
  await utimes(path, TIME, TIME);
}

describe('a file on the inode of one that was deleted, with the same size and an mtime carried over', () => {
  it.each([
    ['in its place', 'a.csv'],
    ['beside it', 'b.csv'],
  ])('is a new event %s', async (_where, name) => {
    await drop('a.csv');
    await rig.scanned();
    await rm(join(rig.root, 'a.csv'));
    // ext4 gives it the inode that was freed; where a file system does not, there is nothing to tell apart.
    await drop(name);
    await rig.scanned();
    await rig.scanned();
    expect(rig.names()).toEqual(['a.csv', name]);
    expect(rig.ledger()).toEqual([name]);
  });
});

it('is the same file after its mode was changed', async () => {
  await drop('a.csv');
  await rig.scanned();
  await chmod(join(rig.root, 'a.csv'), 0o600);
  await rig.scanned();
  await rig.scanned();
  expect(rig.names()).toEqual(['a.csv']);
});
