import { describe, expect, it } from 'vitest';
import { MIB } from '../../src/core/job.ts';
import type { Exit } from '../../src/core/runner.ts';
import { outcomeOf } from '../../src/executor/outcome.ts';
import type { Ended } from '../../src/executor/outcome.ts';

const SPEC = { timeoutMs: 600_000, gracePeriodMs: 30_000, memoryBytes: 512 * MIB };
const RAN = { stopReason: null, stopRequestTime: null };
const exited = (exit: Partial<Exit>, endTime = 5000): Ended => ({
  state: 'exited',
  startTime: 1000,
  endTime,
  exit: { exitCode: null, signal: null, oomKilled: false, error: null, ...exit },
});
const NOTHING = {
  ranAfterStopRequest: false,
  endedUntold: false,
  engineWasAway: false,
  lastMemoryBytes: null,
};
const MISSING: Ended = { state: 'missing' };
const asked = (stopReason: 'timeout' | 'cancel', stopRequestTime = 4000) => ({ stopReason, stopRequestTime });

describe('outcome of an attempt', () => {
  it.each([
    ['exit 0', RAN, exited({ exitCode: 0 }), 'SUCCEEDED', 'EXITED_ZERO', 0, /^Succeeded\.$/],
    [
      'a child killed for memory',
      RAN,
      exited({ exitCode: 0, oomKilled: true }),
      'SUCCEEDED',
      'EXITED_ZERO',
      0,
      /512Mi/,
    ],
    [
      'killed for memory',
      RAN,
      exited({ exitCode: 137, oomKilled: true }),
      'FAILED',
      'OOM_KILLED',
      137,
      /512Mi.*raise/,
    ],
    ['exit 1', RAN, exited({ exitCode: 1 }), 'FAILED', 'NON_ZERO_EXIT_CODE', 1, /^Exit code 1\.$/],
    ['exit 126', RAN, exited({ exitCode: 126 }), 'FAILED', 'NON_ZERO_EXIT_CODE', 126, /may not be executed/],
    [
      'exit 127',
      RAN,
      exited({ exitCode: 127 }),
      'FAILED',
      'NON_ZERO_EXIT_CODE',
      127,
      /not found in the image/,
    ],
    ['exit 137', RAN, exited({ exitCode: 137 }), 'FAILED', 'NON_ZERO_EXIT_CODE', 137, /SIGKILL/],
    ['exit 143', RAN, exited({ exitCode: 143 }), 'FAILED', 'NON_ZERO_EXIT_CODE', 143, /SIGTERM/],
    [
      "the engine's words",
      RAN,
      exited({ exitCode: 1, error: 'bad' }),
      'FAILED',
      'NON_ZERO_EXIT_CODE',
      1,
      /says: bad/,
    ],
    ['a signal', RAN, exited({ signal: 'SIGSEGV' }), 'FAILED', 'SIGNALLED', null, /SIGSEGV/],
    ['an unknown end', RAN, exited({}), 'FAILED', 'CONTAINER_LOST', null, /does not know/],
    ['no container', RAN, MISSING, 'FAILED', 'CONTAINER_LOST', null, /gone/],
    [
      'timeout, obeyed',
      asked('timeout'),
      exited({ exitCode: 143 }),
      'FAILED',
      'TIMED_OUT',
      143,
      /longer than 10m; ended by SIGTERM/,
    ],
    [
      'timeout, ignored',
      asked('timeout'),
      exited({ exitCode: 137 }),
      'FAILED',
      'TIMED_OUT',
      137,
      /longer than 10m; SIGTERM did not end it within 30s, so it was killed\.$/,
    ],
    ['timeout, exit 0', asked('timeout'), exited({ exitCode: 0 }), 'FAILED', 'TIMED_OUT', 0, /exit code 0/],
    [
      'timeout at the very moment',
      asked('timeout', 5000),
      exited({ exitCode: 0 }),
      'FAILED',
      'TIMED_OUT',
      0,
      /10m/,
    ],
    [
      'exit just before the timeout',
      asked('timeout', 5001),
      exited({ exitCode: 0 }),
      'SUCCEEDED',
      'EXITED_ZERO',
      0,
      /Succ/,
    ],
    ['timeout, removed', asked('timeout'), MISSING, 'FAILED', 'TIMED_OUT', null, /removed/],
    ['cancel', asked('cancel'), exited({ exitCode: 143 }), 'CANCELLED', 'CANCELLED', 143, /^Cancelled/],
    ['cancel, exit 0', asked('cancel'), exited({ exitCode: 0 }), 'CANCELLED', 'CANCELLED', 0, /exit code 0/],
    [
      'cancel, killed',
      asked('cancel'),
      exited({ exitCode: 137 }),
      'CANCELLED',
      'CANCELLED',
      137,
      /so it was killed\.$/,
    ],
    [
      'failed before the cancel',
      asked('cancel', 6000),
      exited({ exitCode: 2 }),
      'FAILED',
      'NON_ZERO_EXIT_CODE',
      2,
      /2/,
    ],
    ['cancel, removed', asked('cancel'), MISSING, 'CANCELLED', 'CANCELLED', null, /removed/],
  ] as const)('%s', (_, attempt, ended, state, reason, exitCode, message) => {
    const result = outcomeOf(attempt, SPEC, ended, 9000);
    expect(result).toMatchObject({
      state,
      reason,
      exitCode,
      endTime: ended.state === 'exited' ? 5000 : 9000,
    });
    expect(result.message).toMatch(message);
  });

  it.each([
    ['killed with the engine', RAN, exited({ exitCode: 137 }), 'ENGINE_RESTARTED'],
    ['ended with the engine', RAN, exited({ exitCode: 143 }), 'ENGINE_RESTARTED'],
    ['gone when the engine came back', RAN, exited({ exitCode: 255 }), 'ENGINE_RESTARTED'],
    ['an end of its own meanwhile', RAN, exited({ exitCode: 7 }), 'NON_ZERO_EXIT_CODE'],
    ['out of memory meanwhile', RAN, exited({ exitCode: 137, oomKilled: true }), 'OOM_KILLED'],
    ['asked to stop before', asked('cancel'), exited({ exitCode: 137 }), 'CANCELLED'],
  ] as const)('around a restart of the engine: %s', (_, attempt, ended, reason) => {
    const seen = { ...NOTHING, engineWasAway: true };
    expect(outcomeOf(attempt, SPEC, ended, 9000, seen).reason).toBe(reason);
  });

  it('is a stop where it ran when it was asked, though the clock of the engine says otherwise', () => {
    const seen = { ...NOTHING, ranAfterStopRequest: true };
    const ended = exited({ exitCode: 0 }, 5000);
    expect(outcomeOf(asked('timeout', 6000), SPEC, ended, 9000, seen).reason).toBe('TIMED_OUT');
  });

  it.each([
    [
      'with exit code 3',
      exited({ exitCode: 3 }),
      'Cancelled; it ended by itself, with exit code 3, before it was told to.',
    ],
    ['and is gone', MISSING, 'Cancelled; its container was gone before it was told to end.'],
  ])('does not blame SIGTERM where it ended before that was sent: %s', (_, ended, message) => {
    const seen = { ...NOTHING, endedUntold: true };
    expect(outcomeOf(asked('cancel'), SPEC, ended, 9000, seen)).toMatchObject({
      state: 'CANCELLED',
      message,
    });
  });

  it.each([
    ['95 % in use when it was killed', 487 * MIB, { exitCode: 137 }, 'OOM_SUSPECTED'],
    ['less in use', 486 * MIB, { exitCode: 137 }, 'NON_ZERO_EXIT_CODE'],
    ['not measured', null, { exitCode: 137 }, 'NON_ZERO_EXIT_CODE'],
    ['an end of its own', 512 * MIB, { exitCode: 1 }, 'NON_ZERO_EXIT_CODE'],
    ['the engine knows it', 512 * MIB, { exitCode: 137, oomKilled: true }, 'OOM_KILLED'],
  ] as const)('memory: %s', (_, lastMemoryBytes, exit, reason) => {
    const result = outcomeOf(RAN, SPEC, exited(exit), 9000, { ...NOTHING, lastMemoryBytes });
    expect(result.reason).toBe(reason);
    if (reason === 'OOM_SUSPECTED') expect(result.message).toMatch(/512Mi.*raise "memory"/);
  });

  it('tells of a killed child from a killed program', () => {
    const message = (exitCode: number): string =>
      outcomeOf(RAN, SPEC, exited({ exitCode, oomKilled: true }), 9000).message;
    expect(message(137)).toMatch(/^Killed by the kernel/);
    expect(message(1)).toMatch(/^The kernel killed one of its processes.*exit code 1/);
  });

  it('is the memory’s where it was killed around a restart of the engine only if the kernel says so', () => {
    const seen = { ...NOTHING, engineWasAway: true, lastMemoryBytes: 512 * MIB };
    expect(outcomeOf(RAN, SPEC, exited({ exitCode: 137 }), 9000, seen).reason).toBe('ENGINE_RESTARTED');
  });
});
