import { TappetError } from './errors.ts';

/**
 * The state tables. A move that is not in a table throws ILLEGAL_TRANSITION, and every store asks here.
 *
 * Execution: PENDING until its first attempt is claimed; RUNNING until its last task has ended; a cancel with
 * nothing running ends it at once, else when the last container has ended. So does a halt (its deadline, more failed
 * tasks than its job allows), which ends it as FAILED, also before anything ran:
 *
 * | what has been stored     | tasks that wait | containers               | a crash after it is taken up by          |
 * |--------------------------|-----------------|--------------------------|------------------------------------------|
 * | nothing; deadline passed | not claimed     | run                      | the next look for overdue executions     |
 * | the halt, in one piece   | CANCELLED       | run; their stop is asked | adoption: the request stands in the row  |
 * | the last attempt's end   | CANCELLED       | none                     | nothing to do: FAILED, in the same piece |
 *
 * Task: PENDING while it waits (also for a retry), RUNNING while an attempt lives.
 * Attempt: STARTING is the intent, written before the engine is asked; RUNNING once the engine says that the
 * process started. Infrastructure may end an attempt in either.
 */
export type ExecutionState = 'PENDING' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'CANCELLED';
export type TaskState = 'PENDING' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'CANCELLED';
export type AttemptState = 'STARTING' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'CANCELLED';

type Table<S extends string> = Readonly<Record<S, readonly S[]>>;

export const EXECUTION_MOVES: Table<ExecutionState> = {
  PENDING: ['RUNNING', 'FAILED', 'CANCELLED'],
  RUNNING: ['SUCCEEDED', 'FAILED', 'CANCELLED'],
  SUCCEEDED: [],
  FAILED: [],
  CANCELLED: [],
};
export const TASK_MOVES: Table<TaskState> = {
  PENDING: ['RUNNING', 'CANCELLED'],
  RUNNING: ['PENDING', 'SUCCEEDED', 'FAILED', 'CANCELLED'],
  SUCCEEDED: [],
  FAILED: [],
  CANCELLED: [],
};
export const ATTEMPT_MOVES: Table<AttemptState> = {
  STARTING: ['RUNNING', 'FAILED', 'CANCELLED'],
  RUNNING: ['SUCCEEDED', 'FAILED', 'CANCELLED'],
  SUCCEEDED: [],
  FAILED: [],
  CANCELLED: [],
};

const TABLES = { execution: EXECUTION_MOVES, task: TASK_MOVES, attempt: ATTEMPT_MOVES } as const;

/** Throws ILLEGAL_TRANSITION where `from` may not become `to`. */
export function assertMove(kind: keyof typeof TABLES, from: string, to: string): void {
  const table = TABLES[kind] as Readonly<Record<string, readonly string[]>>;
  if (table[from]?.includes(to) !== true) {
    throw new TappetError('ILLEGAL_TRANSITION', `${kind}: ${from} may not become ${to}`);
  }
}

export function isTerminal(state: ExecutionState | TaskState | AttemptState): boolean {
  return state === 'SUCCEEDED' || state === 'FAILED' || state === 'CANCELLED';
}
