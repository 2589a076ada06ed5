import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineEndpoint } from '../../src/runners/docker/find-engine.ts';
import { Semaphore } from '../../src/lib/semaphore.ts';
import { chaosRow } from '../support/chaos-row.ts';
import { allPlaces, isKnown, METHOD_COUNT } from '../support/crash-places.ts';
import type { Place } from '../support/crash-places.ts';
import { CrashRound } from '../support/crash-round.ts';
import { engineRequest, importImage, pushImage, testEngine } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { testMinio } from '../support/minio.ts';
import type { TestStore } from '../support/minio.ts';
import { testRegistry } from '../support/registry.ts';
import type { TestRegistry } from '../support/registry.ts';

/** Its slowest place comes half a minute after the start. */
const ROUND_MS = 120_000;
/** A round mostly waits: for timeouts, and for processes to start. */
const AT_ONCE = 3;

/**
 * Wherever the gateway is killed on the way of an attempt: an acknowledged event leads to its execution, a re-sent one to
 * no second; each ends as it is to, with its true exit codes, its whole output and all of its files; no attempt
 * starts twice, and no container is left.
 */
describe('kill -9 before and after each call of a port', { timeout: ROUND_MS }, () => {
  const row = chaosRow('gateway-crashes', METHOD_COUNT);
  const every = allPlaces(row.seed);
  const rounds = row.pick(every);
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'tappet-places-')));
  const turns = new Semaphore(AT_ONCE);
  const hit = new Set<Place>();
  let engine: EngineEndpoint;
  let host = '';
  let minio: TestStore;
  let registry: TestRegistry;
  beforeAll(async () => {
    engine = await testEngine();
    host = await engineHost();
    [minio, registry] = await Promise.all([testMinio(), testRegistry()]);
  });
  afterAll(async () => {
    await Promise.all([minio.close(), registry.close()]);
    rmSync(base, { recursive: true, force: true });
  });

  /** An image that only the registry has. */
  async function pushed(tag: string): Promise<string> {
    const image = `${registry.host}/tools:${tag}`;
    await importImage(engine, image, { 'etc/round': tag });
    await pushImage(engine, image);
    expect((await engineRequest(engine, 'DELETE', `/v1.41/images/${image}`)).status).toBe(200);
    return image;
  }

  const titled = rounds.map((place, i) => [`${place.at}, ${place.scenario}`, place, i] as const);
  it.concurrent.each(titled)('%s', async (_title, place, i) => {
    row.begin();
    const called = await turns.run(() => round(place, i));
    expect(called.filter((name) => !isKnown(name))).toEqual([]);
    hit.add(place);
  });

  async function round(place: Place, i: number): Promise<readonly string[]> {
    const pulled = place.scenario === 'pull' ? await pushed(`round-${i}`) : 'none';
    const one = new CrashRound({ place, dir: join(base, `${i}`), engine, host, minio, pulled });
    await one.run();
    return one.called;
  }

  it('was at every place', () => expect(hit).toEqual(new Set(rounds)));

  it('has a place of every method within the rounds of npm test, and all of them in a full run', () => {
    const usual = every.slice(0, METHOD_COUNT);
    expect(new Set(usual.map(({ method }) => method)).size).toBe(METHOD_COUNT);
    expect(new Set(every.map(({ at, scenario }) => `${at} ${scenario}`)).size).toBe(every.length);
    expect([METHOD_COUNT, every.length]).toEqual([48, 194]);
  });
});
