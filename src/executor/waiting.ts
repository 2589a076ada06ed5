import { capacityOf, coresText, needOf, neverFits } from '../core/admission.ts';
import type { AdmissionSettings, Capacity, Host, Reservation } from '../core/admission.ts';
import type { Execution, Task } from '../core/execution.ts';
import { isTerminal } from '../core/states.ts';
import { sizeText } from '../lib/size.ts';

/** What this gateway's executor has to give out now. */
export interface AdmissionView {
  /** Whether tasks start at all; `message` says why not. */
  readonly ready: boolean;
  readonly message: string;
  /** The gateway starts nothing more before it ends. */
  readonly draining?: boolean;
  /** null = not known yet. */
  readonly host: Host | null;
  readonly settings: AdmissionSettings;
  readonly free: Capacity;
  /** What is waited for before all others. */
  readonly reserved: Reservation | null;
  readonly runningTasks: number;
  /** Infinity = there is no such setting. */
  readonly maxRunningTasks: number;
}

/** What keeps the next task of an execution from starting, in one plain line; null where nothing does, or there is none. */
export function waitText(execution: Execution, view: AdmissionView): string | null {
  if (isTerminal(execution.state) || (execution.waits ?? null) === null) return null;
  // The job's limit of today counts, which its frozen spec does not have.
  if (execution.waits === 'turn')
    return `waits for its turn: maxConcurrentExecutions of job ${execution.job} is reached`;
  if (view.draining === true) return 'waits for the next start of the gateway, which is being drained';
  if (!view.ready) return `waits for the container engine: ${view.message}`;
  return roomText(execution, view);
}

function roomText({ name, spec }: Execution, view: AdmissionView): string | null {
  const { host, settings, free, reserved, runningTasks, maxRunningTasks } = view;
  const need = needOf(spec);
  const unfit = host === null ? null : neverFits(need, host, settings);
  if (unfit !== null) return `does not fit: ${unfit}`;
  if (need.memoryBytes > free.memoryBytes)
    return `waits for ${sizeText(need.memoryBytes)} of memory: ${sizeText(free.memoryBytes)} of ${sizeText(givenOut(view).memoryBytes)} free`;
  if (need.cpuMillis > free.cpuMillis) {
    const { cpuOvercommit } = settings;
    return `waits for ${coresText(need.cpuMillis)}: ${coresText(free.cpuMillis)} of ${coresText(givenOut(view).cpuMillis)} free (each core of the host is given out ${cpuOvercommit} times)`;
  }
  if (runningTasks >= maxRunningTasks)
    return `waits for a running task to end: maxRunningTasks is ${maxRunningTasks}`;
  if (reserved !== null && reserved.execution !== name)
    return `waits for ${reserved.execution}, which comes first and waits for room of its own`;
  return null;
}

/** The same of one task. `now`: epoch ms. */
export function taskWaitText(
  task: Task,
  execution: Execution,
  view: AdmissionView,
  now: number,
): string | null {
  if (task.state !== 'PENDING' || isTerminal(execution.state)) return null;
  if (task.notBefore !== null && task.notBefore > now)
    return `waits for its next attempt until ${new Date(task.notBefore).toISOString()}`;
  const { parallelism } = execution.spec;
  const { running } = execution.counters;
  if (parallelism > 0 && running >= parallelism)
    return `waits for another task of its execution to end: parallelism ${parallelism}`;
  return waitText(execution, view);
}

function givenOut({ host, settings }: AdmissionView): Capacity {
  return capacityOf(host ?? { cpus: 0, memoryBytes: 0 }, settings);
}
