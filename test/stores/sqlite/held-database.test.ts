import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { errorWithFix } from '../../../src/core/errors.ts';
import { openConnection } from '../../../src/stores/sqlite/driver.ts';
import { makeSqliteFixture } from '../../support/sqlite-fixture.ts';
import type { SqliteFixture } from '../../support/sqlite-fixture.ts';

let fixture: SqliteFixture;
beforeEach(async () => {
  fixture = await makeSqliteFixture();
});
afterEach(() => fixture.dispose());

/** What a process holds that stands still in the middle of a commit; gives what ends it. */
function holdDatabase(): () => void {
  const holder = openConnection(fixture.path);
  holder.exec('BEGIN IMMEDIATE');
  return () => {
    holder.exec('COMMIT');
    holder.close();
  };
}

describe('a database that another process holds and does not let go', () => {
  const call = (): Promise<unknown> =>
    fixture.store.acquireEngine('docker', 'a', 1000).catch((problem: unknown) => problem);

  it('refuses a call after ten seconds, with what to look for, and takes the next when it is free', async () => {
    const letGo = holdDatabase();
    const refused = call();
    for (let ms = 0; ms <= 10_100; ms += 5) await fixture.clock.advance(5);
    const error = await refused;
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE', fields: { retryAfter: 5 } });
    expect(errorWithFix(error)).toContain(
      'Look for a process on this data folder, perhaps a second gateway, that hangs or was stopped (SIGSTOP), and end it.',
    );
    letGo();
    expect(await call()).toEqual({ held: true, epoch: 1 });
  });

  it.each([
    ['timers are late', 25],
    ['the clock is set back meanwhile', -5],
  ])('… also where %s', async (_why, lateMs) => {
    const letGo = holdDatabase();
    const refused = call();
    let over = false;
    void refused.then(() => (over = true));
    let waited = 0;
    while (!over && waited < 11_000) {
      await fixture.clock.advance(5);
      fixture.clock.set(fixture.clock.now() + lateMs);
      waited += 5 + Math.max(0, lateMs);
    }
    expect(over).toBe(true);
    expect(waited).toBeGreaterThan(9_900);
    expect(await refused).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    letGo();
  });
});
