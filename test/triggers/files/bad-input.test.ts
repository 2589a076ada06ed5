import { execFileSync } from 'node:child_process';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { FilesRig } from '../../support/files-rig.ts';

let rig: FilesRig;
beforeEach(async () => {
  rig = new FilesRig();
  await mkdir(rig.root);
});

describe('what no event can tell of is named once, and passed over', () => {
  it.each<[string, string, () => Promise<unknown>]>([
    [
      'a link out of the folder',
      '"out.csv" is a symbolic link; links are never followed, as they may lead out of the folder: put the file itself there',
      () => symlink('/etc/hostname', join(rig.root, 'out.csv')),
    ],
    [
      'a link to a folder',
      '"out" is a symbolic link; links are never followed, as they may lead out of the folder: put the file itself there',
      () => symlink('/etc', join(rig.root, 'out')),
    ],
    [
      'a named pipe',
      '"pipe" is a named pipe; only regular files start anything',
      async () => execFileSync('mkfifo', [join(rig.root, 'pipe')]),
    ],
    [
      'a name that is not UTF-8',
      '"caf\\xe9.csv" has a name that is not UTF-8, which no event can tell: rename it',
      () =>
        writeFile(
          Buffer.concat([Buffer.from(`${rig.root}/caf`), Buffer.from([0xe9]), Buffer.from('.csv')]),
          '',
        ),
    ],
    [
      'a folder whose name is not UTF-8',
      '"\\xff" has a name that is not UTF-8, which no event can tell: rename it',
      () => mkdir(Buffer.concat([Buffer.from(`${rig.root}/`), Buffer.from([0xff])])),
    ],
  ])('%s', async (_what, sentence, make) => {
    const { hints } = await rig.start();
    await make();
    await rig.write('good.csv');
    for (const name of ['out.csv', 'out', 'pipe', 'caf\ufffd.csv', 'out/hostname']) hints.file(name);
    await rig.scanned();
    await rig.scanned();
    expect(rig.names()).toEqual(['good.csv']);
    expect(rig.log.lines.filter(({ level }) => level === 'warn')).toMatchObject([
      { message: sentence, fields: { trigger: 'in', folder: rig.root } },
    ]);
  });

  it('a folder that becomes a link', async () => {
    const { hints } = await rig.start();
    const outside = join(rig.root, '../outside');
    await mkdir(outside);
    await writeFile(join(outside, 'secret.csv'), 'x');
    await mkdir(join(rig.root, 'in'));
    await rig.scanned();
    await rename(join(rig.root, 'in'), join(rig.root, 'was'));
    await symlink(outside, join(rig.root, 'in'));
    hints.file('in/secret.csv');
    hints.folder('in');
    await rig.scanned();
    expect(rig.names()).toEqual([]);
  });

  it('a path that is too long for an event, without keeping others back or coming again', async () => {
    await rig.start();
    const deep = Array.from({ length: 10 }, () => 'x'.repeat(220)).join('/');
    await mkdir(join(rig.root, deep), { recursive: true });
    await rig.write(`${deep}/a`);
    await rig.write('good');
    await rig.scanned();
    await rig.scanned();
    expect(rig.names()).toEqual(['good']);
    const warnings = rig.log.lines.filter(({ level }) => level === 'warn');
    expect(warnings.map(({ message }) => message.slice(message.indexOf('" ') + 2))).toEqual([
      'cannot become an event: subject is longer than 2048 characters.',
    ]);
  });
});

describe('names', () => {
  it.each(['a b', 'a+b%20', 'ünï', '日本.csv', '\u{1f600}', '\uffff', 'line\nbreak', 'quote\'"', '\\back'])(
    'takes %j',
    async (name) => {
      await rig.start();
      await rig.write(name);
      await rig.scanned();
      await rig.scanned();
      expect(rig.names()).toEqual([name]);
      expect(rig.ledger()).toEqual([name]);
    },
  );

  it('orders folders and files as the ledger does, so that nothing is forgotten or comes twice', async () => {
    const names = [
      'a',
      'a-b',
      'a.b',
      'a0',
      'b/a',
      'b-/a',
      'b./a',
      'b0/a',
      'b/a/x'.replace('/a/', '/c/'),
      '\u{1f600}',
      '\ue000',
    ];
    for (const name of names) await mkdir(join(rig.root, name, '..'), { recursive: true });
    await rig.start();
    for (const name of names) await rig.write(name);
    for (let i = 0; i < 3; i++) await rig.scanned();
    expect(rig.names().sort()).toEqual([...names].sort());
    expect(rig.ledger()).toEqual([...names].sort());
  });
});

describe('the folder itself', () => {
  it.each<[string, () => Promise<unknown>, RegExp]>([
    [
      'missing',
      () => rm(rig.root, { recursive: true }),
      /^There is no folder .*inbox: make it or mount it, or correct "path"\.$/,
    ],
    [
      'a file',
      async () => {
        await rm(rig.root, { recursive: true });
        await writeFile(rig.root, '');
      },
      /inbox is not a folder: correct "path" of the trigger\.$/,
    ],
  ])(
    'is waited for where it is %s at the start, and the status says why',
    async (_what, breakIt, message) => {
      await breakIt();
      const { host } = await rig.start({ existing: 'run' });
      expect(host.health()).toMatchObject([
        { state: 'failed', message: expect.stringMatching(message) as string },
      ]);
      await rm(rig.root, { recursive: true, force: true });
      await mkdir(rig.root);
      await rig.write('a.csv');
      await rig.pass(1);
      expect(host.health()).toMatchObject([{ state: 'running' }]);
      await rig.scanned();
      expect(rig.names()).toEqual(['a.csv']);
    },
  );

  it('that is taken away is missed, said once, watched again when it is back, and what it held is not new', async () => {
    const { host } = await rig.start();
    await rig.write('a.csv');
    await rig.scanned();
    await rename(rig.root, `${rig.root}-away`);
    await rig.scanned();
    const waits = host.health();
    expect(waits).toMatchObject([
      { state: 'failed', message: expect.stringContaining('There is no folder') as string },
    ]);
    await rig.scanned();
    expect(host.health()).toEqual(waits);
    expect(rig.said().filter((line) => line.startsWith('There is no folder'))).toHaveLength(1);
    await rename(`${rig.root}-away`, rig.root);
    await rig.write('b.csv');
    await rig.scanned();
    expect(rig.said()).toContain('the folder is there again');
    expect(host.health()).toMatchObject([{ state: 'running' }]);
    expect(rig.names()).toEqual(['a.csv', 'b.csv']);
  });

  it('that is another for a while (unmounted) takes no rows away; for good, after a day', async () => {
    await rig.start();
    await rig.write('a.csv');
    await rig.scanned();
    await rename(rig.root, `${rig.root}-away`);
    await mkdir(rig.root);
    await rig.scanned();
    expect(rig.said()).toContain(
      'another folder stands in the place: replaced, mounted or unmounted; it is watched from now on',
    );
    expect(rig.ledger()).toEqual(['a.csv']);
    await rig.write('b.csv');
    await rig.scanned();
    await rm(rig.root, { recursive: true });
    await rename(`${rig.root}-away`, rig.root);
    await rig.scanned();
    expect(rig.names()).toEqual(['a.csv', 'b.csv']);

    await rename(rig.root, `${rig.root}-gone`);
    await mkdir(rig.root);
    await rig.scanned();
    rig.clock.set(rig.clock.now() + 24 * 3_600_000);
    await rig.scanned();
    await rig.scanned();
    expect(rig.ledger()).toEqual([]);
  });
});

describe('the limit of watches', () => {
  it.each([
    ['ENOSPC', 'fs.inotify.max_user_watches'],
    ['EMFILE', 'fs.inotify.max_user_instances'],
  ])('%s: says what to raise, and looks through the folder every 10 s', async (code, setting) => {
    const { hints } = await rig.start();
    for (let i = 0; i < 3; i++) hints.failed(Object.assign(new Error('no watch'), { code }));
    await rig.pass(1);
    await rig.write('a.csv');
    await rig.pass(13);
    expect(rig.names()).toEqual(['a.csv']);
    expect(rig.said().filter((line) => line.includes('limit'))).toEqual([
      `the system's limit of watched folders is reached: raise ${setting} (sysctl) and restart; until then the folder is looked through every 10s`,
    ]);
  });
});
