import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ownerLives, withLock } from '../../scripts/lib/lock.mjs';
import { processIdentity } from '../../scripts/lib/processes.mjs';
import { tempFolder } from '../support/temp-folder.ts';

const newLock = () => join(tempFolder(), 'lock');

it('lets one in at a time and goes away', async () => {
  const file = newLock();
  const steps: string[] = [];
  const work = (name: string) => async () => {
    steps.push(`${name} in`);
    await new Promise(setImmediate);
    steps.push(`${name} out`);
  };
  await Promise.all([withLock(file, work('a')), withLock(file, work('b'))]);
  expect(steps).toEqual(['a in', 'a out', 'b in', 'b out']);
  expect(existsSync(file)).toBe(false);
});

it('is given back when the work fails', async () => {
  const file = newLock();
  const failing = withLock(file, () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  expect(existsSync(file)).toBe(false);
});

it('is taken over from a process that is gone, also where its pid was given to another', async () => {
  const file = newLock();
  // This pid lives, but was started at another time.
  writeFileSync(file, `${process.pid} 1\n`);
  expect(ownerLives(file)).toBe(false);
  await expect(withLock(file, () => Promise.resolve('mine'))).resolves.toBe('mine');
});

it('knows itself, and not a process that does not exist', () => {
  expect(processIdentity(process.pid)).toContain(String(process.pid));
  expect(processIdentity(2 ** 22 + 1)).toBeUndefined();
});
