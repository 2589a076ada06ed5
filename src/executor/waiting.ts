import { capacityOf, coresText, needOf, neverFits } from '../core/admission.ts';
import type { AdmissionSettings, Capacity, Host, Reservation } from '../core/admission.ts';
import type { Execution, Task } from '../core/execution.ts';
import { isTerminal } from '../core/states.ts';
import { sizeText } from '../lib/size.ts';
import { shortWords } from './hold-up.ts';

/** What this gateway's executor has to give out now. */
export interface AdmissionView {
  /** Whether the engine is there to be asked; `message` says why not. */
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
  /** What tasks of an execution that have begun wait for, in words, by their index. */
  readonly begun: (execution: string) => ReadonlyMap<number, string>;
}

/**
 * What keeps an execution, in one plain line: what its next task waits for, or where none runs, until when it is tried
 * again; where it may start, or there is none, and none of those that have begun goes on, what keeps the first of these.
 * null where nothing does.
 */
export function waitText(execution: Execution, view: AdmissionView): string | null {
  if (isTerminal(execution.state)) return null;
  return nextText(execution, view) ?? retryText(execution, view) ?? begunText(execution, view);
}

function nextText(execution: Execution, view: AdmissionView): string | null {
  if ((execution.waits ?? null) === null) return null;
  // The job's limit of today counts, which its frozen spec does not have.
  if (execution.waits === 'turn')
    return `waits for its turn: maxConcurrentExecutions of job ${execution.job} is reached`;
  return gatewayText(view) ?? roomText(execution, view);
}

function retryText({ retryTime, counters, spec }: Execution, view: AdmissionView): string | null {
  if (retryTime === undefined || retryTime === null || counters.running > 0) return null;
  const of = spec.taskCount === 1 ? 'its next attempt' : 'the next attempt of a task';
  return gatewayText(view) ?? `waits for ${of} until ${new Date(retryTime).toISOString()}`;
}

/** Why nothing starts, whatever it is. */
function gatewayText(view: AdmissionView): string | null {
  if (view.draining === true) return 'waits for the next start of the gateway, which is being drained';
  return view.ready ? null : engineText(view);
}

const engineText = ({ message }: AdmissionView): string =>
  shortWords(`waits for the container engine: ${message}`);

function begunText({ name, counters, spec }: Execution, view: AdmissionView): string | null {
  if (counters.running === 0) return null;
  const begun = view.begun(name);
  if (begun.size < counters.running) return null;
  const first = Math.min(...begun.keys());
  const words = keptText(begun.get(first), view);
  return spec.taskCount === 1 ? words : `task ${first} ${words}`;
}

/** While the engine is away nothing else counts. */
function keptText(words: string | undefined, view: AdmissionView): string | null {
  if (words === undefined) return null;
  return view.ready ? words : engineText(view);
}

function roomText({ name, spec }: Execution, view: AdmissionView): string | null {
  const { host, settings, free, reserved, runningTasks, maxRunningTasks } = view;
  const need = needOf(spec);
  const unfit = host === null ? null : neverFits(need, host, settings);
  if (unfit !== null) return shortWords(`does not fit: ${unfit}`);
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
  if (isTerminal(task.state) || isTerminal(execution.state)) return null;
  if (task.state !== 'PENDING') return keptText(view.begun(execution.name).get(task.index), view);
  if (task.notBefore !== null && task.notBefore > now)
    return `waits for its next attempt until ${new Date(task.notBefore).toISOString()}`;
  const { parallelism } = execution.spec;
  const { running } = execution.counters;
  if (parallelism > 0 && running >= parallelism)
    return `waits for another task of its execution to end: parallelism ${parallelism}`;
  // Its next attempt is due, and nobody has looked yet.
  return nextText(execution, view) ?? gatewayText(view);
}

function givenOut({ host, settings }: AdmissionView): Capacity {
  return capacityOf(host ?? { cpus: 0, memoryBytes: 0 }, settings);
}
