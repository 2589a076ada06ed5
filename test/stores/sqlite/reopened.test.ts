import { describe, expect, it } from 'vitest';
import { Bench, expectCode } from '../../contract/store/fixture.ts';
import { makeSqliteFixture } from '../../support/sqlite-fixture.ts';
import { Wire } from '../../support/sqlite-wire.ts';

let wire = new Wire();
const bench = new Bench(() => {
  wire = new Wire();
  return makeSqliteFixture({ connect: wire.connect });
});
const accept = (id: string) =>
  bench.store.acceptEvents({ origin: 'trigger/a', events: [bench.event(id)], state: [] });

describe('a database that is opened again after its disk failed', () => {
  it.each([
    ['Page 7: btreeInitPage() returns error code 11', 'The database is damaged: Page 7: btree'],
    ['Tree 4 page 9: unable to get the page. error code=11', 'damaged: Tree 4 page 9'],
    // SQLITE_IOERR_READ and SQLITE_IOERR_CORRUPTFS, as the disk says them.
    ['Tree 4 page 9: unable to get the page. error code=266', 'used now: disk I/O error'],
    ['Tree 4 page 9: unable to get the page. error code=8458', 'used now: disk I/O error'],
  ])('says whether it is damaged, or could not be read: %j', async (found, words) => {
    wire.fail = (sql) => (sql === 'COMMIT' ? 'SQLITE_IOERR_FSYNC' : undefined);
    await expectCode(accept('1'), 'STORE_UNAVAILABLE');
    wire.fail = null;
    wire.found = `*** in database main ***\n${found}.`;
    await expect(accept('1')).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining(words) as string,
    });
    wire.found = null;
    expect(await accept('1')).toMatchObject({ outcome: 'stored' });
  });

  it('and cannot be, is looked at until that works, and only then closed', async () => {
    let failures = 3;
    wire.fail = (sql) => (sql === 'COMMIT' ? 'SQLITE_IOERR_FSYNC' : undefined);
    await expectCode(accept('1'), 'STORE_UNAVAILABLE');
    wire.log.length = 0;
    wire.fail = () => (failures-- > 0 ? 'SQLITE_IOERR_SHMOPEN' : undefined);
    await expectCode(accept('1'), 'STORE_UNAVAILABLE');
    const look = 'SELECT count(*) AS n FROM sqlite_master';
    expect(wire.log).toEqual(['PRAGMA journal_mode = WAL', look, look, look, 'close']);
    wire.fail = null;
    expect(await accept('1')).toMatchObject({ outcome: 'stored' });
  });
});
