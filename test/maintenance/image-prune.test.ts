import { afterEach, beforeEach, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import type { Runner } from '../../src/core/runner.ts';
import { ImagePrune } from '../../src/maintenance/image-prune.ts';
import { Rig } from '../support/executor-rig.ts';
import { FakeLog } from '../support/fake-log.ts';

const DAY = 24 * 60 * 60_000;
let rig: Rig;
let epoch = 0;
let log: FakeLog;
beforeEach(async () => {
  rig = await new Rig().open();
  log = new FakeLog();
  const lease = await rig.store.acquireEngine('fake', 'me', 365 * DAY);
  epoch = lease.held ? lease.epoch : 0;
});
afterEach(() => rig.close());

const pulled = (...names: string[]) =>
  Promise.all(
    names.map((name) => rig.store.imagePulled({ engine: 'fake', epoch, digest: `sha256:${name}`, name })),
  );
const removed = () =>
  rig.runner.calls.filter(({ method }) => method === 'removeImage').map(({ name }) => name);
const prune = (
  over: {
    runner?: () => Runner | undefined;
    unusedForMs?: number | null;
    neverPulled?: string[];
    store?: Rig['store'];
  } = {},
) => {
  const { runner = () => rig.runner, unusedForMs = 7 * DAY, neverPulled = [], store = rig.store } = over;
  return new ImagePrune({
    store,
    log,
    settings: () => (unusedForMs === null ? null : { unusedForMs }),
    neverPulled: () => neverPulled,
    runner,
  });
};

it('removes what nothing has used for so long, once', async () => {
  await pulled('old:1');
  await rig.clock.advance(6 * DAY);
  await pulled('new:1');
  expect(await prune().runOnce()).toBe(0);
  await rig.clock.advance(DAY);
  expect(await prune().runOnce()).toBe(1);
  expect(removed()).toEqual(['sha256:old:1']);
  expect(log.lines).toMatchObject([{ message: expect.stringMatching(/Removed the image old:1/) as unknown }]);
  expect(await prune().runOnce()).toBe(0);
  expect(removed()).toHaveLength(1);
});

it('does nothing unless the setting says so, or where another gateway has the engine', async () => {
  await pulled('old:1');
  await rig.clock.advance(8 * DAY);
  expect(await prune({ unusedForMs: null }).runOnce()).toBe(0);
  expect(await prune({ runner: () => undefined }).runOnce()).toBe(0);
  expect(removed()).toEqual([]);
});

it('leaves what an execution that has not ended runs, or is to run', async () => {
  await pulled('waits:1', 'runs:1', 'free:1');
  await rig.create({ image: 'runs:1' });
  const params = { engine: 'fake', epoch, limit: 1, maxParallelism: 1 };
  const [claim] = (await rig.store.claimAttempts(params)).claims;
  const execution = claim?.attempt.execution ?? '';
  const key = { execution, index: 0, attempt: 0 };
  // Under another name since: the digest is what counts.
  await rig.store.attemptStarted({ key, epoch, startTime: rig.clock.now(), imageDigest: 'sha256:runs:1' });
  await rig.create({ image: 'waits:1' });
  await rig.clock.advance(8 * DAY);
  expect(await prune().runOnce()).toBe(1);
  expect(removed()).toEqual(['sha256:free:1']);
  // Needed then is used then: the time begins anew.
  await rig.store.cancelExecution(
    (await rig.store.listExecutions({ state: 'PENDING' }, { size: 1 })).items[0]?.name ?? '',
    'x',
  );
  await rig.clock.advance(6 * DAY);
  expect(await prune().runOnce()).toBe(0);
  await rig.clock.advance(DAY);
  expect(await prune().runOnce()).toBe(1);
  expect(removed()).toEqual(['sha256:free:1', 'sha256:waits:1']);
});

it('knows a needed image by any spelling of its name, and leaves those of jobs that never pull', async () => {
  await pulled('waits', 'local:1', 'free:1');
  await rig.create({ image: 'index.docker.io/waits' });
  await rig.clock.advance(8 * DAY);
  expect(await prune({ neverPulled: ['index.docker.io/local:1'] }).runOnce()).toBe(1);
  expect(removed()).toEqual(['sha256:free:1']);
});

it('leaves the image of an execution that starts while it looks', async () => {
  await pulled('starts:1', 'free:1');
  for (let i = 0; i < 2; i++) await rig.create({ image: 'starts:1' });
  await rig.clock.advance(8 * DAY);
  const store = new Proxy(rig.store, {
    get: (inner, key): unknown => {
      const value: unknown = Reflect.get(inner, key);
      if (key !== 'imagesInUse') return typeof value === 'function' ? value.bind(inner) : value;
      // Between two pages, all that waits starts.
      return async (...args: Parameters<typeof inner.imagesInUse>) => {
        const page = await inner.imagesInUse(...args);
        await inner.claimAttempts({ engine: 'fake', epoch, limit: 9, maxParallelism: 1 });
        return page;
      };
    },
  });
  expect(await prune({ store }).runOnce()).toBe(1);
  expect(removed()).toEqual(['sha256:free:1']);
});

it('asks again later for what the engine would not remove, and forgets what is gone', async () => {
  await pulled('kept:1', 'gone:1');
  rig.runner.images.removals.set('sha256:kept:1', 'kept').set('sha256:gone:1', 'missing');
  await rig.clock.advance(7 * DAY);
  expect(await prune().runOnce()).toBe(0);
  expect(removed()).toHaveLength(2);
  expect(await prune().runOnce()).toBe(0);
  expect(removed()).toHaveLength(2);
  await rig.clock.advance(7 * DAY);
  await prune().runOnce();
  expect(removed()).toHaveLength(3);
  expect(removed()[2]).toBe('sha256:kept:1');
});

it('goes on after one that fails, and stops where it has lost the engine', async () => {
  await pulled('a:1', 'b:1');
  await rig.clock.advance(7 * DAY);
  rig.runner.fail('removeImage', new TappetError('ENGINE_REFUSED', 'It says no.'));
  expect(await prune().runOnce()).toBe(1);
  expect(log.lines[0]).toMatchObject({
    level: 'warn',
    message: expect.stringMatching(/It says no/) as unknown,
  });
  const asked = removed().length;
  let looks = 0;
  expect(await prune({ runner: () => (looks++ === 0 ? rig.runner : undefined) }).runOnce()).toBe(0);
  expect(removed()).toHaveLength(asked);
});
