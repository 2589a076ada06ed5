import { beforeEach, describe, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import type { Cause, NewExecution } from '../../src/core/execution.ts';
import { JOB_DEFAULTS } from '../../src/core/job.ts';
import type { Json } from '../../src/core/json.ts';
import type { Source } from '../../src/core/source.ts';
import { fireTrigger } from '../../src/inbox/fire.ts';
import type { FireDeps, FireRequest } from '../../src/inbox/fire.ts';
import { Inbox } from '../../src/inbox/inbox.ts';
import { createCronSource } from '../../triggers/cron/source.ts';
import { createWebhookSource } from '../../triggers/webhook/source.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { memoryStore } from '../support/migrated.ts';
import { SeededIds } from '../support/seeded-ids.ts';

const clock = new ManualClock();
const ids = new SeededIds();
const sources: Readonly<Record<string, Source>> = {
  nightly: createCronSource({ name: 'nightly', spec: { kind: 'cron', cron: '0 2 * * *', zone: 'UTC' } }),
  push: createWebhookSource({ name: 'push', spec: { kind: 'webhook', auth: 'none' } }),
};
let store: MemoryStore;
beforeEach(() => {
  store = new MemoryStore(clock);
});

function fire(request: Partial<FireRequest>, over: Partial<FireDeps> = {}) {
  const inbox = new Inbox({
    store,
    ids,
    clock,
    route: (events) => Promise.all(events.map(({ uid }) => store.decide({ event: uid, decisions: [] }))),
  });
  const deps: FireDeps = {
    inbox,
    sources: { manual: (name, time, data: Json | undefined) => sources[name]?.manual?.(time, data, name) },
    waitDecided: (uid) => store.eventOutcome(uid),
    store: { listExecutions: async () => ({ items: [], nextCursor: null }) },
    clock,
    ids,
    ...over,
  };
  return fireTrigger(deps, {
    trigger: 'push',
    data: undefined,
    idempotencyKey: undefined,
    principal: 'ann',
    ...request,
  });
}

const pending = (name: string, cause: Cause): NewExecution => ({
  uid: `uid-of-${name}`,
  name,
  job: 'work',
  jobGeneration: 1,
  spec: { ...JOB_DEFAULTS, image: 'busybox', env: {}, binds: [] },
  context: {},
  cause,
  labels: {},
});

describe('a key that came with other data', () => {
  it('is refused, also where the event has data of its own', async () => {
    for (const trigger of ['push', 'nightly']) {
      const key = { trigger, idempotencyKey: 'k' };
      const first = await fire({ ...key, data: { a: 1 } });
      expect((await fire({ ...key, data: { a: 1 } })).uid).toBe(first.uid);
      await expect(fire({ ...key, data: { a: 2 } })).rejects.toMatchObject({ code: 'ID_REUSED' });
      await expect(fire(key)).rejects.toMatchObject({ code: 'ID_REUSED' });
    }
    expect(store.list()).toHaveLength(2);
  });
});

describe('an event fired by hand', () => {
  it('of a schedule is a slot that is due now, with what was given over it', async () => {
    const { uid, outcome } = await fire({ trigger: 'nightly', data: { missed: 7, extra: true } });
    expect(outcome).toEqual({ decided: true, decisions: [], executions: {} });
    expect(store.list()).toMatchObject([
      {
        uid,
        origin: 'api/ann',
        trigger: 'nightly',
        event: {
          specversion: '1.0',
          source: '/triggers/nightly',
          time: '2026-01-01T00:00:00.000Z',
          datacontenttype: 'application/json',
          data: {
            scheduledTime: '2026-01-01T00:00:00Z',
            zone: 'UTC',
            cron: '0 2 * * *',
            missed: 7,
            extra: true,
          },
        },
      },
    ]);
  });

  it('of a webhook is the data as it was given, or null', async () => {
    await fire({ data: ['a', 1] });
    await fire({});
    expect(store.list().map(({ event }) => [event.source, event.data])).toEqual([
      ['/hooks/push', ['a', 1]],
      ['/hooks/push', null],
    ]);
  });

  it('is the same event with the same key, and another one without', async () => {
    const first = await fire({ idempotencyKey: 'k' });
    expect(store.list()[0]?.event.id).toBe('k');
    expect((await fire({ idempotencyKey: 'k' })).uid).toBe(first.uid);
    expect(store.list()).toHaveLength(1);
    expect((await fire({ idempotencyKey: 'k', principal: 'bob' })).uid).not.toBe(first.uid);
    await fire({});
    await fire({});
    expect(store.list()).toHaveLength(4);
  });

  it('needs a trigger', async () => {
    await expect(fire({ trigger: 'none' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(store.list()).toEqual([]);
  });

  it('is refused where it cannot be stored', async () => {
    store.refuse = new TappetError('STORE_UNAVAILABLE', 'the disk is full');
    await expect(fire({})).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });

  it('comes with the executions that it has now, the oldest first', async () => {
    const stored = memoryStore(clock, ids);
    await stored.open();
    const again = { idempotencyKey: 'k' };
    const { uid } = await fire(again);
    const cause = { kind: 'event', event: uid, trigger: 'push' } as const;
    const names = Array.from({ length: 101 }, (_, i) => `work-${i}`);
    await Promise.all(names.map((name) => stored.createExecution(pending(name, cause))));
    await stored.createExecution(pending('other', { kind: 'api', principal: 'ann' }));
    await stored.cancelExecution('work-0', 'ann');
    await stored.rerunExecution({ of: 'work-0', uid: 'u', name: 'work-0-again', by: 'ann' });
    const { outcome } = await fire(again, { store: stored });
    expect(Object.entries(outcome?.executions ?? {})).toEqual([
      ['work-0', 'CANCELLED'],
      ...names.slice(1).map((name) => [name, 'PENDING']),
      ['work-0-again', 'PENDING'],
    ]);
    await stored.close();
  });

  it('that is stored is no error where its decision or its executions cannot be read', async () => {
    const refused = () => Promise.reject(new TappetError('STORE_UNAVAILABLE', 'locked'));
    // As where routing could not tell, and is to try again.
    const inbox = new Inbox({ store, ids, clock, route: async () => [] });
    const fired = await fire({}, { inbox, waitDecided: refused });
    expect(fired).toEqual({ uid: store.list()[0]?.uid, outcome: undefined });
    const broken = () => Promise.reject(new TypeError('a mistake'));
    await expect(fire({}, { inbox, waitDecided: broken })).rejects.toThrow('a mistake');
    const half = await fire({}, { store: { listExecutions: refused } });
    expect(half).toEqual({ uid: store.list()[2]?.uid, outcome: undefined });
    await expect(fire({}, { store: { listExecutions: broken } })).rejects.toThrow('a mistake');
  });
});
