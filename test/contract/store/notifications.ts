import { describe, expect, it } from 'vitest';
import type { ClaimedNotification, Notification, NotifySpec } from '../../../src/core/notify.ts';
import type { Bench } from './fixture.ts';
import { DAY, HOUR } from './fixture.ts';

const LEASE_MS = 60_000;
const NOTIFY: NotifySpec = { onFailure: ['ops'], onRecovery: ['ops'], onCompletion: [] };

export function notificationsContract(bench: Bench): void {
  const run = async (code: number, notify: NotifySpec | undefined, job = 'work'): Promise<string> => {
    const name = await bench.created({ maxRetries: 0, ...(notify && { notify }) }, { job });
    await bench.attempt(bench.exit(code));
    return name;
  };
  const list = async (): Promise<readonly Notification[]> =>
    (await bench.store.listNotifications({}, { size: 1000 })).items.toReversed();
  const told = async (): Promise<string[]> =>
    (await list()).map(({ receiver, kind, execution }) => `${receiver} ${kind} ${execution}`);
  const EVERYBODY = ['a', 'b', 'c', 'ci', 'few', 'log', 'many', 'ops'];
  const claiming = (receivers = EVERYBODY, limit = 16) => ({
    leaseMs: LEASE_MS,
    limit,
    receivers,
    maxAgeMs: 5 * DAY,
  });
  const claim = (receivers?: string[], limit?: number): Promise<ClaimedNotification[]> =>
    bench.store.claimNotifications(claiming(receivers, limit));
  const settle = ({ id, attempts }: Notification, outcome: 'DELIVERED' | 'GIVEN_UP'): Promise<boolean> =>
    bench.store.settleNotification({
      id,
      attempt: attempts,
      outcome:
        outcome === 'DELIVERED'
          ? { state: outcome, status: 204 }
          : { state: outcome, status: 500, error: 'it answered 500' },
    });

  describe('who is told of executions', () => {
    it('hears of nothing where no job asks for it', async () => {
      await run(1, undefined);
      await run(0, undefined);
      expect(await list()).toEqual([]);
      expect(await claim()).toEqual([]);
    });

    it('hears once that a job began to fail, and once that it succeeds again', async () => {
      await run(0, NOTIFY);
      const first = await run(1, NOTIFY);
      await run(1, NOTIFY);
      const other = await run(1, NOTIFY, 'other');
      const back = await run(0, NOTIFY);
      await run(0, NOTIFY);
      const again = await run(1, NOTIFY);
      expect(await told()).toEqual([
        `ops failed ${first}`,
        `ops failed ${other}`,
        `ops recovered ${back}`,
        `ops failed ${again}`,
      ]);
    });

    it('hears nothing of a first success, and a cancelled execution changes nothing', async () => {
      await run(0, NOTIFY);
      const failed = await run(1, NOTIFY);
      const cancelled = await bench.created({ notify: NOTIFY });
      await bench.store.cancelExecution(cancelled, 'me');
      await run(1, NOTIFY);
      expect(await told()).toEqual([`ops failed ${failed}`]);
    });

    it('hears of every end where it asks for that: success, failure, cancel and deadline', async () => {
      const notify = { onFailure: [], onRecovery: [], onCompletion: ['ci', 'log'] };
      const names = [await run(0, notify), await run(3, notify)];
      const cancelled = await bench.created({ notify });
      await bench.store.cancelExecution(cancelled, 'me');
      const late = await bench.created({ notify, deadlineMs: 1000 });
      await bench.clock.advance(2000);
      expect(await bench.store.haltOverdue(10)).toBe(1);
      const all = [...names, cancelled, late];
      expect(await told()).toEqual(all.flatMap((name) => [`ci completed ${name}`, `log completed ${name}`]));
    });

    it('is told with the end, once, however often that is told', async () => {
      const name = await bench.created({ maxRetries: 0, notify: NOTIFY });
      const { attempt } = await bench.running();
      await bench.finish(attempt, bench.exit(1));
      expect((await bench.finish(attempt, bench.exit(1))).repeated).toBe(true);
      expect(await told()).toEqual([`ops failed ${name}`]);
      const reopened = await bench.fixture.reopen();
      const { items } = await reopened.listNotifications({ execution: name }, { size: 10 });
      expect(items).toMatchObject([{ state: 'PENDING', attempts: 0, kind: 'failed' }]);
    });

    it('gets what the API would say, and where to look', async () => {
      const failed = await run(3, NOTIFY);
      const [first] = await claim();
      await settle(first ?? never(), 'DELIVERED');
      const name = await run(0, NOTIFY);
      const [second] = await claim();
      expect(JSON.parse(first?.body ?? '')).toMatchObject({
        type: 'dev.tappet.execution.v1.failed',
        timestamp: '2026-01-01T00:00:00.000Z',
        data: {
          execution: failed,
          job: 'work',
          state: 'FAILED',
          reason: 'NON_ZERO_EXIT_CODE',
          message: 'Task 0 failed: exit code 3.',
          principal: 'admin',
          counters: { failed: 1 },
          links: { api: `/api/v1/executions/${failed}`, page: `/executions/${failed}` },
        },
      });
      expect(JSON.parse(second?.body ?? '')).toMatchObject({
        type: 'dev.tappet.execution.v1.recovered',
        data: { execution: name, failed: { execution: failed } },
      });
    });
  });

  describe('notifications to send', () => {
    it('are claimed by one at a time, and again when the lease ends', async () => {
      await run(1, NOTIFY);
      const other = await bench.fixture.another();
      const [one] = await claim();
      expect(one).toMatchObject({ receiver: 'ops', attempts: 1, nextTime: bench.clock.now() + LEASE_MS });
      expect(await other.claimNotifications(claiming())).toEqual([]);
      await bench.clock.advance(LEASE_MS);
      const [two] = await other.claimNotifications(claiming());
      expect(two).toMatchObject({ id: one?.id, body: one?.body, attempts: 2 });
      // The first one is no longer the last try: what it came to counts for nothing.
      expect(await settle(one ?? never(), 'GIVEN_UP')).toBe(false);
      expect(await settle(two ?? never(), 'DELIVERED')).toBe(true);
      expect(await settle(two ?? never(), 'GIVEN_UP')).toBe(false);
      expect(await list()).toMatchObject([
        { state: 'DELIVERED', lastStatus: 204, lastError: null, nextTime: null },
      ]);
    });

    it('come one of each receiver that is asked for', async () => {
      const notify = { onFailure: [], onRecovery: [], onCompletion: ['a', 'b', 'c'] };
      await run(0, notify);
      await run(0, notify);
      expect((await claim(['a', 'c', 'x'])).map(({ receiver }) => receiver)).toEqual(['a', 'c']);
      expect((await claim(EVERYBODY, 2)).map(({ receiver }) => receiver)).toEqual(['b', 'a']);
      expect((await claim()).map(({ receiver }) => receiver)).toEqual(['b', 'c']);
      expect(await claim()).toEqual([]);
    });

    it('are found behind any number of another receiver', async () => {
      const many = { onFailure: [], onRecovery: [], onCompletion: ['many'] };
      for (let i = 0; i < 70; i++)
        await bench.store.cancelExecution(await bench.created({ notify: many }), 'me');
      await bench.clock.advance(1);
      await run(0, { ...many, onCompletion: ['few'] });
      expect((await claim(['few'])).map(({ receiver }) => receiver)).toEqual(['few']);
    });

    it('come whoever they are for when they are too old, one of each receiver', async () => {
      const notify = { onFailure: [], onRecovery: [], onCompletion: ['a', 'b'] };
      await run(0, notify);
      await bench.clock.advance(1);
      await run(0, notify);
      await bench.clock.advance(5 * DAY - 2);
      expect(await claim([])).toEqual([]);
      await bench.clock.advance(1);
      expect((await claim([])).map(({ receiver }) => receiver)).toEqual(['a', 'b']);
      expect(await claim([])).toEqual([]);
      await bench.clock.advance(1);
      expect((await claim([])).map(({ receiver }) => receiver)).toEqual(['a', 'b']);
    });

    it('wait for the time of the next try', async () => {
      await run(1, NOTIFY);
      const [one] = await claim();
      const outcome = { state: 'PENDING', afterMs: 5000, status: 503, error: 'it answered 503' } as const;
      await bench.store.settleNotification({ id: one?.id ?? '', attempt: 1, outcome });
      expect(await list()).toMatchObject([
        {
          state: 'PENDING',
          lastStatus: 503,
          lastError: 'it answered 503',
          nextTime: bench.clock.now() + 5000,
        },
      ]);
      await bench.clock.advance(4999);
      expect(await claim()).toEqual([]);
      await bench.clock.advance(1);
      expect(await claim()).toMatchObject([{ id: one?.id, attempts: 2 }]);
    });

    it.each(['DELIVERED', 'GIVEN_UP'] as const)(
      'of one job never overtake one another (%s)',
      async (state) => {
        await run(1, NOTIFY);
        await run(0, NOTIFY);
        await run(1, NOTIFY, 'other');
        const sent: ClaimedNotification[] = [];
        for (let i = 0; i < 3; i++) sent.push(...(await claim()));
        expect(sent.map(({ kind, job }) => `${kind} ${job}`)).toEqual(['failed work', 'failed other']);
        expect(await list()).toMatchObject([{}, { kind: 'recovered', nextTime: null }, {}]);
        expect(await settle(sent[0] ?? never(), state)).toBe(true);
        expect(await claim()).toMatchObject([{ kind: 'recovered', job: 'work' }]);
      },
    );
  });

  describe('notifications to look at', () => {
    it('are listed newest first, by execution, receiver and state, page by page', async () => {
      const both = { ...NOTIFY, onCompletion: ['ci'] };
      const failed = await run(1, both);
      await run(0, both);
      const [one] = await claim();
      await settle(one ?? never(), 'GIVEN_UP');
      const kinds = async (filter: object): Promise<string[]> =>
        (await bench.store.listNotifications(filter, { size: 10 })).items.map(({ kind }) => kind);
      expect(await kinds({})).toEqual(['completed', 'recovered', 'completed', 'failed']);
      expect(await kinds({ execution: failed })).toEqual(['completed', 'failed']);
      expect(await kinds({ receiver: 'ops' })).toEqual(['recovered', 'failed']);
      expect(await kinds({ state: 'GIVEN_UP' })).toEqual(['failed']);
      expect(await kinds({ state: 'PENDING', receiver: 'ops' })).toEqual(['recovered']);
      const first = await bench.store.listNotifications({}, { size: 3 });
      const rest = await bench.store.listNotifications({}, { size: 3, cursor: first.nextCursor ?? '' });
      expect([first.items.length, rest.items.length, rest.nextCursor]).toEqual([3, 1, null]);
    });

    it('are counted', async () => {
      const empty = { pending: 0, givenUp: 0, oldestPendingTime: null };
      expect(await bench.store.notificationCounts()).toEqual(empty);
      const since = bench.clock.now();
      await run(1, NOTIFY);
      await bench.clock.advance(1000);
      await run(0, NOTIFY);
      expect(await bench.store.notificationCounts()).toEqual({
        pending: 2,
        givenUp: 0,
        oldestPendingTime: since,
      });
      for (let i = 0; i < 2; i++) await settle((await claim())[0] ?? never(), 'GIVEN_UP');
      expect(await bench.store.notificationCounts()).toEqual({ ...empty, givenUp: 2 });
    });

    it('go some time after their end, and never before it', async () => {
      const notify = { onFailure: [], onRecovery: [], onCompletion: ['a', 'b', 'c'] };
      await run(0, notify);
      const [a, b] = await claim();
      await settle(a ?? never(), 'DELIVERED');
      await settle(b ?? never(), 'GIVEN_UP');
      const kept = { deliveredForMs: HOUR, givenUpForMs: DAY, limit: 10 };
      const prune = () => bench.store.pruneNotifications(kept);
      expect(await prune()).toBe(0);
      await bench.clock.advance(HOUR);
      expect(await prune()).toBe(1);
      await bench.clock.advance(DAY * 365);
      expect(await prune()).toBe(1);
      expect((await list()).map(({ receiver, state }) => `${receiver} ${state}`)).toEqual(['c PENDING']);
    });
  });
}

function never(): never {
  throw new Error('nothing was claimed');
}
