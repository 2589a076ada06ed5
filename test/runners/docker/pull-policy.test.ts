import { afterEach, describe, expect, it } from 'vitest';
import { SecretValue } from '../../../src/core/secrets.ts';
import type { Registries } from '../../../src/core/registry.ts';
import { deferred } from '../../../src/lib/deferred.ts';
import { answer } from '../../support/fake-engine.ts';
import type { EngineHandler } from '../../support/fake-engine.ts';
import { closeEngines, runnerOn } from '../../support/fake-engine-runner.ts';
import { ManualClock } from '../../support/manual-clock.ts';

afterEach(closeEngines);

const DIGEST = `sha256:${'1'.repeat(64)}`;
const REPO = `docker.io/library/job@${DIGEST}`;

/** An engine whose images a test moves; a pull puts `registry` in place of a name, or says what is wrong. */
class Images {
  /** By name or id; without a repo digest it was built here. */
  readonly here = new Map<string, { Id: string; RepoDigests: string[] }>();
  readonly registry = new Map<string, { Id: string; RepoDigests: string[] }>();
  trouble: string | null = null;
  pulls: string[] = [];
  readonly handlers: Record<string, EngineHandler> = {
    'POST /images/create': (request, response) => {
      const query = new URL(request.url ?? '', 'http://engine').searchParams;
      const tag = query.get('tag') ?? '';
      const name = `${query.get('fromImage')}${tag.startsWith('sha256:') ? '@' : ':'}${tag}`;
      this.pulls.push(name);
      const found = this.registry.get(name);
      if (this.trouble !== null || found === undefined)
        return answer(500, { message: this.trouble ?? 'manifest unknown' })(request, response);
      this.here.set(name, found).set(found.Id, found);
      const progress = { current: 900, total: 900 };
      const lines = [
        { status: 'Pulling from x', id: 'latest' },
        { status: 'Pulling fs layer', id: 'l1' },
        { status: 'Downloading', id: 'l1', progressDetail: { current: 100, total: 900 } },
        { status: 'Downloading', id: 'l1', progressDetail: progress },
        { status: 'Extracting', id: 'l1', progressDetail: { current: 5000, total: 5000 } },
        { status: 'Pull complete', id: 'l1', progressDetail: {} },
      ];
      response.writeHead(200).end(lines.map((line) => `${JSON.stringify(line)}\r\n`).join(''));
    },
    'GET /images/*': (request, response) => {
      const name = decodeURIComponent(/\/images\/(.+)\/json/.exec(request.url ?? '')?.[1] ?? '');
      const found = this.here.get(name) ?? this.here.get(`${name}:latest`);
      answer(found === undefined ? 404 : 200, found ?? { message: 'No such image' })(request, response);
    },
  };
}

const image = (Id: string, ...RepoDigests: string[]) => ({ Id, RepoDigests });

async function open(clock = new ManualClock(), registries?: Registries) {
  const images = new Images();
  const { runner, log, engine } = await runnerOn(images.handlers, clock, registries);
  return { images, runner, log, engine, clock };
}

describe('pullPolicy', () => {
  it('IfNotPresent asks the registry only where the engine has no such image', async () => {
    const { images, runner } = await open();
    images.registry.set('job:1', image('sha256:aa', REPO));
    const pulled = await runner.prepare('job:1', { pullPolicy: 'IfNotPresent' });
    expect(pulled).toEqual({ digest: 'sha256:aa', repoDigest: REPO, pulledBytes: 900 });
    images.registry.set('job:1', image('sha256:bb', REPO));
    expect(await runner.prepare('job:1')).toMatchObject({ digest: 'sha256:aa', pulledBytes: null });
    expect(images.pulls).toEqual(['job:1']);
  });

  it('Always asks each time, and fails where the registry cannot help', async () => {
    const { images, runner } = await open();
    images.registry.set('job:1', image('sha256:aa', REPO));
    await runner.prepare('job:1', { pullPolicy: 'Always' });
    // The same again: nothing that pruning may remove has come.
    const again = await runner.prepare('job:1', { pullPolicy: 'Always' });
    expect(again).toMatchObject({ digest: 'sha256:aa', pulledBytes: null });
    images.registry.set('job:1', image('sha256:bb', REPO));
    expect(await runner.prepare('job:1', { pullPolicy: 'Always' })).toMatchObject({ digest: 'sha256:bb' });
    expect(images.pulls).toHaveLength(3);
    images.trouble = 'toomanyrequests: slow down';
    await expect(runner.prepare('job:1', { pullPolicy: 'Always' })).rejects.toMatchObject({
      code: 'IMAGE_RATE_LIMITED',
    });
  });

  it('Always leaves what has a digest in its name: that is one image for ever', async () => {
    const { images, runner } = await open();
    images.here.set(`job@${DIGEST}`, image('sha256:aa', REPO));
    await runner.prepare(`job@${DIGEST}`, { pullPolicy: 'Always' });
    expect(images.pulls).toEqual([]);
  });

  it('Never says so where the image is not there', async () => {
    const { images, runner } = await open();
    images.registry.set('job:1', image('sha256:aa', REPO));
    for (const name of ['job:1', 'job', `job@${DIGEST}`]) {
      await expect(runner.prepare(name, { pullPolicy: 'Never' })).rejects.toMatchObject({
        code: 'IMAGE_NOT_FOUND',
        message: expect.stringMatching(/"pullPolicy" of the job is Never/) as unknown,
      });
    }
    expect(images.pulls).toEqual([]);
    images.here.set('job:1', image('sha256:aa'));
    expect(await runner.prepare('job:1', { pullPolicy: 'Never' })).toMatchObject({ digest: 'sha256:aa' });
  });
});

describe('the tag latest, with no policy', () => {
  it.each(['job', 'job:latest'])('%s: takes the newest, and asks at most once a minute', async (name) => {
    const { images, runner, clock } = await open();
    images.registry.set('job:latest', image('sha256:aa', REPO));
    expect(await runner.prepare(name)).toMatchObject({ digest: 'sha256:aa', pulledBytes: 900 });
    images.registry.set('job:latest', image('sha256:bb', REPO));
    clock.set(clock.now() + 59_000);
    expect(await runner.prepare(name)).toMatchObject({ digest: 'sha256:aa' });
    clock.set(clock.now() + 1_000);
    expect(await runner.prepare(name)).toMatchObject({ digest: 'sha256:bb', pulledBytes: 900 });
    expect(images.pulls).toEqual(['job:latest', 'job:latest']);
  });

  it('never asks for what was built on the engine: a stranger may have that name elsewhere', async () => {
    const { images, runner, log } = await open();
    images.here.set('job:latest', image('sha256:aa', 'localhost/job@sha256:00', 'other/job@sha256:00'));
    images.registry.set('job:latest', image('sha256:bad', REPO));
    expect(await runner.prepare('job')).toMatchObject({ digest: 'sha256:aa', repoDigest: null });
    expect(images.pulls).toEqual([]);
    expect(log.lines).toEqual([]);
  });

  it.each([
    'lookup r: no such host',
    'unauthorized',
    'toomanyrequests',
    'no space left on device',
    'manifest unknown',
  ])('runs what is there, with a line in the log, where the registry says: %s', async (trouble) => {
    const { images, runner, log, clock } = await open();
    images.here.set('job:latest', image('sha256:aa', REPO));
    images.trouble = trouble;
    expect(await runner.prepare('job')).toMatchObject({ digest: 'sha256:aa', pulledBytes: null });
    clock.set(clock.now() + 30_000);
    expect(await runner.prepare('job')).toMatchObject({ digest: 'sha256:aa' });
    // Nobody waits for it twice within a minute.
    expect(images.pulls).toEqual(['job:latest']);
    expect(log.lines).toMatchObject([
      { level: 'warn', message: expect.stringMatching(/docker\.io could not be asked for a newer "job"/) },
    ]);
  });
});

describe('the image that an execution runs', () => {
  const pinned = { digest: 'sha256:aa', repoDigest: REPO };

  it('is that one, whatever its name stands for now', async () => {
    const { images, runner } = await open();
    images.here.set('job:1', image('sha256:bb', REPO)).set('sha256:aa', image('sha256:aa'));
    expect(await runner.prepare('job:1', { pinned, pullPolicy: 'Always' })).toEqual({
      ...pinned,
      pulledBytes: null,
    });
    expect(images.pulls).toEqual([]);
  });

  it('is pulled by its digest where it is gone, once for all that ask', async () => {
    const { images, runner } = await open();
    images.registry.set(REPO, image('sha256:aa', REPO));
    const all = await Promise.all([1, 2, 3].map(() => runner.prepare('job:1', { pinned })));
    expect(all.map(({ pulledBytes }) => pulledBytes)).toEqual([900, null, null]);
    expect(all).toMatchObject([pinned, pinned, pinned]);
    expect(images.pulls).toEqual([REPO]);
  });

  it('is asked for anew by who asks under other terms', async () => {
    const { images, runner } = await open();
    const others = { digest: 'sha256:aa', repoDigest: `r.example/x@${DIGEST}` };
    for (const { repoDigest } of [pinned, others])
      images.registry.set(repoDigest, image('sha256:aa', REPO, others.repoDigest));
    const asked = await Promise.allSettled([
      runner.prepare('job:1', { pinned, pullPolicy: 'Never' }),
      runner.prepare('job:1', { pinned: { ...pinned, repoDigest: null } }),
      runner.prepare('job:1', { pinned }),
      runner.prepare('r.example/x:1', { pinned: others }),
    ]);
    expect(asked).toMatchObject([
      { status: 'rejected', reason: { code: 'IMAGE_NOT_FOUND' } },
      { status: 'rejected', reason: { code: 'IMAGE_NOT_FOUND' } },
      { value: pinned },
      { value: others },
    ]);
  });

  it.each([
    ['it came from no registry', { digest: 'sha256:aa', repoDigest: null }, undefined],
    ['the job pulls never', pinned, 'Never' as const],
  ])('is missed in words where it is gone and %s', async (_, pin, pullPolicy) => {
    const { images, runner } = await open();
    images.here.set('job:1', image('sha256:bb'));
    const options = { pinned: pin, ...(pullPolicy === undefined ? {} : { pullPolicy }) };
    await expect(runner.prepare('job:1', options)).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: expect.stringMatching(/that this execution runs .*sha256:aa.* was removed/) as unknown,
    });
    expect(images.pulls).toEqual([]);
  });
});

describe('a name that looks like the beginning of an id', () => {
  it.each([
    ['abcdef123456', 'abcdef123456:latest'],
    ['ab', 'ab:latest'],
    ['127.0.0.1:5000/ab', '127.0.0.1:5000/ab:latest'],
    ['ab:1', 'ab:1'],
    [`ab@${DIGEST}`, `ab@${DIGEST}`],
    ['f'.repeat(64), 'f'.repeat(64)],
    [DIGEST, DIGEST],
  ])('%s: the engine is asked for %s', async (name, asked) => {
    const { runner, engine } = await runnerOn({ 'GET /images/*': answer(200, { Id: 'sha256:aa' }) });
    await runner.prepare(name, { pullPolicy: 'Never' });
    expect(decodeURIComponent(engine.calls.join())).toMatch(new RegExp(`/images/${asked}/json$`));
  });
});

describe('accounts', () => {
  const headers = () => {
    const sent: (string | undefined)[] = [];
    const pull: EngineHandler = (request, response) => {
      const header = request.headers['x-registry-auth'];
      sent.push(typeof header === 'string' ? Buffer.from(header, 'base64url').toString() : undefined);
      answer(500, { message: 'unauthorized: authentication required' })(request, response);
    };
    return { sent, pull };
  };
  const missing = answer(404, { message: 'No such image' });

  it('go to the registry that they are for, and to no other', async () => {
    const { sent, pull } = headers();
    const asked: string[] = [];
    const registries: Registries = {
      account: (host) => {
        asked.push(host);
        const account = { username: 'ann', password: new SecretValue('s3cret') };
        return Promise.resolve(host === 'ghcr.io' ? undefined : account);
      },
    };
    const { runner } = await runnerOn(
      { 'GET /images/*': missing, 'POST /images/create': pull },
      new ManualClock(),
      registries,
    );
    for (const name of ['127.0.0.1:5000/x:1', 'x:1', 'ghcr.io/x:1'])
      await expect(runner.prepare(name)).rejects.toMatchObject({ code: 'IMAGE_UNAUTHORIZED' });
    expect(asked).toEqual(['127.0.0.1:5000', 'docker.io', 'ghcr.io']);
    expect(sent.map((text) => (text === undefined ? text : (JSON.parse(text) as unknown)))).toEqual([
      { username: 'ann', password: 's3cret', serveraddress: '127.0.0.1:5000' },
      { username: 'ann', password: 's3cret', serveraddress: 'https://index.docker.io/v1/' },
      undefined,
    ]);
  });

  it('are said to be wrong, or to be missing, without being printed', async () => {
    const { pull } = headers();
    const refusing = (registries?: Registries) =>
      runnerOn({ 'GET /images/*': missing, 'POST /images/create': pull }, new ManualClock(), registries);
    const account = { identityToken: new SecretValue('t0ken') };
    const { runner } = await refusing({ account: () => Promise.resolve(account) });
    const wrong = await runner.prepare('r.example/x:1').catch((error: unknown) => error);
    expect(wrong).toMatchObject({
      message: expect.stringMatching(/r\.example does not let the account of server\.registries/) as unknown,
      fields: { fix: expect.stringMatching(/server\.registries\."r\.example"/) as unknown },
    });
    expect(JSON.stringify(wrong)).not.toContain('t0ken');
    const stranger = await (
      await refusing()
    ).runner
      .prepare('r.example/x:1')
      .catch((error: unknown) => error);
    expect(stranger).toMatchObject({
      message: expect.stringMatching(/does not let strangers pull/) as unknown,
      fields: { fix: expect.stringMatching(/Give an account under server\.registries/) as unknown },
    });
  });
});

describe('an engine that does not tell a wrong name from a private image', () => {
  const words = `pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`;
  const refused = async (registries?: Registries) => {
    const handlers = {
      'GET /images/*': answer(404, { message: 'No such image' }),
      'POST /images/create': answer(404, { message: words }),
    };
    const { runner } = await runnerOn(handlers, new ManualClock(), registries);
    return runner.prepare('r.example/x:1').catch((error: unknown) => error);
  };

  it('names both, and where an account would stand', async () => {
    expect(await refused()).toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      message: expect.stringMatching(
        /^The registry r\.example has no image "r\.example\/x:1", or does not let strangers pull it: pull access/,
      ) as unknown,
      fields: {
        fix: 'Check the name; where it is right, give an account under server.registries."r.example".',
      },
    });
  });

  it('is taken to refuse the account where one is configured', async () => {
    const account = { username: 'ann', password: new SecretValue('s3cret') };
    expect(await refused({ account: () => Promise.resolve(account) })).toMatchObject({
      code: 'IMAGE_UNAUTHORIZED',
      message: expect.stringMatching(/or does not let the account of server\.registries pull it/) as unknown,
      fields: {
        fix: expect.stringMatching(
          /^Check the name; .* correct the account under server\.registries\."r\.example"/,
        ) as unknown,
      },
    });
  });
});

it('tells of pulls that are under way', async () => {
  const begun = deferred<void>();
  let finish = () => {};
  const { runner, clock } = await (async () => {
    const manual = new ManualClock();
    const opened = await runnerOn(
      {
        'GET /images/*': answer(404, { message: 'No such image' }),
        'POST /images/create': (_, response) => {
          const line = (object: object) => response.write(`${JSON.stringify(object)}\n`);
          response.writeHead(200);
          line({ status: 'Already exists', id: 'l1' });
          line({ status: 'Downloading', id: 'l2', progressDetail: { current: 50, total: 200 } });
          begun.resolve();
          finish = () => response.end();
        },
      },
      manual,
    );
    return { ...opened, clock: manual };
  })();
  expect(runner.pulls()).toEqual([]);
  const pulling = runner.prepare('job:1').catch(() => undefined);
  await begun.promise;
  const wanted = {
    image: 'job:1',
    startTime: clock.now(),
    layers: 2,
    layersDone: 1,
    bytes: 50,
    totalBytes: 200,
  };
  await expect.poll(() => runner.pulls()).toEqual([wanted]);
  finish();
  await pulling;
  expect(runner.pulls()).toEqual([]);
});

describe('removeImage', () => {
  const found = (...RepoTags: string[]) => answer(200, { Id: 'sha256:aa', RepoTags, RepoDigests: [] });
  it.each<[string, EngineHandler, EngineHandler, string]>([
    ['what has only the name that it was pulled by', found('job:1'), answer(200, []), 'removed'],
    ['what has lost its name to a newer one', found('<none>:<none>'), answer(200, []), 'removed'],
    ['what somebody gave another name', found('job:1', 'mine:1'), answer(200, []), 'kept'],
    ['what a container is made of', found('job:1'), answer(409, { message: 'image is being used' }), 'kept'],
    ['what is not there', answer(404, { message: 'No such image' }), answer(500), 'missing'],
    ['what goes in that moment', found('job:1'), answer(404, { message: 'No such image' }), 'missing'],
  ])('%s', async (_, inspect, remove, outcome) => {
    const { runner, engine } = await runnerOn({
      'GET /images/sha256:aa/json': inspect,
      'DELETE /images/sha256:aa': remove,
    });
    expect(await runner.removeImage('sha256:aa', 'docker.io/library/job:1')).toBe(outcome);
    expect(engine.calls.join()).not.toContain('force');
  });
});
