import type { ContainerStatus, Exit } from '../../core/runner.ts';

/** `State` of the engine's inspect, as far as it is read. */
export interface EngineState {
  readonly Status: string;
  readonly Running: boolean;
  readonly ExitCode: number;
  readonly OOMKilled: boolean;
  readonly Error: string;
  /** `0001-01-01T00:00:00Z` = never. */
  readonly StartedAt: string;
  readonly FinishedAt: string;
}

/** 128 + SIGKILL: what the engine reports for a process that the kernel killed. */
const KILLED = 137;

/** While Podman stops a container, it says `Running: false`, no end and exit code 0: that is not an exit. */
const ENDED = new Set(['exited', 'dead', 'stopped', 'removing']);

/**
 * What the engine's inspect says about a container. It never started while `StartedAt` is the zero time, whatever the
 * exit code: a wait on such a container reports 0, and a failed start leaves 127.
 */
export function readStatus(state: EngineState, imageDigest?: string): ContainerStatus {
  const startTime = readTime(state.StartedAt);
  if (startTime === null) return { state: 'created' };
  const endTime = readTime(state.FinishedAt);
  const ended = !state.Running && (endTime !== null || ENDED.has(state.Status));
  const image = imageDigest === undefined ? {} : { imageDigest };
  if (!ended) return { state: 'running', startTime, ...image };
  // Podman takes the start's time after the start, and of a short container only when that has ended.
  const ends = Math.max(endTime ?? startTime, startTime);
  return { state: 'exited', startTime, endTime: ends, exit: readExit(state), ...image };
}

/** What it was made of: the id that its `create` named; Podman may put a name there, and leaves `sha256:` out of its own. */
export function imageOf(container: {
  readonly Image: string;
  readonly Config: { readonly Image?: string | null | undefined };
}): string {
  const asked = container.Config.Image ?? '';
  if (asked.startsWith('sha256:')) return asked;
  return /^[0-9a-f]{64}$/.test(container.Image) ? `sha256:${container.Image}` : container.Image;
}

/**
 * The engine has only an exit code: 143 may be SIGTERM or an `exit 143`. A signal is named where it is certain: the
 * kernel's OOM killer ended the main process. `oomKilled` with exit 0 means that a child was killed and the main process lived.
 * Where somebody removes it by force, which kills it first, nobody will know how it would have ended: null.
 */
export function readExit(state: EngineState): Exit {
  const removed = state.Status === 'removing' && state.ExitCode === KILLED && !state.OOMKilled;
  return {
    exitCode: removed ? null : state.ExitCode,
    signal: state.OOMKilled && state.ExitCode === KILLED ? 'SIGKILL' : null,
    oomKilled: state.OOMKilled,
    error: state.Error === '' ? null : state.Error,
  };
}

/** Epoch ms of the engine's RFC 3339 time with nanoseconds; null for its zero time. */
export function readTime(text: string): number | null {
  const time = Date.parse(text);
  return Number.isNaN(time) || time <= 0 ? null : time;
}
