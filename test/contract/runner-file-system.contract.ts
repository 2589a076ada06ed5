import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { StagedFile } from '../../src/core/runner.ts';
import { failure } from '../support/fake-engine-runner.ts';
import { MemoryLogWriter } from '../support/memory-log-writer.ts';
import { collect, fileOf, filesOf } from '../support/staged-files.ts';
import { LONG } from './runner-files.contract.ts';
import type { FilesHarness } from './runner-files.contract.ts';

/**
 * What the file system of a container does with files: owners, modes, folders, names. Not for an engine in memory, whose
 * containers have none on any machine.
 */
export function fileSystemContract(open: () => FilesHarness): void {
  describe('files in the file system of a container', () => {
    it('arrive byte for byte, under any name, with folders, modes and owner', async () => {
      const { runner, specOf, runToEnd } = open();
      const bytes = randomBytes(3_000_001);
      const files: StagedFile[] = [
        { to: '/in/deep/er/data.bin', size: bytes.length, body: filesOfBytes(bytes, 70_000) },
        fileOf('/in/émoji 🎬 %20+"\'$.txt', 'unicode\n'),
        fileOf(`/in/${LONG}`, 'long\n'),
        fileOf('/in/empty', ''),
        fileOf('/tmp/secret', 's', 0o400),
        fileOf('/opt/run.sh', '#!/bin/sh\n', 0o755),
      ];
      const script = [
        'sha256sum < /in/deep/er/data.bin',
        'cat "$1" "$2"',
        'stat -c "%n %a %u:%g %s" /in /in/deep /in/deep/er/data.bin /in/empty /tmp /tmp/secret /opt/run.sh',
        'id -u',
        'cat /tmp/secret',
      ].join('; ');
      const args = ['x', '/in/émoji 🎬 %20+"\'$.txt', `/in/${LONG}`];
      const spec = specOf(script, { args, user: 'app' });
      const lines = (await runToEnd(spec, { files: () => filesOf(files) })).split('\n');
      expect(lines).toEqual([
        `${createHash('sha256').update(bytes).digest('hex')}  -`,
        'unicode',
        'long',
        expect.stringMatching(/^\/in 755 0:0 /),
        expect.stringMatching(/^\/in\/deep 755 0:0 /),
        `/in/deep/er/data.bin 644 0:0 ${bytes.length}`,
        '/in/empty 644 0:0 0',
        expect.stringMatching(/^\/tmp 1777 0:0 /),
        '/tmp/secret 400 0:0 1',
        '/opt/run.sh 755 0:0 10',
        '1000',
        '',
      ]);
      await runner.remove(spec.name);
    });

    it.each([
      ['/etc', 'a folder of the image'],
      ['/etc/passwd/x', 'below a file'],
      [`/in/${'x'.repeat(300)}`, 'a name that is too long'],
    ])('are refused at %s: %s', async (to) => {
      const { runner, specOf } = open();
      const spec = specOf('true');
      const files = () => filesOf([fileOf(to, 'x')]);
      expect(await failure(runner.ensure(spec, new MemoryLogWriter(), { files }))).toMatchObject({
        code: 'CONTAINER_START_FAILED',
        message: expect.stringMatching(
          /^A file could not be put into a container of the image ".*": .*[a-z]/,
        ),
      });
      expect(await runner.inspect(spec.name)).toEqual({ state: 'missing' });
    });

    it('are refused where a name is not UTF-8', async () => {
      const { runner, specOf, runToEnd } = open();
      const spec = specOf('mkdir /out; echo x > "/out/$(printf "bad\\377")"');
      await runToEnd(spec);
      expect(await failure(collect(runner.outputs(spec.name, '/out')))).toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(/not UTF-8/),
      });
      await runner.remove(spec.name);
    });
  });
}

async function* filesOfBytes(bytes: Buffer, step: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
}
