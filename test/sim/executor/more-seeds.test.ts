import { runSeeds } from '../run-seeds.ts';
import { EXECUTOR } from '../simulations.ts';

// A file of its own, so that two cores share the seeds.
runSeeds(EXECUTOR, 'second');
