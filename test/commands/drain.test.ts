import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { pause } from '../../src/client/client.ts';
import { deferred } from '../../src/lib/deferred.ts';
import { cli } from '../support/cli-runner.ts';

const gateway = vi.hoisted(() => ({ drain: () => Promise.resolve(), calls: [] as string[] }));
vi.mock('../../src/main.ts', () => ({
  startGateway: async () => ({
    url: 'http://127.0.0.1:1',
    reload: () => undefined,
    drain: () => {
      gateway.calls.push('drain');
      return gateway.drain();
    },
    stop: async () => void gateway.calls.push('stop'),
  }),
}));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tappet-drain-'));
  await writeFile(join(folder, 'tappet.json'), '{}');
  gateway.calls.length = 0;
});
afterEach(() => rm(folder, { recursive: true }));

/** Serves, interrupted once at the start; `again` interrupts a second time. */
function serve(...flags: string[]) {
  const first = new AbortController();
  let again: (() => void) | undefined;
  first.abort();
  const served = cli(['serve', '-c', join(folder, 'tappet.json'), ...flags], {
    signal: first.signal,
    pause,
    onSecondInterrupt: (fn) => {
      again = fn;
      return () => (again = undefined);
    },
  });
  return { served, again: () => again };
}

test('serve --drain ends when nothing runs, or when it is asked a second time', async () => {
  const drained = deferred<void>();
  gateway.drain = () => drained.promise;
  const one = serve('--drain');
  await expect.poll(() => gateway.calls).toEqual(['drain']);
  drained.resolve();
  const { code, err } = await one.served;
  expect(code).toBe(0);
  expect(err).toMatch(/^Draining: .* SIGTERM again ends it now and leaves them running\.$/m);
  expect(gateway.calls).toEqual(['drain', 'stop']);
  expect(one.again()).toBeUndefined();

  gateway.calls.length = 0;
  gateway.drain = () => new Promise(() => undefined);
  const two = serve('--drain');
  await expect.poll(() => two.again()).toBeDefined();
  two.again()?.();
  expect((await two.served).code).toBe(0);
  expect(gateway.calls).toEqual(['drain', 'stop']);
});

test('serve without --drain stops at once', async () => {
  expect((await serve().served).code).toBe(0);
  expect(gateway.calls).toEqual(['stop']);
});
