import type { JobSpec } from './job.ts';
import { sizeText } from '../lib/size.ts';

/**
 * Which task may start on the engine's host. Memory is strict: the limits of all open attempts together stay below
 * what the host has, less a reserve. Cores are given out several times over, as most tasks use little of theirs.
 *
 * Who is served: executions in the order of the store. The first in line that does not fit is what is waited for:
 * the attempts that run are over by their timeouts, so there is a time by which it fits. Until it has started, what
 * comes after it goes ahead only where that does not put this time off: where it is over by then, or fits beside it.
 * So a large task is not starved by small ones, and small ones do not stand still for days behind a large one.
 *
 * | what may happen                   | then                                                                      |
 * |-----------------------------------|---------------------------------------------------------------------------|
 * | it is cancelled, or ends itself   | it is in no line any more: the next that does not fit is waited for       |
 * | an attempt ends before its time   | more is free; the time is only ever brought forward                       |
 * | an attempt lasts beyond its time  | only what fits beside it goes ahead until it has started                  |
 * | the gateway ends                  | the next one finds the first in line anew; open attempts are charged again|
 */

/** What a task takes of the host. */
export interface Need {
  readonly memoryBytes: number;
  /** Thousandths of a core. */
  readonly cpuMillis: number;
  /** It is over after this time at the latest, counted from its start: timeout and grace. */
  readonly timeMs: number;
}
/** What an open attempt holds, and until when at the latest (epoch ms). */
export interface Charge {
  readonly memoryBytes: number;
  readonly cpuMillis: number;
  readonly endBy: number;
}
/** As the engine tells; 0 = it does not tell. */
export interface Host {
  readonly cpus: number;
  readonly memoryBytes: number;
}
export interface AdmissionSettings {
  /** So many times the host's cores may be given out. */
  readonly cpuOvercommit: number;
  /** Of the host's memory, for all else that runs there. */
  readonly memoryReserveBytes: number;
}
export const ADMISSION_DEFAULTS: AdmissionSettings = {
  cpuOvercommit: 8,
  memoryReserveBytes: 256 * 1024 * 1024,
};
/** What there is to give out in all. */
export interface Capacity {
  readonly memoryBytes: number;
  readonly cpuMillis: number;
}
/** The execution that is waited for, and the time (epoch ms) by which it fits. */
export interface Reservation {
  readonly execution: string;
  readonly by: number;
}

/** Between a claim and the start of its container, as a rule. */
const START_MS = 60_000;

export function needOf({ memoryBytes, cpu, timeoutMs, gracePeriodMs }: JobSpec): Need {
  const cpuMillis = Math.round(cpu * 1000);
  return { memoryBytes: Math.ceil(memoryBytes), cpuMillis, timeMs: timeoutMs + gracePeriodMs };
}

/** `deadline`: null while its container has not started. */
export function chargeOf(
  attempt: { readonly createTime: number; readonly deadline: number | null },
  spec: JobSpec,
): Charge {
  const { memoryBytes, cpuMillis, timeMs } = needOf(spec);
  const { createTime, deadline } = attempt;
  const endBy = deadline === null ? createTime + START_MS + timeMs : deadline + spec.gracePeriodMs;
  return { memoryBytes, cpuMillis, endBy };
}

export function capacityOf({ cpus, memoryBytes }: Host, settings: AdmissionSettings): Capacity {
  return {
    memoryBytes: memoryBytes > 0 ? Math.max(0, memoryBytes - settings.memoryReserveBytes) : Infinity,
    cpuMillis: cpus > 0 ? Math.round(cpus * settings.cpuOvercommit * 1000) : Infinity,
  };
}

/** Why a task of this size can never run on the host, in plain words; null where it can. */
export function neverFits(need: Need, host: Host, settings: AdmissionSettings): string | null {
  const { memoryBytes, cpuMillis } = capacityOf(host, settings);
  if (need.memoryBytes > memoryBytes) {
    const kept = `${sizeText(settings.memoryReserveBytes)} of them are kept free (server.admission.memoryReserve)`;
    return `A task needs ${sizeText(need.memoryBytes)} of memory, and the host of the container engine has ${sizeText(host.memoryBytes)}; ${kept}. Lower "memory" of the job, or use a larger host.`;
  }
  // One task is never given more cores than there are; the engine refuses that.
  const most = host.cpus > 0 ? Math.min(host.cpus * 1000, cpuMillis) : Infinity;
  if (need.cpuMillis <= most) return null;
  return `A task needs ${coresText(need.cpuMillis)}, and the host of the container engine has ${coresText(most)}. Lower "cpu" of the job, or use a larger host.`;
}

/** `1 core`, `2.5 cores`. */
export function coresText(millis: number): string {
  const cores = Math.round(millis / 10) / 100;
  return cores === 1 ? '1 core' : `${cores} cores`;
}

/** What is free on the host, in the middle of handing it out. */
export class Ledger {
  readonly #now: number;
  readonly #charges: Charge[];
  #memory: number;
  #cpu: number;
  /** What is free beside the one that is waited for, at the time by which it fits. */
  #held: { readonly by: number; memory: number; cpu: number } | null = null;

  constructor(capacity: Capacity, charges: readonly Charge[], now: number) {
    this.#now = now;
    this.#charges = [...charges];
    this.#memory = capacity.memoryBytes;
    this.#cpu = capacity.cpuMillis;
    for (const { memoryBytes, cpuMillis } of charges) {
      this.#memory -= memoryBytes;
      this.#cpu -= cpuMillis;
    }
  }

  /** Never below 0, also where a setting was lowered under what runs. */
  get free(): Capacity {
    return { memoryBytes: Math.max(0, this.#memory), cpuMillis: Math.max(0, this.#cpu) };
  }

  get holds(): boolean {
    return this.#held !== null;
  }

  fits({ memoryBytes, cpuMillis }: Need): boolean {
    return memoryBytes <= this.#memory && cpuMillis <= this.#cpu;
  }

  /** Whether it fits, and does not put off what is waited for. */
  admits(need: Need): boolean {
    return this.fits(need) && (this.#held === null || this.#overBy(need) || this.#fitsBeside(need));
  }

  charge(need: Need): void {
    const { memoryBytes, cpuMillis } = need;
    this.#memory -= memoryBytes;
    this.#cpu -= cpuMillis;
    this.#charges.push({ memoryBytes, cpuMillis, endBy: this.#endBy(need) });
    if (this.#held === null || this.#overBy(need)) return;
    this.#held.memory -= memoryBytes;
    this.#held.cpu -= cpuMillis;
  }

  /**
   * From now on this is waited for, which does not fit. Gives the time by which it does, no later than `by`, which an
   * earlier look has given.
   */
  hold(need: Need, by = Infinity): number {
    let memory = this.#memory;
    let cpu = this.#cpu;
    let time = this.#now;
    for (const charge of this.#charges.toSorted((a, b) => a.endBy - b.endBy)) {
      if (need.memoryBytes <= memory && need.cpuMillis <= cpu) break;
      memory += charge.memoryBytes;
      cpu += charge.cpuMillis;
      time = Math.max(time, charge.endBy);
    }
    const held = { by: Math.min(by, time), memory: memory - need.memoryBytes, cpu: cpu - need.cpuMillis };
    this.#held = held;
    return held.by;
  }

  #endBy({ timeMs }: Need): number {
    return this.#now + START_MS + timeMs;
  }
  #overBy(need: Need): boolean {
    return this.#held !== null && this.#endBy(need) <= this.#held.by;
  }
  #fitsBeside({ memoryBytes, cpuMillis }: Need): boolean {
    return this.#held !== null && memoryBytes <= this.#held.memory && cpuMillis <= this.#held.cpu;
  }
}
