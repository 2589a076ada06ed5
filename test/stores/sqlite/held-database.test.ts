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
    ['set back', -3_600_000],
    ['set forward', 3_600_000],
  ])('… no sooner and no later where the time of day is %s meanwhile', async (_how, ms) => {
    const letGo = holdDatabase();
    const refused = call();
    let over = false;
    void refused.then(() => (over = true));
    // The first try.
    await fixture.clock.advance(0);
    await fixture.clock.advance(5_000);
    fixture.clock.set(fixture.clock.now() + ms);
    await fixture.clock.advance(4_900);
    expect(over).toBe(false);
    await fixture.clock.advance(200);
    expect(over).toBe(true);
    expect(await refused).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    letGo();
  });
});
