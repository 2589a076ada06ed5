import { beforeEach, expect, it } from 'vitest';
import { createClient } from '../../src/client/client.ts';
import type { Client } from '../../src/client/client.ts';
import type { Config } from '../../src/core/config.ts';
import type { SqliteStore } from '../../src/stores/sqlite/store.ts';
import { createTestApp, jobDefinition, ROOT_TOKEN, testConfig } from '../support/http-fakes.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { SeededIds } from '../support/seeded-ids.ts';
import { memoryStore } from '../support/migrated.ts';

/** The API over the store that the product runs with; job "etl" runs `team/etl:1`. */
let store: SqliteStore;
let client: Client;
let config: Config;

beforeEach(async () => {
  const [clock, ids] = [new ManualClock(), new SeededIds()];
  store = memoryStore(clock, ids);
  await store.open();
  const jobs = new Map([['etl', jobDefinition('etl', { image: 'team/etl:1', pullPolicy: 'Always' })]]);
  config = { ...testConfig(), jobs };
  const t = createTestApp({ store, clock, ids, config: () => config });
  const app = (url: string, init?: RequestInit): Promise<Response> =>
    t.app.fetch(new Request(url, init), { remoteAddress: '127.0.0.1' });
  client = createClient({ url: 'http://gateway.test', token: ROOT_TOKEN, fetch: app });
});

const allow = (...allowedImages: string[]): void => {
  config = { ...config, server: { ...config.server, allowedImages } };
};

it('an execution says which image its containers run, once one has started', async () => {
  const { name, spec, imageDigest } = await client.jobs.run('etl', {});
  expect([spec.image, spec.pullPolicy, imageDigest]).toEqual(['team/etl:1', 'Always', null]);
  const lease = await store.acquireEngine('docker', 'me', 60_000);
  const epoch = lease.held ? lease.epoch : -1;
  await store.claimAttempts({ engine: 'docker', epoch, limit: 1, maxParallelism: 1 });
  const key = { execution: name, index: 0, attempt: 0 };
  const image = { imageDigest: 'sha256:aa', imageRepoDigest: 'docker.io/team/etl@sha256:11' };
  await store.attemptStarted({ key, epoch, startTime: 1, ...image });
  expect(await client.executions.get(name)).toMatchObject(image);
});

it('neither a run nor a re-run uses an image that the settings of now do not allow', async () => {
  const { name } = await client.jobs.run('etl', {});
  await client.executions.cancel(name);
  allow('team/other');
  await expect(client.jobs.run('etl', {})).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringMatching(/"team\/etl:1" is not an image that server\.allowedImages/) as unknown,
  });
  await expect(client.executions.rerun(name)).rejects.toMatchObject({
    code: 'CONFLICT',
    message: expect.stringMatching(/may not run any more.*server\.allowedImages/) as unknown,
  });
  allow('team/*');
  expect(await client.executions.rerun(name)).toMatchObject({ rerunOf: name });
});
