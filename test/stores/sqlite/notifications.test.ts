import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { MOST_COUNTED } from '../../../src/core/notify.ts';
import { makeSqliteFixture } from '../../support/sqlite-fixture.ts';
import { Bench } from '../../contract/store/fixture.ts';

describe('notifications and the end that they tell of', () => {
  const paths: string[] = [];
  const bench = new Bench(async () => {
    const fixture = await makeSqliteFixture();
    paths.push(fixture.path);
    return fixture;
  });
  const notify = { onFailure: ['ops'], onRecovery: ['ops'], onCompletion: ['ops'] };
  /** As if the disk had lost it. */
  const spoil = (table: string): void => {
    const db = new Sqlite(paths.at(-1));
    db.exec(`ALTER TABLE ${table} RENAME TO lost`);
    db.close();
  };
  const mend = (table: string): void => {
    const db = new Sqlite(paths.at(-1));
    db.exec(`ALTER TABLE lost RENAME TO ${table}`);
    db.close();
  };

  it.each(['notifications', 'notified_jobs'])(
    'an end that cannot be told is no end yet (%s)',
    async (table) => {
      const name = await bench.created({ maxRetries: 0, notify });
      const { attempt } = await bench.running();
      spoil(table);
      await expect(bench.finish(attempt, bench.exit(1))).rejects.toThrow('no such table');
      expect(await bench.store.getExecution(name)).toMatchObject({ state: 'RUNNING', completionTime: null });
      mend(table);
      expect((await bench.finish(attempt, bench.exit(1))).repeated).toBe(false);
      const { items } = await bench.store.listNotifications({ execution: name }, { size: 10 });
      expect(items.map(({ kind }) => kind)).toEqual(['completed', 'failed']);
    },
  );

  it('are counted up to ten thousand of a kind, however many are kept', async () => {
    const fill = (state: string, count: number): void => {
      const db = new Sqlite(paths.at(-1));
      db.prepare(
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
         INSERT INTO notifications (id, receiver, kind, execution, job, body, state, attempts, create_time)
         SELECT ? || i, 'ops', 'completed', 'x', 'x', '{}', ?, 1, i FROM n`,
      ).run(count, state, state);
      db.close();
    };
    await bench.store.notificationCounts();
    fill('PENDING', MOST_COUNTED - 1);
    fill('GIVEN_UP', MOST_COUNTED + 100);
    expect(await bench.store.notificationCounts()).toEqual({
      pending: MOST_COUNTED - 1,
      givenUp: MOST_COUNTED,
      oldestPendingTime: 1,
    });
  });

  it('nothing of it is read or written where nobody is told', async () => {
    await bench.created({ maxRetries: 0 });
    const { attempt } = await bench.running();
    spoil('notifications');
    expect((await bench.finish(attempt, bench.exit(1))).execution.state).toBe('FAILED');
  });
});
