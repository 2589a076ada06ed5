import { afterEach, describe, expect, it } from 'vitest';
import { deferred } from '../../../src/lib/deferred.ts';
import { answer } from '../../support/fake-engine.ts';
import type { EngineHandler } from '../../support/fake-engine.ts';
import { closeEngines, failure, runnerOn } from '../../support/fake-engine-runner.ts';
import { ManualClock } from '../../support/manual-clock.ts';

afterEach(closeEngines);

describe('prepare', () => {
  const image = 'GET /images/busybox:1/json';
  const pull = 'POST /images/create';
  const lines =
    (...objects: object[]): EngineHandler =>
    (_, response) =>
      response.writeHead(200).end(objects.map((object) => `${JSON.stringify(object)}\r\n`).join(''));
  const missing = answer(404, { message: 'No such image: busybox:1' });
  const error = (text: string) =>
    lines({ status: 'Pulling' }, { errorDetail: { message: text }, error: text });

  it('asks once for a burst, and again a second later', async () => {
    const clock = new ManualClock();
    const { runner, engine } = await runnerOn({ [image]: answer(200, { Id: 'sha256:aa' }) }, clock);
    const asked = () => engine.calls.filter((call) => call.includes('/images/')).length;
    const all = await Promise.all([runner.prepare('busybox:1'), runner.prepare('busybox:1')]);
    const found = { digest: 'sha256:aa', repoDigest: null, pulledBytes: null };
    expect(all).toEqual([found, found]);
    await runner.prepare('busybox:1');
    expect(asked()).toBe(1);
    clock.set(clock.now() + 1000);
    await runner.prepare('busybox:1');
    expect(asked()).toBe(2);
    clock.set(0);
    await runner.prepare('busybox:1');
    expect(asked()).toBe(3);
  });

  it.each<[string, EngineHandler, string]>([
    [
      'manifest for x not found: manifest unknown',
      error('manifest for x not found: manifest unknown'),
      'IMAGE_NOT_FOUND',
    ],
    [
      'pull access denied for x, repository does not exist',
      answer(404, {
        message: 'pull access denied for x, repository does not exist or may require docker login',
      }),
      'IMAGE_NOT_FOUND',
    ],
    ['unauthorized', error('unauthorized: authentication required'), 'IMAGE_UNAUTHORIZED'],
    [
      'no basic auth credentials',
      answer(500, { message: 'Head "http://r/v2/": no basic auth credentials' }),
      'IMAGE_UNAUTHORIZED',
    ],
    ['toomanyrequests', error('toomanyrequests: too many requests'), 'IMAGE_RATE_LIMITED'],
    [
      'a page instead of an answer, with 429',
      answer(500, { message: 'error parsing HTTP 429 response body: invalid character' }),
      'IMAGE_RATE_LIMITED',
    ],
    ['429', answer(429, { message: 'slow down' }), 'IMAGE_RATE_LIMITED'],
    [
      'no such host',
      answer(500, { message: 'Get "https://r/v2/": dial tcp: lookup r: no such host' }),
      'IMAGE_PULL_FAILED',
    ],
    ['a layer that breaks off', error('unexpected EOF'), 'IMAGE_PULL_FAILED'],
    ['no space left', error('write /x: no space left on device'), 'IMAGE_DISK_FULL'],
    ['no error, and no image', lines({ status: 'Downloaded' }), 'IMAGE_PULL_FAILED'],
  ])('knows why a pull failed: %s', async (_, handler, code) => {
    const { runner } = await runnerOn({ [image]: missing, [pull]: handler });
    await expect(runner.prepare('busybox:1')).rejects.toMatchObject({ code });
  });

  it('refuses what is no name of an image without asking the engine', async () => {
    const { runner, engine } = await runnerOn({});
    for (const name of ['', '../x', 'a b', 'x?y=1', 'x/', 'x:', '-x']) {
      await expect(runner.prepare(name)).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' });
    }
    expect(engine.calls).toEqual([]);
  });

  it('gives up a pull without progress after 2 minutes', async () => {
    const clock = new ManualClock();
    const asked = deferred<void>();
    const { runner } = await runnerOn({ [image]: missing, [pull]: () => asked.resolve() }, clock);
    const refused = failure(runner.prepare('busybox:1'));
    await asked.promise;
    await clock.advance(120_000);
    expect(await refused).toMatchObject({
      code: 'IMAGE_PULL_FAILED',
      message: expect.stringMatching(/no progress for 2m \(server\.pulls\)/),
    });
  });

  it('gives up a pull that goes on for more than 10 minutes', async () => {
    const clock = new ManualClock();
    let tell = () => {};
    const { runner } = await runnerOn(
      {
        [image]: missing,
        [pull]: (_, response) => {
          response.writeHead(200);
          tell = () => response.write('{"status":"Downloading"}\n');
          tell();
        },
      },
      clock,
    );
    let settled = false;
    const refused = failure(runner.prepare('busybox:1')).finally(() => (settled = true));
    while (!settled) {
      tell();
      await clock.advance(1000);
    }
    expect(await refused).toMatchObject({
      code: 'IMAGE_PULL_FAILED',
      message: expect.stringMatching(/more than 10m \(server\.pulls\)/),
    });
  });
});
