import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openConnection } from '../../../src/stores/sqlite/driver.ts';
import { OwnerLocks } from '../../../src/stores/sqlite/owner-lock.ts';
import { expectCode } from '../../contract/store/fixture.ts';
import { makeSqliteFixture } from '../../support/sqlite-fixture.ts';
import type { SqliteFixture } from '../../support/sqlite-fixture.ts';

const HOUR = 3_600_000;

describe('owner locks', () => {
  let folder = '';
  let base = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tappet-lock-'));
    base = join(folder, 'tappet.db');
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const locks = () => new OwnerLocks(base, openConnection);

  it('are exclusive between stores of one process, whoever looks and however often', () => {
    const [mine, other, third] = [locks(), locks(), locks()];
    expect(mine.take('a')).toBe(true);
    expect(mine.take('a')).toBe(true);
    for (let i = 0; i < 3; i++) {
      expect(other.isDead('a')).toBe(false);
      expect(third.take('a')).toBe(false);
    }
    expect(mine.isDead('a')).toBe(false);
    mine.releaseAll();
    expect(existsSync(`${base}.owner-a`)).toBe(false);
    expect(other.isDead('a')).toBe(true);
    expect(third.take('a')).toBe(true);
    expect(other.isDead('a')).toBe(false);
    third.releaseAll();
  });

  it('sweeps what dead owners left, and nothing else', () => {
    const [mine, other] = [locks(), locks()];
    mine.take('alive');
    writeFileSync(`${base}.owner-dead`, '');
    writeFileSync(`${base}-other`, '');
    writeFileSync(`${base}.owner-notes.txt`, 'mine');
    other.sweep();
    expect(existsSync(`${base}.owner-dead`)).toBe(false);
    expect(existsSync(`${base}.owner-alive`)).toBe(true);
    expect(existsSync(`${base}-other`)).toBe(true);
    expect(existsSync(`${base}.owner-notes.txt`)).toBe(true);
    mine.sweep();
    expect(other.isDead('alive')).toBe(false);
    mine.releaseAll();
  });

  it('writes any name as a file of the same folder', () => {
    const mine = locks();
    expect(mine.take('../host name/ü')).toBe(true);
    expect(existsSync(`${base}.owner-..%2Fhost%20name%2F%C3%BC`)).toBe(true);
    mine.releaseAll();
    expect(() => mine.take('')).toThrow(/1 to 120/);
    expect(() => mine.take('x'.repeat(121))).toThrow(/1 to 120/);
  });
});

describe('an engine whose owner', () => {
  let fixture: SqliteFixture;
  beforeEach(async () => {
    fixture = await makeSqliteFixture();
  });
  afterEach(() => fixture.dispose());

  it('has closed its store is taken at once, whatever the lease says', async () => {
    await fixture.store.acquireEngine('docker', 'a', HOUR);
    const other = await fixture.another();
    expect(await other.acquireEngine('docker', 'b', HOUR)).toMatchObject({ held: false, owner: 'a' });
    await fixture.store.close();
    expect(await other.acquireEngine('docker', 'b', HOUR)).toEqual({ held: true, epoch: 2 });
  });

  it('was killed is taken at once, and not before', async () => {
    await fixture.store.acquireEngine('docker', 'a', HOUR);
    await fixture.store.close();
    const child = lockingProcess(`${fixture.path}.owner-a`);
    try {
      await once(child.stdout, 'data');
      const other = await fixture.another();
      expect(await other.acquireEngine('docker', 'b', HOUR)).toMatchObject({ held: false, owner: 'a' });
      child.kill('SIGKILL');
      await once(child, 'exit');
      expect(await other.acquireEngine('docker', 'b', HOUR)).toEqual({ held: true, epoch: 2 });
      expect(existsSync(`${fixture.path}.owner-a`)).toBe(false);
      expect(existsSync(`${fixture.path}.owner-b`)).toBe(true);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('has the name of a living one is not let in beside it', async () => {
    await fixture.store.acquireEngine('docker', 'a', HOUR);
    const twin = await fixture.another();
    const answer = twin.acquireEngine('docker', 'a', HOUR);
    for (let i = 0; i < 10; i++) await fixture.clock.advance(5);
    expect(await answer).toMatchObject({ held: false, owner: 'a' });
    await expectCode(twin.acquireEngine('docker', '', HOUR), 'INVALID_ARGUMENT');
  });

  it('stands in memory only is succeeded by its lease alone', async () => {
    const memory = await fixture.another({ path: ':memory:' });
    expect(await memory.acquireEngine('docker', 'a', 1000)).toEqual({ held: true, epoch: 1 });
    const held = await memory.acquireEngine('docker', 'b', 1000);
    expect(held).toMatchObject({ held: false });
    const silent = held.held ? undefined : held;
    expect(await memory.acquireEngine('docker', 'b', 1000, silent)).toEqual({ held: true, epoch: 2 });
  });
});

/** Another process that holds a lock file as a gateway does, until it is killed. */
function lockingProcess(file: string) {
  const driver = createRequire(import.meta.url).resolve('better-sqlite3');
  const script = `
    const lock = require(${JSON.stringify(driver)})(${JSON.stringify(file)});
    lock.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    console.log('locked');
    setInterval(() => {}, 1000);`;
  return spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
}
