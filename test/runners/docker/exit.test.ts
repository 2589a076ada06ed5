import { describe, expect, it } from 'vitest';
import { readStatus } from '../../../src/runners/docker/exit.ts';

const NEVER = '0001-01-01T00:00:00Z';
const started = '2026-11-25T16:45:11.235270401Z';
const state = {
  Status: 'exited',
  Running: false,
  ExitCode: 0,
  OOMKilled: false,
  Error: '',
  StartedAt: started,
  FinishedAt: '2026-11-25T16:45:12.5Z',
};

describe('readStatus', () => {
  it('is created while it never started, whatever the exit code', () => {
    expect(readStatus({ ...state, StartedAt: NEVER, FinishedAt: NEVER })).toEqual({ state: 'created' });
    const failed = { ...state, StartedAt: NEVER, FinishedAt: NEVER, ExitCode: 127, Error: 'no such file' };
    expect(readStatus(failed)).toEqual({ state: 'created' });
  });

  it('reads times in milliseconds and the exit', () => {
    expect(readStatus({ ...state, ExitCode: 3, Error: 'words' })).toEqual({
      state: 'exited',
      startTime: Date.parse('2026-11-25T16:45:11.235Z'),
      endTime: Date.parse('2026-11-25T16:45:12.500Z'),
      exit: { exitCode: 3, signal: null, oomKilled: false, error: 'words' },
    });
  });

  it('still runs while Podman stops it, though it says otherwise', () => {
    const stopping = { ...state, Status: 'stopping', FinishedAt: NEVER };
    expect(readStatus(stopping)).toMatchObject({ state: 'running' });
  });

  it('does not end before its start, as Podman says of short ones', () => {
    const short = { StartedAt: '2026-11-25T18:45:11.674Z', FinishedAt: '2026-11-25T18:45:11.672Z' };
    const startTime = Date.parse(short.StartedAt);
    expect(readStatus({ ...state, ...short })).toMatchObject({ startTime, endTime: startTime });
  });

  it('has no exit code where somebody removes it by force, which kills it; but one that ended before has its own', () => {
    expect(readStatus({ ...state, Status: 'removing', ExitCode: 137 })).toMatchObject({
      state: 'exited',
      exit: { exitCode: null, signal: null },
    });
    expect(readStatus({ ...state, Status: 'removing', ExitCode: 3 })).toMatchObject({
      exit: { exitCode: 3 },
    });
    expect(readStatus({ ...state, Status: 'removing', ExitCode: 137, OOMKilled: true })).toMatchObject({
      exit: { oomKilled: true },
    });
  });

  it('reads a time with an offset, as Podman writes it', () => {
    const status = readStatus({ ...state, Running: true, StartedAt: '2026-11-25T18:45:11.2+02:00' });
    expect(status).toEqual({ state: 'running', startTime: Date.parse('2026-11-25T16:45:11.2Z') });
  });

  it.each([
    [137, true, 'SIGKILL'],
    [137, false, null],
    [143, false, null],
    [0, true, null],
  ])('names a signal only where it is certain: exit %i, out of memory %s', (ExitCode, OOMKilled, signal) => {
    const status = readStatus({ ...state, ExitCode, OOMKilled });
    expect(status).toMatchObject({ exit: { exitCode: ExitCode, signal, oomKilled: OOMKilled } });
  });
});
