import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isTappetError } from '../../src/core/errors.ts';
import { ATTEMPT_MOVES, EXECUTION_MOVES, TASK_MOVES, assertMove, isTerminal } from '../../src/core/states.ts';

const MOVES = {
  execution: [
    'PENDING RUNNING',
    'PENDING FAILED',
    'PENDING CANCELLED',
    'RUNNING SUCCEEDED',
    'RUNNING FAILED',
    'RUNNING CANCELLED',
  ],
  task: [
    'PENDING RUNNING',
    'PENDING CANCELLED',
    'RUNNING PENDING',
    'RUNNING SUCCEEDED',
    'RUNNING FAILED',
    'RUNNING CANCELLED',
  ],
  attempt: [
    'STARTING RUNNING',
    'STARTING FAILED',
    'STARTING CANCELLED',
    'RUNNING SUCCEEDED',
    'RUNNING FAILED',
    'RUNNING CANCELLED',
  ],
} as const;
const STATES = ['PENDING', 'STARTING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'] as const;

function allowed(kind: keyof typeof MOVES, from: string, to: string): boolean {
  try {
    assertMove(kind, from, to);
    return true;
  } catch (error) {
    expect(isTappetError(error, 'ILLEGAL_TRANSITION')).toBe(true);
    return false;
  }
}

describe.each(['execution', 'task', 'attempt'] as const)('%s', (kind) => {
  it('moves as the table says and no other way', () => {
    const moves = STATES.flatMap((from) =>
      STATES.filter((to) => allowed(kind, from, to)).map((to) => `${from} ${to}`),
    );
    expect(moves.toSorted()).toEqual([...MOVES[kind]].toSorted());
  });

  it('refuses what is no state at all', () => {
    fc.assert(
      fc.property(fc.string(), (to) => !allowed(kind, 'NOWHERE', to) && !allowed(kind, 'RUNNING', `x${to}`)),
    );
  });
});

it('ends where nothing leads on', () => {
  for (const table of [EXECUTION_MOVES, TASK_MOVES, ATTEMPT_MOVES]) {
    for (const [state, next] of Object.entries(table)) {
      expect(isTerminal(state as keyof typeof table)).toBe(next.length === 0);
    }
  }
});
