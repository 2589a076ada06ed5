import type { AttemptUsageResource, ExecutionUsageResource } from '../core/api.ts';
import type { JobSpec } from '../core/job.ts';
import { reserved } from '../core/usage.ts';
import type { AttemptUsage, ExecutionUsage } from '../core/usage.ts';

/** What attempts and executions used, as the API shows it. Pure. */

type Reserved = Pick<JobSpec, 'cpu' | 'memoryBytes'>;

export function attemptUsageResource(usage: AttemptUsage, spec: Reserved): AttemptUsageResource {
  const { wallMs, cpuMs, peakMemoryBytes, measureTime, pulledBytes } = usage;
  return {
    wallSeconds: seconds(wallMs),
    cpuSeconds: seconds(cpuMs),
    peakMemoryBytes,
    measureTime: measureTime === null ? null : new Date(measureTime).toISOString(),
    ...units(spec, wallMs),
    pulledBytes,
  };
}

export function executionUsageResource(usage: ExecutionUsage, spec: Reserved): ExecutionUsageResource {
  const { attempts, unknown, peakMemoryBytes, logBytes, pulledBytes } = usage;
  // A sum of nothing known is not known, unless there was nothing.
  const known = (sum: number, missing: number): number | null =>
    missing > 0 && missing === attempts ? null : sum;
  const wallMs = known(usage.wallMs, unknown.wall);
  return {
    attempts,
    wallSeconds: seconds(wallMs),
    cpuSeconds: seconds(known(usage.cpuMs, unknown.cpu)),
    peakMemoryBytes,
    ...units(spec, wallMs),
    loggedBytes: logBytes,
    pulledBytes,
    unknown,
  };
}

function units(
  spec: Reserved,
  wallMs: number | null,
): { readonly vcpuSeconds: number | null; readonly gibSeconds: number | null } {
  if (wallMs === null) return { vcpuSeconds: null, gibSeconds: null };
  const { vcpuSeconds, gibSeconds } = reserved(spec, wallMs);
  return { vcpuSeconds: thousandths(vcpuSeconds), gibSeconds: thousandths(gibSeconds) };
}

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000);
const thousandths = (value: number): number => Math.round(value * 1000) / 1000;
