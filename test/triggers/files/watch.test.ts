import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { createFilter } from '../../../triggers/files/glob.ts';
import { watchFolder } from '../../../triggers/files/watch.ts';
import { tempFolder } from '../../support/temp-folder.ts';

let root: string;
beforeEach(() => {
  root = tempFolder();
});

/** Everything that is heard; `heard` resolves when it has been, before or after the call. */
async function listen(glob = '**') {
  const all = new Set<string>();
  const waiting = new Map<string, () => void>();
  const note = (what: string): void => {
    all.add(what);
    waiting.get(what)?.();
  };
  const heard = (what: string): Promise<void> =>
    all.has(what) ? Promise.resolve() : new Promise((resolve) => waiting.set(what, resolve));
  const stop = await watchFolder(root, createFilter(glob), {
    file: (path) => note(`file ${path}`),
    folder: (path) => note(`folder ${path}`),
    failed: (error) => note(`failed ${String(error)}`),
  });
  onTestFinished(stop);
  // The first word is that all folders are watched now.
  await heard('folder ');
  return { all, heard, stop };
}

it('hears of files that are made, written to, moved in and deleted, in folders old and new', async () => {
  mkdirSync(join(root, 'in'));
  const { all, heard } = await listen();
  writeFileSync(join(root, 'a.csv'), '');
  await heard('file a.csv');
  writeFileSync(join(root, 'in/b.csv'), '');
  await heard('file in/b.csv');
  renameSync(join(root, 'a.csv'), join(root, 'c.csv'));
  await heard('file c.csv');
  mkdirSync(join(root, 'new'));
  await heard('folder new');
  renameSync(join(root, 'c.csv'), join(root, 'in/c.csv'));
  await heard('file in/c.csv');
  rmSync(join(root, 'in/b.csv'));
  expect([...all].filter((what) => what.startsWith('failed'))).toEqual([]);
});

it('hears nothing of what the glob does not name, nor of its folders', async () => {
  mkdirSync(join(root, '.git'));
  mkdirSync(join(root, 'in'));
  const { all, heard } = await listen('*.csv');
  writeFileSync(join(root, '.git/x.csv'), '');
  writeFileSync(join(root, 'in/x.csv'), '');
  writeFileSync(join(root, 'x.csv.part'), '');
  mkdirSync(join(root, 'in/deeper'));
  writeFileSync(join(root, 'x.csv'), '');
  await heard('file x.csv');
  expect([...all]).toEqual(['folder ', 'file x.csv']);
});

it('takes a watch for each folder, not for each file', async () => {
  mkdirSync(join(root, 'in'));
  for (let i = 0; i < 300; i++) writeFileSync(join(root, i % 2 === 0 ? `${i}` : `in/${i}`), '');
  const before = watches();
  const { stop } = await listen();
  expect(watches() - before).toBe(2);
  await stop();
  expect(watches() - before).toBe(0);
});

/** Watches of this process, as the kernel counts them. */
function watches(): number {
  return readdirSync('/proc/self/fdinfo')
    .flatMap((fd) => {
      try {
        return readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8').split('\n');
      } catch {
        return [];
      }
    })
    .filter((line) => line.startsWith('inotify wd:')).length;
}
