import { expect, test } from 'vitest';
import type { S3ConnectionSpec } from '../src/core/objects.ts';
import { hostedSources } from '../src/hosted-sources.ts';
import { ManualClock } from './support/manual-clock.ts';
import { FakeObjects } from './support/fake-objects.ts';

const spec: S3ConnectionSpec = {
  kind: 's3',
  region: 'us-east-1',
  pathStyle: true,
  accessKeyId: { env: 'KEY' },
  secretAccessKey: { env: 'SECRET' },
  pollMs: 60_000,
};
const objects = { connection: (name: string) => new FakeObjects(new ManualClock(), name) };
const verifier = () => Promise.reject(new Error('nobody has to be checked'));

test('a connection without triggers is hosted too: somebody has to forget those that are gone', async () => {
  const config = { triggers: new Map(), connections: new Map([['store', spec]]) };
  const hosted = await hostedSources(config, { objects, verifier });
  expect(hosted).toMatchObject([
    { name: 'store', kind: 'storage', origin: 'connection/store', trigger: null },
  ]);
});
