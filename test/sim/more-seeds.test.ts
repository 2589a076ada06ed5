import { describe } from 'vitest';
import { runSeeds } from './run-seeds.ts';

// A file of its own, so that two cores share the seeds.
describe('nothing is lost, done twice, made up or stuck', () => {
  runSeeds(101, 200);
});
