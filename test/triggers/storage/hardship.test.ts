import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TappetError } from '../../../src/core/errors.ts';
import type { Store } from '../../../src/core/store.ts';
import { deferred } from '../../../src/lib/deferred.ts';
import { minioBody, storeDown } from '../../support/fake-objects.ts';
import { settle } from '../../support/manual-clock.ts';
import { StorageRig } from '../../support/storage-rig.ts';

let rig: StorageRig;
beforeEach(async () => {
  rig = await new StorageRig().open();
  rig.objects.bucket('b');
});
afterEach(() => rig.close());
const upload = (key: string): string => minioBody('b', rig.objects.upload('b', key));

describe('a notification before the store was ever listed', () => {
  test('runs a trigger with `existing: run` once: what tells of old objects meets it', async () => {
    rig.objects.before = storeDown;
    await rig.start({ name: 'runs', existing: 'run' }, { name: 'skips' });
    expect(await rig.notify(upload('early'))).toBe(204);
    expect((await rig.runs()).sort()).toEqual(['runs early', 'skips early']);
    await rig.clock.advance(5000);
    rig.objects.before = () => undefined;
    await rig.poll();
    expect((await rig.rows('t/runs'))[0]?.value).toMatchObject({ backfill: 'done' });
    expect((await rig.runs()).sort()).toEqual(['runs early', 'skips early']);
  });
});

describe('an object that the store refuses to tell more of', () => {
  // As of an object under a key of the customer (SSE-C): HEAD is a bad request, listing works.
  const refusing = (): never => {
    throw new TappetError('INVALID_ARGUMENT', 'the object store "store" refuses the request: 400');
  };

  test.each(['skip', 'run'] as const)('holds nothing else back, existing: %s', async (existing) => {
    rig.objects.upload('b', 'old');
    await rig.clock.advance(2000);
    rig.objects.before = (call) => (call === 'head' ? refusing() : undefined);
    await rig.start({ existing });
    rig.objects.upload('b', 'sealed');
    await rig.poll();
    expect((await rig.runs()).sort()).toEqual(existing === 'run' ? ['up old', 'up sealed'] : ['up sealed']);
    expect(rig.host?.health()[0]).toMatchObject({ state: 'running' });
  });

  test('keeps its row when a listing leaves it out', async () => {
    await rig.start({});
    await rig.clock.advance(1500);
    await rig.notify(upload('k'));
    rig.objects.remove('b', 'k');
    rig.objects.before = (call) => (call === 'head' ? refusing() : undefined);
    await rig.poll();
    expect(await rig.rows('o/')).toHaveLength(1);
    expect(rig.host?.health()[0]).toMatchObject({ state: 'running' });
  });
});

test('a source that is stopped while it starts lists nothing and waits for nothing any more', async () => {
  const gate = deferred<void>();
  rig.wrap = (store) => slowScan(store, gate.promise);
  const starting = rig.start({});
  await settle();
  const stopping = rig.host?.stop();
  let stopped = false;
  void stopping?.then(() => (stopped = true));
  await settle();
  // What it still writes must not meet what another source of this connection writes.
  expect(stopped).toBe(false);
  gate.resolve();
  await Promise.all([starting, stopping]);
  await rig.clock.advance(600_000);
  expect(rig.objects.calls).toEqual([]);
});

function slowScan(store: Store, until: Promise<void>): Store {
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'scanState')
        return async (...args: Parameters<Store['scanState']>) => {
          await until;
          return target.scanState(...args);
        };
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

test('a new trigger never begins in the middle, where a listing before it broke off', async () => {
  rig.objects.pageSize = 1;
  for (const key of ['a', 'b', 'c', 'd']) rig.objects.upload('b', key);
  await rig.clock.advance(2000);
  const breakAt = (page: number) => {
    let pages = 0;
    rig.objects.before = (call) => {
      if (call === 'list' && ++pages >= page) storeDown();
    };
  };
  breakAt(4);
  await rig.start({ name: 'first' });
  expect((await rig.rows('l/'))[0]?.value).toMatchObject({ after: 'c' });
  // New to `first`, there before `second`.
  await rig.clock.advance(2000);
  rig.objects.upload('b', 'aa');
  await rig.clock.advance(2000);
  let heads = 0;
  rig.objects.before = (call) => {
    if (call === 'head' && ++heads === 1) storeDown();
  };
  rig.objects.pageSize = 10;
  await rig.start({ name: 'first' }, { name: 'second' });
  await rig.poll();
  expect(await rig.runs()).toEqual(['first aa']);
  expect((await rig.rows('t/second'))[0]?.value).toMatchObject({ listed: true, skipped: 5 });
});

test('many notifications do not have a bucket that is not there asked for with each of them', async () => {
  await rig.start({ name: 'good' }, { name: 'bad', bucket: 'nobucket' });
  await rig.clock.advance(1500);
  const before = rig.objects.calls.length;
  for (let i = 0; i < 50; i++) {
    expect(await rig.notify(upload(`k${i}`))).toBe(204);
    await settle();
  }
  expect(rig.objects.calls.length - before).toBeLessThan(3);
});

describe('an object that makes no event', () => {
  // Longer than the id of an event may be; some stores take such keys.
  const long = `in/${'x'.repeat(3000)}`;

  test.each(['skip', 'run'] as const)(
    'is named once and holds nothing back, existing: %s',
    async (existing) => {
      for (const key of ['in/a', long, 'in/z']) rig.objects.upload('b', `${key}1`);
      await rig.clock.advance(2000);
      await rig.start({ existing });
      for (const key of ['in/b', long, 'in/y']) rig.objects.upload('b', key);
      await rig.poll();
      await rig.poll();
      const old = existing === 'run' ? ['up in/a1', 'up in/z1'] : [];
      expect((await rig.runs()).sort()).toEqual([...old, 'up in/b', 'up in/y'].sort());
      expect(rig.host?.health()[0]).toMatchObject({ state: 'running' });
      const said = rig.log.lines.filter(({ message }) => message.includes('cannot become an event'));
      expect(said.map(({ fields }) => fields?.['object'])).toEqual(
        (existing === 'run' ? [`${long}1`, long] : [long]).map((key) => `s3://store/b/objects/${key}`),
      );
    },
  );
});

test('a bucket of thousands that was emptied loses all its rows, a thousand in memory at a time', async () => {
  const count = 2500;
  await rig.start({});
  await rig.clock.advance(1500);
  const state = Array.from({ length: count }, (_, i) => ({
    key: `o/b/k${i}`,
    value: { etag: 'e', size: 1, ms: 1 },
  }));
  await rig.store.acceptEvents({ origin: 'connection/store', events: [], state });
  rig.objects.upload('b', 'k');
  rig.objects.upload('b', 'z');
  let atOnce = 0;
  rig.wrap = (store) =>
    watched(store, 'acceptEvents', () => {
      const heads = rig.objects.calls.filter((call) => call === 'head').length;
      atOnce = Math.max(atOnce, heads);
      rig.objects.calls.length = 0;
    });
  await rig.start({});
  await rig.poll();
  await settle(200);
  expect((await rig.rows('o/')).map(({ key }) => key)).toEqual(['o/b/k', 'o/b/z']);
  expect(await rig.runs()).toEqual(['up k', 'up z']);
  expect(atOnce).toBeLessThanOrEqual(1000);
});

function watched(store: Store, method: 'acceptEvents', seen: () => void): Store {
  return new Proxy(store, {
    get: (target, name) => {
      if (name === method) seen();
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
