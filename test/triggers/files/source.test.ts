import { appendFile, mkdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { validateEvent } from '../../../src/inbox/validate-event.ts';
import { FilesRig } from '../../support/files-rig.ts';
import { refused } from '../../support/memory-store.ts';

let rig: FilesRig;
beforeEach(async () => {
  rig = new FilesRig();
  await mkdir(rig.root);
});

describe('a file that lands', () => {
  it('is one event, with its row in the same transaction, once nobody has written to it for the settle time', async () => {
    const { hints } = await rig.start();
    await rig.write('a.csv', '1,2\n');
    hints.file('a.csv');
    await rig.pass(1);
    await rig.write('a.csv', '1,2\n3,4\n');
    hints.file('a.csv');
    await rig.pass(2);
    expect(rig.names()).toEqual([]);
    await rig.pass(1);
    expect(rig.names()).toEqual(['a.csv']);
    expect(rig.ledger()).toEqual(['a.csv']);
    await rig.scanned();
    expect(rig.names()).toEqual(['a.csv']);
  });

  it('tells its path, name, size, time and inode', async () => {
    const { hints } = await rig.start();
    await mkdir(join(rig.root, 'in'));
    await rig.write('in/ä 1.csv', '1,2\n');
    hints.folder('in');
    await rig.pass(4);
    const [stored] = rig.store.list();
    const event = stored?.event;
    const found = await stat(join(rig.root, 'in/ä 1.csv'), { bigint: true });
    expect(stored).toMatchObject({ origin: 'trigger/in', trigger: 'in' });
    expect(event).toMatchObject({
      type: 'dev.tappet.files.v1.settled',
      source: `file://${rig.root}`,
      subject: 'in/ä 1.csv',
      data: {
        path: join(rig.root, 'in/ä 1.csv'),
        name: 'in/ä 1.csv',
        root: rig.root,
        size: 4,
        ino: String(found.ino),
      },
    });
    const { mtime } = (event as unknown as { data: { mtime: string } }).data;
    expect(mtime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    expect(Date.parse(`${mtime.slice(0, 23)}Z`)).toBe(Number(found.mtimeNs / 1_000_000n));
    expect(mtime.slice(20, 29)).toBe((found.mtimeNs % 1_000_000_000n).toString().padStart(9, '0'));
    if (event !== undefined) expect(() => validateEvent(event, 1000)).not.toThrow();
  });

  it('is found by the scan of each minute where the system told nothing', async () => {
    await rig.start();
    await rig.write('a.csv');
    await rig.pass(59);
    expect(rig.names()).toEqual([]);
    await rig.pass(4);
    expect(rig.names()).toEqual(['a.csv']);
  });

  it('is found as often as poll says', async () => {
    await rig.start({ pollMs: 5000 });
    await rig.write('a.csv');
    await rig.pass(8);
    expect(rig.names()).toEqual(['a.csv']);
  });

  it('is taken at once where settle is 0s', async () => {
    const { hints, source } = await rig.start({ settleMs: 0 });
    await rig.write('a.csv');
    hints.file('a.csv');
    await rig.clock.advance(20);
    await source.idle();
    expect(rig.names()).toEqual(['a.csv']);
  });

  it('waits as long whatever happens to the clock', async () => {
    const { hints, source } = await rig.start();
    await rig.write('a.csv');
    hints.file('a.csv');
    await rig.clock.advance(20);
    await source.idle();
    rig.clock.set(rig.clock.now() + 3_600_000);
    await rig.pass(1);
    expect(rig.names()).toEqual([]);
    rig.clock.set(rig.clock.now() - 7_200_000);
    await rig.pass(1);
    expect(rig.names()).toEqual(['a.csv']);
  });

  it('is nothing where it vanishes before it has settled', async () => {
    const { hints } = await rig.start();
    await rig.write('a.csv');
    hints.file('a.csv');
    await rig.pass(1);
    await rm(join(rig.root, 'a.csv'));
    hints.file('a.csv');
    hints.file('never-there.csv');
    await rig.scanned();
    expect(rig.names()).toEqual([]);
    expect(rig.ledger()).toEqual([]);
    expect(rig.log.lines.filter(({ level }) => level !== 'info')).toEqual([]);
  });
});

describe('a file that is known', () => {
  beforeEach(async () => {
    await rig.start();
    await rig.write('a.csv', 'one');
    await rig.write('b.csv', 'two');
    await rig.scanned();
  });

  it.each<[string, () => Promise<void>]>([
    ['appended to', () => appendFile(join(rig.root, 'a.csv'), ' more')],
    ['overwritten', () => rig.write('a.csv', 'six')],
    ['cut short', () => truncate(join(rig.root, 'a.csv'), 1)],
    [
      'replaced by another of the same size and mtime',
      async () => {
        const { atime, mtime } = await stat(join(rig.root, 'a.csv'));
        await rig.write('.new', 'ONE');
        await utimes(join(rig.root, '.new'), atime, mtime);
        await rig.move('.new', 'a.csv');
      },
    ],
  ])('is a new event when it is %s', async (_how, change) => {
    await change();
    await rig.scanned();
    expect(rig.names()).toEqual(['a.csv', 'b.csv', 'a.csv']);
  });

  it('loses its row when it is gone, and is a new event when it is put back as it was', async () => {
    const path = join(rig.root, 'a.csv');
    const { atime, mtime } = await stat(path);
    await rm(path);
    await rig.scanned();
    expect(rig.ledger()).toEqual(['b.csv']);
    await writeFile(path, 'one');
    await utimes(path, atime, mtime);
    await rig.scanned();
    expect(rig.names()).toEqual(['a.csv', 'b.csv', 'a.csv']);
  });

  it('stays the same file where it moves within the folder, told or not', async () => {
    await mkdir(join(rig.root, 'done'));
    await rig.move('a.csv', 'done/a.csv');
    await rig.scanned();
    const { hints } = await rig.start();
    await rig.move('b.csv', 'done/b.csv');
    hints.file('b.csv');
    hints.file('done/b.csv');
    await rig.pass(4);
    expect(rig.ledger()).toEqual(['done/a.csv', 'done/b.csv']);
    await rig.scanned();
    expect(rig.names()).toEqual(['a.csv', 'b.csv']);
    expect(rig.ledger()).toEqual(['done/a.csv', 'done/b.csv']);
  });
});

describe('the first start', () => {
  it('puts what is there into the ledger, counts it and starts nothing', async () => {
    await rig.write('a.csv');
    await mkdir(join(rig.root, 'in'));
    await rig.write('in/b.csv');
    const firstStart = rig.clock.now();
    const { host } = await rig.start();
    await rig.scanned();
    expect(rig.names()).toEqual([]);
    expect(rig.ledger()).toEqual(['a.csv', 'in/b.csv']);
    const told = { firstStart, existing: { skipped: 2, complete: true } };
    expect(host.status('trigger/in', 'in')).toEqual(told);
    expect(rig.store.state.get('trigger/in t')?.value).toMatchObject({ skipped: 2, done: true });
    expect(rig.log.lines).toMatchObject([
      {
        message: 'files that were there before the first start go into the ledger and start nothing',
        fields: { files: 2 },
      },
    ]);
    await rig.write('a.csv', 'changed');
    await rig.scanned();
    expect(rig.names()).toEqual(['a.csv']);
    await host.stop();
    expect(host.status('trigger/in', 'in')).toBeUndefined();
    expect((await rig.start()).host.status('trigger/in', 'in')).toEqual(told);
  });

  it('makes each an event with existing: run', async () => {
    await rig.write('a.csv');
    await rig.write('b.csv');
    await rig.start({ existing: 'run' });
    await rig.pass(3);
    expect(rig.names().sort()).toEqual(['a.csv', 'b.csv']);
  });

  it('goes by the change of the file, so that one that lands while it is under way is new', async () => {
    rig.clock.set(Date.now() - 60_000);
    await rig.write('a.csv');
    await utimes(join(rig.root, 'a.csv'), 0, 0);
    await rig.start();
    await rig.pass(3);
    expect(rig.names()).toEqual(['a.csv']);
  });

  it('is only the first: what lands while nobody is there is one event each', async () => {
    const { host } = await rig.start();
    await host.stop();
    await rig.write('a.csv');
    await rig.write('b.csv');
    await rig.start();
    await rig.pass(3);
    expect(rig.names().sort()).toEqual(['a.csv', 'b.csv']);
  });

  it('is another one for another folder, and for what only another glob matches', async () => {
    await rig.write('old.txt');
    const first = await rig.start({ glob: '*.csv' });
    await first.host.stop();
    await rig.write('new.csv');
    rig.clock.set(Date.now() + 2000);
    const second = await rig.start({ glob: '*' });
    await rig.pass(3);
    expect(rig.names()).toEqual(['new.csv']);
    expect(rig.ledger()).toEqual(['new.csv', 'old.txt']);
    await second.host.stop();
    const other = join(rig.root, 'other');
    await mkdir(other);
    await rig.write('other/there.csv');
    rig.clock.set(Date.now() + 4000);
    await rig.start({ path: other, glob: '*' });
    await rig.pass(3);
    expect(rig.names()).toEqual(['new.csv']);
    expect(rig.ledger()).toEqual(['there.csv']);
  });
});

describe('when the store refuses', () => {
  it('comes back, and each file is one event', async () => {
    await rig.start();
    await rig.write('a.csv');
    rig.store.refuse = refused();
    await rig.scanned();
    expect(rig.said()).toContain('the folder could not be looked through, or its files not stored');
    rig.store.refuse = undefined;
    await rig.scanned();
    await rig.scanned();
    expect(rig.names()).toEqual(['a.csv']);
  });

  it('lets one gateway of two on the same store accept', async () => {
    const one = await rig.start();
    const two = await rig.start();
    await rig.write('a.csv');
    one.hints.file('a.csv');
    two.hints.file('a.csv');
    await rig.scanned();
    expect(rig.names()).toEqual(['a.csv']);
    expect(rig.store.list()[0]?.duplicates).toBe(0);
  });
});

it('does nothing after stop, and may be stopped before it starts', async () => {
  const { host, hints } = await rig.start();
  await host.stop();
  await host.stop();
  await rig.write('a.csv');
  hints.file('a.csv');
  await rig.scanned();
  expect(rig.names()).toEqual([]);
  expect(rig.clock.pending).toBe(0);
});
