import { runSeeds } from './run-seeds.ts';
import { FRONT } from './simulations.ts';

// A file of its own, so that two cores share the seeds.
runSeeds(FRONT, 'second');
