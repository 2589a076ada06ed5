import { simulateExecutor } from './executor/world.ts';
import type { Simulation } from './run-seeds.ts';
import { simulate } from './world.ts';

/** Sources, inbox and routing, up to the execution. */
export const FRONT: Simulation = {
  name: 'simulator',
  simulate: (seed) => simulate(seed),
  often: {
    'crash before a commit': 1,
    'crash after a commit': 1,
    'crash between two awaits': 1,
    jump: 1,
    duplicate: 1,
    refused: 1,
    // These need a long outage or jump.
    'late slots': 0.2,
  },
};

/** From an event to the end of its containers. */
export const EXECUTOR: Simulation = {
  name: 'executor-simulator',
  simulate: (seed) => simulateExecutor(seed),
  often: {
    'crash before a commit': 1,
    'crash after a commit': 1,
    'crash before an order': 0.5,
    'crash after an order': 0.5,
    'crash between two awaits': 1,
    freeze: 2,
    stop: 2,
    away: 2,
    refused: 5,
    'answered an error': 5,
    'worked, but answered an error': 1,
    'vanish one': 1,
    'cut one': 1,
    'stall one': 0.3,
    'ended with the engine': 0.5,
    'never answered': 1.5,
    'answered late': 1.5,
    'created, but not started': 1,
    'slow pull': 1,
    'failed pull': 1,
    'a name is taken': 0.2,
    'object store away': 0.5,
    'object store silent': 0.2,
    'object store slow': 0.2,
    'object store denied': 0.2,
    'object store breaks off': 0.2,
    'no room for logs': 0.8,
    // In one seed of four.
    jump: 0.7,
    cancel: 2,
    retried: 5,
    'run again': 1,
    CANCELLED: 1,
    DEADLINE_EXCEEDED: 1,
    TOO_MANY_FAILED: 1,
    NEVER_FITS: 2,
  },
};
