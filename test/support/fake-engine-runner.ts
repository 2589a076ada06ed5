import type { Clock } from '../../src/core/clock.ts';
import type { Registries } from '../../src/core/registry.ts';
import { SystemClock } from '../../src/lib/system-clock.ts';
import { DockerRunner } from '../../src/runners/docker/docker-runner.ts';
import { scriptSpec } from './container-specs.ts';
import { answer, container, fakeEngine } from './fake-engine.ts';
import type { EngineHandler, FakeEngine } from './fake-engine.ts';
import { FakeLog } from './fake-log.ts';
import type { ManualClock } from './manual-clock.ts';

const open: FakeEngine[] = [];

/** For `afterEach`. */
export async function closeEngines(): Promise<void> {
  for (const engine of open.splice(0)) await engine.close();
}

export const instance = 'tpt';
export const spec = scriptSpec({ instance, image: 'busybox:1', digest: 'sha256:aa' }, 'true');
export const RUNNING = { Running: true, StartedAt: '2026-01-01T00:00:00Z' };
export const EXITED = { StartedAt: '2026-01-01T00:00:00Z', FinishedAt: '2026-01-01T00:00:01Z' };

/** A runner on a fake engine where everything goes well but what `handlers` says. */
export async function runnerOn(
  handlers: Readonly<Record<string, EngineHandler>>,
  clock: Clock = new SystemClock(),
  registries?: Registries,
) {
  const engine = await fakeEngine({
    'GET /networks/net': answer(200, {
      Id: 'n',
      Labels: { 'dev.tappet.instance': instance },
      Options: { 'com.docker.network.bridge.enable_icc': 'false' },
    }),
    'POST /containers/create': answer(201, { Id: 'c' }),
    [`POST /containers/${spec.name}/attach`]: (_, response) => response.writeHead(200).flushHeaders(),
    [`POST /containers/${spec.name}/start`]: answer(204),
    [`GET /containers/${spec.name}/json`]: answer(200, container(RUNNING)),
    [`DELETE /containers/${spec.name}`]: answer(204),
    ...handlers,
  });
  const log = new FakeLog();
  const runner = new DockerRunner({
    endpoint: engine.endpoint,
    engine: 'e',
    instance,
    network: 'net',
    clock,
    log,
    ...(registries === undefined ? {} : { registries }),
  });
  open.push(engine);
  return { runner, log, engine };
}
/** One frame of output: type 1 = stdout, 2 = stderr; up to 255 bytes. */
export const frame = (type: number, text: string) =>
  Buffer.from([type, 0, 0, 0, 0, 0, 0, text.length, ...Buffer.from(text)]);

/** Lets the clock run until `promise` settles. */
export async function passing<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  let settled = false;
  const watched = promise.finally(() => (settled = true));
  while (!settled) await clock.advance(1);
  return watched;
}

/** What a call failed with. */
export async function failure(call: Promise<unknown>): Promise<unknown> {
  const failed = new Error('the call did not fail');
  const error = await call.then(
    () => failed,
    (reason: unknown) => reason,
  );
  if (error === failed) throw failed;
  return error;
}
