import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TappetError } from '../../src/core/errors.ts';
import type { ContainerSpec, Runner } from '../../src/core/runner.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { DoomedPorts, Rig } from '../support/executor-rig.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await new Rig().open();
});
afterEach(() => rig.close());

const AA = { digest: 'sha256:aa', repoDigest: 'r.example/x@sha256:11' };
const BB = { digest: 'sha256:bb', repoDigest: 'r.example/x@sha256:22' };
const gone = (): TappetError => new TappetError('IMAGE_NOT_FOUND', 'The image was removed just now.');

/** Digests of the containers that were made, in order. */
function watchDigests(): string[] {
  const digests: string[] = [];
  const { script } = rig.runner;
  rig.runner.script = (spec) => {
    digests.push(spec.digest);
    return script(spec);
  };
  return digests;
}

/** The runner, of which one call for the container of this task waits first. */
function onTask(
  runner: Runner,
  method: 'ensure' | 'inspect',
  index: number,
  wait: () => Promise<void>,
): Runner {
  let waits = true;
  return new Proxy(runner, {
    get: (inner, key): unknown => {
      const value: unknown = Reflect.get(inner, key);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        const call = (): unknown => value.apply(inner, args);
        const [of] = args;
        const name = typeof of === 'string' ? of : (of as ContainerSpec | undefined)?.name;
        if (key !== method || !waits || name?.includes(`-t${index}-`) !== true) return call();
        waits = false;
        return wait().then(call);
      };
    },
  });
}

describe('all attempts of an execution run one image', () => {
  it('a retry runs the image of the first attempt, though the tag has moved', async () => {
    rig.runner.images.tags.set('job:1', AA);
    rig.runner.script = () => {
      rig.runner.images.tags.set('job:1', BB);
      return { exitAt: 10, exit: { exitCode: 1 } };
    };
    const digests = watchDigests();
    await rig.started();
    const name = await rig.create({ image: 'job:1', maxRetries: 2 });
    const { image } = await rig.ended(name);
    expect(digests).toEqual([AA.digest, AA.digest, AA.digest]);
    expect(image).toEqual(AA);
    const attempts = await rig.store.listAttempts(name, 0);
    expect(attempts.map(({ imageDigest }) => imageDigest)).toEqual([AA.digest, AA.digest, AA.digest]);
    // The next execution takes what the name stands for then.
    expect((await rig.ended(await rig.create({ image: 'job:1', maxRetries: 0 }))).image).toEqual(BB);
  });

  it('tasks that begin together ask once, and only the one that pulled has pulled', async () => {
    rig.runner.script = () => ({ exitAt: 10 });
    rig.runner.images.pulling.push(900);
    const hold = rig.runner.hold('prepare');
    await rig.started();
    const name = await rig.create({ image: 'job:1', taskCount: 5, parallelism: 5, pullPolicy: 'Always' });
    await rig.until(() => rig.runner.countOf('prepare') > 0);
    hold();
    await rig.ended(name);
    expect(rig.runner.images.prepared).toEqual([{ pullPolicy: 'Always' }]);
    const usages = await Promise.all([0, 1, 2, 3, 4].map((index) => rig.attempt(name, index)));
    const bytes = usages.map(({ usage }) => usage?.pulledBytes ?? -1);
    expect(bytes.toSorted((a, b) => a - b)).toEqual([0, 0, 0, 0, 900]);
    expect(await rig.store.unusedImages('fake', 0, 10)).toEqual([{ digest: 'sha256:job:1', name: 'job:1' }]);
  });

  it('what was on the engine before is not of Tappet: pruning never sees it', async () => {
    rig.runner.script = () => ({ exitAt: 10 });
    await rig.started();
    await rig.ended(await rig.create());
    expect(await rig.store.unusedImages('fake', 0, 10)).toEqual([]);
  });

  it('a pull that fails for all is tried again by each, and counts as no retry', async () => {
    rig.runner.script = () => ({ exitAt: 10 });
    rig.runner.fail('prepare', new TappetError('IMAGE_RATE_LIMITED', 'The registry says 429.'), { times: 3 });
    await rig.started();
    const name = await rig.create({ taskCount: 2, parallelism: 2, maxRetries: 0 });
    expect(await rig.ended(name)).toMatchObject({ state: 'SUCCEEDED', counters: { retried: 0 } });
    const [first] = await rig.store.listAttempts(name, 0);
    expect(first).toMatchObject({ reason: 'IMAGE_RATE_LIMITED', message: 'The registry says 429.' });
  });

  it.each([
    ['IMAGE_DISK_FULL', 8],
    ['IMAGE_RATE_LIMITED', 8],
    ['SECRET_UNREADABLE', 1],
  ] as const)('%s ends a task after %i attempts', async (code, tries) => {
    rig.runner.fail('prepare', new TappetError(code, 'No.'), { times: 100 });
    await rig.started();
    const name = await rig.create();
    expect(await rig.ended(name)).toMatchObject({ state: 'FAILED', reason: code });
    expect(await rig.store.listAttempts(name, 0)).toHaveLength(tries);
  });
});

describe('an image that is removed', () => {
  it('before anything of the execution ran: the name is asked again', async () => {
    rig.runner.images.tags.set('job:1', AA);
    rig.runner.script = () => ({ exitAt: 10 });
    rig.runner.fail('ensure', gone());
    await rig.started();
    const name = await rig.create({ image: 'job:1' });
    await rig.ended(name);
    expect(rig.runner.images.prepared).toEqual([{}, {}]);
  });

  it('after that: exactly the same is asked for', async () => {
    rig.runner.images.tags.set('job:1', AA);
    rig.runner.script = () => ({ exitAt: 10, exit: { exitCode: 1 } });
    await rig.started();
    const name = await rig.create({ image: 'job:1', maxRetries: 1 });
    await rig.running(name);
    rig.runner.fail('ensure', gone());
    await rig.ended(name);
    expect(rig.runner.images.prepared).toEqual([{}, { pinned: AA }, { pinned: AA }]);
  });
});

describe('a crash', () => {
  it('after the start, before it is stored: the image of the container that runs counts', async () => {
    rig.runner.images.tags.set('job:1', AA);
    rig.runner.script = () => ({ exitAt: 60_000, exit: { exitCode: 1 } });
    const digests = watchDigests();
    const doomed = new DoomedPorts(rig, 'store.attemptStarted:before');
    const first = rig.mortal(doomed.ports);
    void first.start();
    const name = await rig.create({ image: 'job:1', maxRetries: 1 });
    await rig.until(() => doomed.dead);
    rig.runner.images.tags.set('job:1', BB);
    // Its lease is over by then.
    await rig.clock.advance(20_000);
    await rig.started();
    const { image } = await rig.ended(name);
    expect(digests).toEqual([AA.digest, AA.digest]);
    // What is there has told its registry's digest to none of them: the engine's own counts.
    expect(image?.digest).toBe(AA.digest);
  });

  it('with siblings that have not started: they wait for what the container runs, and run the same', async () => {
    rig.runner.images.tags.set('job:1', AA);
    rig.runner.script = () => ({ exitAt: 60_000 });
    const digests = watchDigests();
    const doomed = new DoomedPorts(rig, 'store.attemptStarted:before');
    const never = new Promise<never>(() => undefined);
    const runner = onTask(doomed.ports.runner, 'ensure', 1, () => never);
    void rig.mortal({ ...doomed.ports, runner }).start();
    const name = await rig.create({ image: 'job:1', taskCount: 2, parallelism: 2 });
    await rig.until(() => doomed.dead);
    rig.runner.images.tags.set('job:1', BB);
    await rig.clock.advance(20_000);
    const told = deferred<void>();
    const slow = onTask(rig.runner, 'inspect', 0, () => told.promise);
    const asked = rig.runner.images.prepared.length;
    await rig.started({ runner: slow });
    await rig.clock.advance(5_000);
    expect(rig.runner.images.prepared).toHaveLength(asked);
    told.resolve();
    expect((await rig.ended(name)).image?.digest).toBe(AA.digest);
    expect(digests).toEqual([AA.digest, AA.digest]);
  });

  it('with siblings, and the image is gone since: it is missed, and no other runs', async () => {
    rig.runner.images.tags.set('job:1', AA);
    rig.runner.script = () => ({ exitAt: 10 });
    const doomed = new DoomedPorts(rig, 'store.attemptStarted:before');
    const never = new Promise<never>(() => undefined);
    const runner = onTask(doomed.ports.runner, 'ensure', 1, () => never);
    void rig.mortal({ ...doomed.ports, runner }).start();
    const name = await rig.create({ image: 'job:1', taskCount: 2, parallelism: 2 });
    await rig.until(() => doomed.dead);
    await rig.clock.advance(20_000);
    // It finds its image gone when the one that ran has ended and been stored.
    const ended = () => rig.until(async () => (await rig.attempt(name)).endTime !== null);
    rig.runner.fail('ensure', gone());
    await rig.started({ runner: onTask(rig.runner, 'ensure', 1, ended) });
    await rig.ended(name);
    expect(rig.runner.images.prepared.at(-1)?.pinned?.digest).toBe(AA.digest);
  });

  it('before the start: nothing has run, so the name counts as it stands then', async () => {
    rig.runner.images.tags.set('job:1', AA);
    rig.runner.script = () => ({ exitAt: 10 });
    const digests = watchDigests();
    const doomed = new DoomedPorts(rig, 'runner.ensure:before');
    void rig.mortal(doomed.ports).start();
    const name = await rig.create({ image: 'job:1' });
    await rig.until(() => doomed.dead);
    rig.runner.images.tags.set('job:1', BB);
    await rig.clock.advance(20_000);
    await rig.started();
    expect((await rig.ended(name)).image).toEqual(BB);
    expect(digests).toEqual([BB.digest]);
  });
});
