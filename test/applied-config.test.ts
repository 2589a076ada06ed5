import { afterAll, expect, it } from 'vitest';
import { CurrentConfig, syncDefinitions } from '../src/applied-config.ts';
import type { DefinitionKey, DefinitionRow } from '../src/core/store.ts';
import { ConfigFolder } from './support/config-folder.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

it('tells the store how many executions of a job may run, and maintenance how many to keep', async () => {
  const jobs = {
    plain: { image: 'x' },
    local: { image: 'y', pullPolicy: 'Never' },
    single: { image: 'x', maxConcurrentExecutions: 1 },
    few: { image: 'x', retentionCount: 5 },
  };
  const config = await folder.load({ jobs });
  let told: readonly DefinitionKey[] = [];
  const store = {
    syncDefinitions: async (keys: readonly DefinitionKey[]): Promise<DefinitionRow[]> => {
      told = keys;
      return keys.map((key) => ({
        ...key,
        uid: key.name,
        generation: 1,
        createTime: 0,
        updateTime: 0,
        creator: 'config',
      }));
    },
  };
  const current = new CurrentConfig(await syncDefinitions(store, config, 0));
  const limits = told.map(({ name, maxConcurrentExecutions: limit }) => [name, limit]);
  expect(limits).toEqual([
    ['plain', undefined],
    ['local', undefined],
    ['single', 1],
    ['few', undefined],
  ]);
  expect([...current.retentionCounts()]).toEqual([['few', 5]]);
  // Nor may maintenance remove the images of jobs that never pull.
  expect(current.imagesNeverPulled()).toEqual(['y']);
});
