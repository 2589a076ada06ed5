import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { minioBody, storeDown } from '../../support/fake-objects.ts';
import { settle } from '../../support/manual-clock.ts';
import { ORIGIN, StorageRig } from '../../support/storage-rig.ts';

let rig: StorageRig;
beforeEach(async () => {
  rig = await new StorageRig().open();
  rig.objects.bucket('b');
});
afterEach(() => rig.close());

/** Stores an object and has MinIO tell of it. */
async function put(key: string, content?: string): Promise<number> {
  return rig.notify(minioBody('b', rig.objects.upload('b', key, content)));
}
const health = () => rig.host?.health()[0];

describe('notification and listing', () => {
  test('meet: what both tell runs once, whichever comes first', async () => {
    await rig.start({});
    await rig.clock.advance(1500);
    expect(await put('told')).toBe(204);
    await rig.poll();
    const found = rig.objects.upload('b', 'found');
    await rig.poll();
    expect(await rig.notify(minioBody('b', found))).toBe(204);
    await rig.poll();
    expect(await rig.runs()).toEqual(['up told', 'up found']);
    expect(await rig.events()).toHaveLength(2);
  });

  test('make the same event to the letter', async () => {
    await rig.start({});
    await rig.clock.advance(1500);
    const kept = rig.objects.upload('b', 'dir/a b+c%.txt', 'x');
    await rig.poll();
    const [listed] = await rig.events();
    await rig.store.acceptEvents({
      origin: 'connection/store',
      events: [],
      state: [{ key: 'o/b/dir/a b+c%.txt', value: null }],
    });
    await rig.start({});
    await rig.notify(minioBody('b', kept));
    expect(await rig.events()).toEqual([{ ...listed, duplicates: 1 }]);
    const time = new Date(kept.lastModified).toISOString();
    expect(listed?.event).toEqual({
      specversion: '1.0',
      id: `${kept.lastModified}-9dd4e461268c8034f5c8564e155c67a6/dir/a b+c%.txt`,
      source: 's3://store/b',
      type: 'google.cloud.storage.object.v1.finalized',
      time,
      subject: 'objects/dir/a b+c%.txt',
      datacontenttype: 'application/json',
      data: {
        kind: 'storage#object',
        bucket: 'b',
        name: 'dir/a b+c%.txt',
        generation: String(kept.lastModified),
        size: 1,
        etag: '9dd4e461268c8034f5c8564e155c67a6',
        contentType: 'text/plain',
        timeCreated: time,
        updated: time,
        metadata: { from: 'test' },
      },
    });
  });

  test('the same bytes again are new only when the time moved', async () => {
    await rig.start({});
    await rig.clock.advance(1500);
    const first = minioBody('b', rig.objects.upload('b', 'k', 'same'));
    const second = minioBody('b', rig.objects.upload('b', 'k', 'same'));
    for (const body of [first, first, second, first, second]) expect(await rig.notify(body)).toBe(204);
    await rig.poll();
    await rig.poll();
    expect(await rig.runs()).toEqual(['up k', 'up k']);
  });

  test('two writers of one key: what came to stand is handled, however late its notification is', async () => {
    await rig.start({});
    await rig.clock.advance(5000);
    const now = rig.clock.now();
    // The one that began first was stored last, and nothing told of it.
    await rig.notify(minioBody('b', rig.objects.upload('b', 'k', 'late', now + 20)));
    rig.objects.upload('b', 'k', 'early', now + 10);
    await rig.poll();
    await rig.poll();
    expect(await rig.runs()).toEqual(['up k', 'up k']);
    expect((await rig.rows('o/')).map(({ value }) => value)).toMatchObject([{ ms: now + 10 }]);
  });

  test('a page that is older than a notification changes nothing', async () => {
    await rig.start({});
    await rig.clock.advance(1500);
    await put('k', 'one');
    let raced = false;
    rig.objects.before = async (call) => {
      if (call !== 'head' || raced) return;
      raced = true;
      await put('k', 'two');
    };
    rig.objects.upload('b', 'other');
    await rig.poll();
    expect(raced).toBe(true);
    rig.objects.before = () => undefined;
    await rig.poll();
    expect((await rig.runs()).sort()).toEqual(['up k', 'up k', 'up other']);
    expect(await rig.events()).toHaveLength(3);
  });

  test('a row lives as long as its object, and one that comes back is new', async () => {
    rig.objects.pageSize = 3;
    await rig.start({});
    await rig.clock.advance(1500);
    const keys = ['a', 'a/b', 'a-b', 'z', '\ue000', '😀', 'q'];
    for (const key of keys) await put(key);
    await rig.poll();
    expect(await rig.rows('o/')).toHaveLength(7);
    for (const key of ['a', 'q', '😀']) rig.objects.remove('b', key);
    await rig.poll();
    expect((await rig.rows('o/')).map(({ key }) => key)).toEqual([
      'o/b/a-b',
      'o/b/a/b',
      'o/b/z',
      'o/b/\ue000',
    ]);
    rig.objects.upload('b', 'q');
    await rig.poll();
    expect((await rig.runs()).slice(7)).toEqual(['up q']);
  });

  test('a store that lists in an order of its own loses no row and tells nothing twice', async () => {
    // As SeaweedFS: by folder, so that `a/b` stands before `a!b`.
    rig.objects.compare = (x, y) => (x.replaceAll('/', '\0') < y.replaceAll('/', '\0') ? -1 : 1);
    rig.objects.pageSize = 2;
    await rig.start({});
    await rig.clock.advance(1500);
    for (const key of ['a', 'a!b', 'a-b', 'a/b', 'a/c', 'b']) rig.objects.upload('b', key);
    await rig.poll();
    await rig.poll();
    expect((await rig.runs()).sort()).toEqual(['up a', 'up a!b', 'up a-b', 'up a/b', 'up a/c', 'up b']);
    expect(await rig.rows('o/')).toHaveLength(6);
    expect((await rig.events()).every(({ duplicates }) => duplicates === 0)).toBe(true);
  });
});

describe('versions', () => {
  beforeEach(() => rig.objects.bucket('b', 'enabled'));

  test('run once each; delete markers are none, and a marker taken away brings nothing back', async () => {
    rig.objects.pageSize = 2;
    await rig.start({});
    await rig.clock.advance(1500);
    const told = rig.objects.upload('b', 'k', 'one');
    await rig.notify(minioBody('b', told));
    for (let i = 0; i < 5; i++) rig.objects.upload('b', 'k', 'one');
    rig.objects.upload('b', 'l');
    await rig.poll();
    rig.objects.remove('b', 'k');
    await rig.poll();
    rig.objects.remove('b', 'k', 'v7');
    await rig.poll();
    expect((await rig.runs()).sort()).toEqual([...Array.from({ length: 6 }, () => 'up k'), 'up l']);
    expect(await rig.rows('v/')).toHaveLength(7);
    expect((await rig.events())[0]?.event).toMatchObject({ id: 'v0/k', data: { generation: 'v0' } });
  });

  test('a version that is deleted loses its row, also one from before versioning', async () => {
    rig.objects.bucket('b', 'off');
    await rig.start({});
    await rig.clock.advance(1500);
    await put('k', 'unversioned');
    rig.objects.bucket('b', 'enabled');
    for (let i = 0; i < 3; i++) rig.objects.upload('b', 'k');
    await rig.poll();
    expect([(await rig.rows('o/')).length, (await rig.rows('v/')).length]).toEqual([1, 3]);
    rig.objects.remove('b', 'k', 'null');
    rig.objects.remove('b', 'k', 'v1');
    await rig.poll();
    expect(await rig.rows('o/')).toEqual([]);
    expect((await rig.rows('v/')).map(({ key }) => key.slice(-2))).toEqual(['v0', 'v2']);
    expect(await rig.runs()).toHaveLength(4);
  });
});

describe('what was there before the first start', () => {
  test('goes into the ledger, is counted and starts nothing', async () => {
    rig.objects.pageSize = 2;
    for (const key of ['in/a.x', 'in/b.x', 'in/c.y', 'out/d.x', 'in/e.x']) rig.objects.upload('b', key);
    await rig.clock.advance(1000);
    await rig.start({ prefix: 'in/', suffix: '.x' });
    await rig.poll();
    expect(await rig.runs()).toEqual([]);
    expect(await rig.events()).toEqual([]);
    expect(await rig.rows('o/')).toHaveLength(4);
    expect((await rig.rows('t/up'))[0]?.value).toMatchObject({ skipped: 3, listed: true });
    const counts = rig.log.lines.filter(({ message }) => message.includes('there before'));
    expect(counts).toMatchObject([{ fields: { trigger: 'up', skipped: 3, place: 's3://store/b/in/' } }]);
    const firstStart = Date.parse('2026-01-01T00:00:01Z');
    const told = { firstStart, existing: { skipped: 3, complete: true } };
    expect(rig.host?.status(ORIGIN, 'up')).toEqual(told);
    expect(rig.host?.status(ORIGIN, 'nobody')).toBeUndefined();
    // Also to the next process, which finds the rows.
    await rig.start({ prefix: 'in/', suffix: '.x' });
    expect(rig.host?.status(ORIGIN, 'up')).toEqual(told);
    rig.objects.upload('b', 'in/f.x');
    await rig.poll();
    expect(await rig.runs()).toEqual(['up in/f.x']);
  });

  test('is told while it is being counted, and of a store that never answered nothing', async () => {
    rig.objects.pageSize = 2;
    for (const key of ['a', 'b', 'c']) rig.objects.upload('b', key);
    rig.objects.before = storeDown;
    await rig.start({});
    expect(rig.host?.status(ORIGIN, 'up')).toBeUndefined();
    let pages = 0;
    rig.objects.before = (call) => (call === 'list' && ++pages > 1 ? storeDown() : undefined);
    await rig.poll();
    expect(rig.host?.status(ORIGIN, 'up')).toMatchObject({ existing: { skipped: 2, complete: false } });
    rig.objects.before = () => undefined;
    await rig.poll();
    expect(rig.host?.status(ORIGIN, 'up')).toMatchObject({ existing: { skipped: 3, complete: true } });
  });

  test('that was skipped and is then asked for with `run` is skipped no more', async () => {
    for (const key of ['a', 'b']) rig.objects.upload('b', key);
    await rig.start({});
    expect(rig.host?.status(ORIGIN, 'up')?.existing.skipped).toBe(2);
    for (const existing of ['run', 'skip'] as const) {
      await rig.start({ existing });
      expect(rig.host?.status(ORIGIN, 'up')?.existing).toEqual({ skipped: 0, complete: true });
    }
    expect((await rig.runs()).sort()).toEqual(['up a', 'up b']);
  });

  test('a notification of it (a backlog of the store) is stored, skipped, and says why', async () => {
    const old = rig.objects.upload('b', 'old', 'x', rig.clock.now() - 60_000);
    rig.objects.upload('b', 'other', 'x', rig.clock.now() - 60_000);
    // The first listing breaks off behind its first page.
    rig.objects.pageSize = 1;
    rig.objects.before = () => (rig.objects.calls.length > 2 ? storeDown() : undefined);
    await rig.start({});
    rig.objects.before = () => undefined;
    const notified = rig.objects.upload('b', 'zzz', 'x', rig.clock.now() - 60_000);
    for (const kept of [old, notified]) expect(await rig.notify(minioBody('b', kept))).toBe(204);
    expect(await rig.runs()).toEqual([]);
    const events = await rig.events();
    expect(events).toMatchObject([{ event: { subject: 'objects/zzz' } }]);
    const { items } = await rig.store.listDecisions({ event: events[0]?.uid ?? '' }, { size: 10 });
    expect(items).toMatchObject([
      { trigger: 'up', outcome: 'skipped', reason: expect.stringContaining('there before') },
    ]);
  });

  test('an upload that began before and ended after is new', async () => {
    await rig.start({});
    rig.objects.upload('b', 'large', 'x', rig.clock.now() - 60_000);
    await rig.poll();
    expect(await rig.runs()).toEqual(['up large']);
  });

  test('`run` makes each an event, for that trigger alone, once', async () => {
    rig.objects.pageSize = 2;
    for (let i = 0; i < 5; i++) rig.objects.upload('b', `k${i}`);
    await rig.clock.advance(1000);
    await rig.start({ name: 'skips' });
    await rig.clock.advance(2000);
    await rig.start({ name: 'skips' }, { name: 'runs', existing: 'run' });
    await rig.start({ name: 'skips' }, { name: 'runs', existing: 'run' });
    rig.objects.upload('b', 'new');
    await rig.poll();
    const runs = await rig.runs();
    expect(runs.filter((run) => run.startsWith('runs')).sort()).toEqual(
      [0, 1, 2, 3, 4].map((i) => `runs k${i}`).concat('runs new'),
    );
    expect(runs.filter((run) => run.startsWith('skips'))).toEqual(['skips new']);
    expect((await rig.rows('t/runs'))[0]?.value).toMatchObject({ backfill: 'done' });
  });

  test('`run` takes of each object the version that stood then', async () => {
    rig.objects.bucket('b', 'enabled').pageSize = 2;
    for (const content of ['one', 'two', 'three']) rig.objects.upload('b', 'k', content);
    rig.objects.upload('b', 'gone');
    rig.objects.remove('b', 'gone');
    await rig.clock.advance(2000);
    await rig.start({ existing: 'run' });
    await rig.poll();
    expect(await rig.runs()).toEqual(['up k']);
    expect((await rig.events())[0]?.event).toMatchObject({ id: 'up@v2/k', data: { size: 5 } });
  });

  test('is told by trigger: one that came later gets what is new to it alone', async () => {
    await rig.start({ name: 'old' });
    await rig.clock.advance(5000);
    await rig.host?.stop();
    rig.objects.upload('b', 'between');
    await rig.clock.advance(5000);
    await rig.start({ name: 'old' }, { name: 'young' });
    expect(await rig.runs()).toEqual(['old between']);
    rig.objects.upload('b', 'after');
    await rig.poll();
    expect((await rig.runs()).slice(1).sort()).toEqual(['old after', 'young after']);
  });
});

describe('a store that cannot be listed', () => {
  test('the source starts, says why, tries again, and lists twice after the return', async () => {
    rig.objects.before = storeDown;
    await rig.start({});
    expect(health()).toMatchObject({
      name: 'store',
      state: 'failed',
      message: 'the object store "store" refuses the connection: start it, or check the endpoint',
    });
    await rig.clock.advance(1000 + 2000);
    expect(health()?.state).toBe('failed');
    expect(rig.log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    rig.objects.before = () => undefined;
    await rig.clock.advance(4000);
    expect(health()).toMatchObject({ state: 'running', message: null });
    // MinIO is up, but tells nothing of this one yet.
    rig.objects.upload('b', 'unannounced');
    await rig.clock.advance(1000);
    expect(await rig.runs()).toEqual(['up unannounced']);
  });

  test('notifications are taken meanwhile, and are a sign that it is back', async () => {
    await rig.start({});
    await rig.clock.advance(1500);
    rig.objects.before = storeDown;
    await rig.poll();
    expect(await put('told')).toBe(204);
    expect(await rig.runs()).toEqual(['up told']);
    rig.objects.before = () => undefined;
    await put('again');
    await rig.clock.advance(1000);
    await settle();
    expect(health()?.state).toBe('running');
  });

  test('an unknown bucket does not hold up another one', async () => {
    await rig.start({ name: 'good' }, { name: 'bad', bucket: 'nobucket' });
    expect(health()?.message).toContain('has no bucket "nobucket"');
    await rig.clock.advance(1500);
    rig.objects.upload('b', 'k');
    await rig.poll();
    expect(await rig.runs()).toEqual(['good k']);
  });

  test('a listing that broke off goes on where it was, also in another process', async () => {
    rig.objects.pageSize = 1;
    for (let i = 0; i < 5; i++) rig.objects.upload('b', `k${i}`);
    await rig.clock.advance(1000);
    rig.objects.before = (call) => {
      if (rig.objects.calls.filter((one) => one === 'list').length > 3 && call === 'list') storeDown();
    };
    await rig.start({});
    expect((await rig.rows('l/'))[0]?.value).toMatchObject({ after: 'k2' });
    rig.objects.before = () => undefined;
    const before = rig.objects.calls.length;
    await rig.start({});
    expect(rig.objects.calls.slice(before)).toEqual(['versioning', 'list', 'list']);
    expect(await rig.rows('l/')).toEqual([]);
    expect((await rig.rows('t/up'))[0]?.value).toMatchObject({ skipped: 5, listed: true });
  });
});

test('nested places are listed once', async () => {
  await rig.start({ name: 'all' }, { name: 'sub', prefix: 'in/' }, { name: 'same' });
  expect(rig.objects.calls).toEqual(['versioning', 'list']);
});

test('a trigger that goes takes its rows along, but for what others look at', async () => {
  for (const key of ['in/a', 'out/b']) rig.objects.upload('b', key);
  await rig.start({ name: 'all' }, { name: 'sub', prefix: 'in/' });
  expect(await rig.rows('o/')).toHaveLength(2);
  await rig.start({ name: 'sub', prefix: 'in/' });
  expect((await rig.rows('o/')).map(({ key }) => key)).toEqual(['o/b/in/a']);
  expect((await rig.rows('t/')).map(({ key }) => key)).toEqual(['t/sub']);
  await rig.start();
  expect(await rig.rows('')).toEqual([]);
});

test('an event by hand is of the trigger that it is for', async () => {
  await rig.start({ name: 'one' }, { name: 'two', bucket: 'other' });
  const manual = (data?: object) =>
    rig.host?.manual(ORIGIN, { trigger: 'two', time: 0, data: data === undefined ? undefined : { ...data } });
  expect(manual({ name: 'in/a', size: 3 })).toEqual({
    type: 'google.cloud.storage.object.v1.finalized',
    source: 's3://store/other',
    data: { kind: 'storage#object', bucket: 'other', metadata: {}, name: 'in/a', size: 3 },
  });
  expect(manual()?.data).toEqual({ kind: 'storage#object', bucket: 'other', metadata: {} });
});
