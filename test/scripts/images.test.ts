import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { busyboxTar, makeTar } from '../../scripts/lib/images.mjs';
import { tempFolder } from '../support/temp-folder.ts';

it('makes an archive that tar unpacks: files, links, a /tmp for everyone, nobody', () => {
  const dir = tempFolder();
  const busybox = Buffer.alloc(1000, 'b');
  execFileSync('tar', ['-xf', '-', '-C', dir], { input: busyboxTar(busybox, ['sh', '[[']) });
  expect(readFileSync(join(dir, 'bin/busybox'))).toEqual(busybox);
  expect(statSync(join(dir, 'bin/busybox')).mode & 0o777).toBe(0o755);
  expect(readlinkSync(join(dir, 'bin/sh'))).toBe('busybox');
  expect(readlinkSync(join(dir, 'bin/[['))).toBe('busybox');
  expect(statSync(join(dir, 'tmp')).mode & 0o1777).toBe(0o1777);
  expect(readFileSync(join(dir, 'etc/passwd'), 'utf8')).toContain('nobody:x:65534:65534:');
});

it('makes the same bytes from the same input', () => {
  const entries = [{ name: 'a', mode: 0o644, type: '0' as const, body: Buffer.from('text') }];
  expect(makeTar(entries).equals(makeTar(entries))).toBe(true);
  expect(makeTar(entries).length % 512).toBe(0);
});
