import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Hint } from '../../src/core/runner.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { DockerRunner } from '../../src/runners/docker/docker-runner.ts';
import { scriptSpec } from '../support/container-specs.ts';
import { engineRequest, testImage } from '../support/engine.ts';
import { failure } from '../support/fake-engine-runner.ts';
import { FakeLog } from '../support/fake-log.ts';
import { MemoryLogWriter } from '../support/memory-log-writer.ts';
import { privateEngine } from '../support/private-engine.ts';
import type { PrivateEngine } from '../support/private-engine.ts';

let engine: PrivateEngine;
beforeAll(async () => {
  engine = await privateEngine();
});
afterAll(() => engine.close());

describe('an engine that is killed', () => {
  it('ends every call that is under way, and is found again', async () => {
    const { endpoint } = engine;
    const log = new FakeLog();
    const runner = new DockerRunner({
      endpoint,
      engine: 'e',
      instance: 'gone',
      network: 'gone',
      clock: new SystemClock(),
      log,
    });
    const image = await testImage(endpoint);
    const { digest } = await runner.prepare(image);
    const spec = scriptSpec({ instance: 'gone', image, digest }, 'while :; do echo tick; sleep 0.05; done');

    const hints: Hint[] = [];
    const again = deferred<void>();
    const controller = new AbortController();
    const hinting = (async () => {
      for await (const hint of runner.hints(controller.signal)) {
        hints.push(hint);
        if (hints.filter(({ kind }) => kind === 'reconnected').length === 2) again.resolve();
      }
    })();
    const ensured = await runner.ensure(spec, new MemoryLogWriter());
    if (ensured.outcome !== 'started') throw new Error('not started');
    const followed = new MemoryLogWriter();
    const logs = runner.logs(spec.name, followed, controller.signal);
    const refused = failure(logs);
    await new Promise<void>((resolve) => followed.written(resolve));

    const before = Date.now();
    const asking = failure(askOn(() => runner.inspect(spec.name)));
    await engine.kill();
    // The stream just ends, as if the container had: it must not be taken for whole.
    expect(await ensured.captured).toBe(false);
    expect(await refused).toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
    expect(await asking).toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
    const calls = [
      runner.capabilities(),
      runner.list(),
      runner.stop(spec.name, 1000),
      runner.kill(spec.name),
      runner.remove(spec.name),
      runner.ensure(spec, new MemoryLogWriter()),
      runner.prepare('never-asked:1'),
    ];
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' });
    expect(Date.now() - before).toBeLessThan(10_000);

    await engine.start();
    await again.promise;
    expect(['running', 'exited']).toContain((await runner.inspect(spec.name)).state);
    await runner.remove(spec.name);
    // Its bridge would outlive the engine.
    await engineRequest(endpoint, 'DELETE', '/v1.41/networks/gone');
    controller.abort();
    await hinting;
    expect(log.lines.filter(({ message }) => message.includes('engine is gone'))).toHaveLength(1);
  }, 120_000);
});

async function askOn(call: () => Promise<unknown>): Promise<never> {
  for (;;) await call();
}
