import { answer, fakeEngine } from './fake-engine.ts';
import type { FakeEngine } from './fake-engine.ts';

/** What an engine knows of containers that a gateway may forget: which were started, and how often that was asked. */
export interface CountingEngine {
  /** For DOCKER_HOST. */
  readonly host: string;
  /** By name: starts that were the first of their container. */
  readonly started: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

/**
 * `POST /started/<name>` starts a container once and answers `{ startTime, first }`; GET tells `{ startTime }`, null where
 * there is none, DELETE forgets it but for the count.
 */
export async function countingEngine(): Promise<CountingEngine> {
  const times = new Map<string, number>();
  const started = new Map<string, number>();
  const nameOf = (url = ''): string => url.slice('/started/'.length);
  const engine: FakeEngine = await fakeEngine({
    'POST /started/*': (request, response) => {
      const name = nameOf(request.url);
      const before = times.get(name);
      const startTime = before ?? Date.now();
      times.set(name, startTime);
      if (before === undefined) started.set(name, (started.get(name) ?? 0) + 1);
      answer(200, { startTime, first: before === undefined })(request, response);
    },
    'GET /started/*': (request, response) =>
      answer(200, { startTime: times.get(nameOf(request.url)) ?? null })(request, response),
    'DELETE /started/*': (request, response) => {
      times.delete(nameOf(request.url));
      answer(200, {})(request, response);
    },
  });
  const path = engine.endpoint.kind === 'unix' ? engine.endpoint.path : '';
  return { host: `unix://${path}`, started, close: () => engine.close() };
}
