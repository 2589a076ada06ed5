import type { JobSpec } from './job.ts';

/** What one look at a running container told. null = the engine does not tell. */
export interface Measurement {
  /** When, in epoch ms by the engine's clock. */
  readonly time: number;
  /** CPU time of all its processes since its start. */
  readonly cpuMs: number | null;
  /** Memory in use, without file cache that the kernel gives back at once when memory is wanted. */
  readonly memoryBytes: number | null;
}

/** What one attempt used. null = not known: never a guess. */
export interface AttemptUsage {
  /** From the start of its container to its end, by the engine's clock; null while it runs. */
  readonly wallMs: number | null;
  /** CPU time of all its processes at `measureTime`: what they used after it is not in it. */
  readonly cpuMs: number | null;
  /** The highest that was measured, or the limit where the kernel killed for memory. */
  readonly peakMemoryBytes: number | null;
  /** When it was last measured, in epoch ms by the engine's clock. */
  readonly measureTime: number | null;
  /** What came from a registry for it; 0 where its image was there. */
  readonly pulledBytes: number | null;
}

/** What the attempts of one execution used that ran and have ended. */
export interface ExecutionUsage {
  readonly attempts: number;
  /** Sums over the attempts of which it is known. */
  readonly wallMs: number;
  readonly cpuMs: number;
  /** The highest of any of them; null where it is known of none. */
  readonly peakMemoryBytes: number | null;
  readonly logBytes: number;
  readonly pulledBytes: number;
  /** Of how many of them it is not known. */
  readonly unknown: { readonly wall: number; readonly cpu: number; readonly peakMemory: number };
}

export const NO_USAGE: ExecutionUsage = {
  attempts: 0,
  wallMs: 0,
  cpuMs: 0,
  peakMemoryBytes: null,
  logBytes: 0,
  pulledBytes: 0,
  unknown: { wall: 0, cpu: 0, peakMemory: 0 },
};

/**
 * Cloud Run's units: what was reserved, times how long, whether it was used or not. Not rounded up to its least charge
 * of a minute: nobody is charged here.
 */
export function reserved(
  { cpu, memoryBytes }: Pick<JobSpec, 'cpu' | 'memoryBytes'>,
  wallMs: number,
): { readonly vcpuSeconds: number; readonly gibSeconds: number } {
  const seconds = wallMs / 1000;
  return { vcpuSeconds: cpu * seconds, gibSeconds: (memoryBytes / GIB) * seconds };
}

const GIB = 1024 ** 3;
