import { sizeText } from './size.ts';

/** Numbers of an attempt or an execution; null = not known. */
export interface UsageNumbers {
  readonly wallSeconds: number | null;
  readonly cpuSeconds: number | null;
  readonly peakMemoryBytes: number | null;
  readonly vcpuSeconds: number | null;
  readonly gibSeconds: number | null;
  readonly pulledBytes: number | null;
  readonly loggedBytes?: number;
  /** Of sums over several attempts: how many there are, and of how many each is missing. */
  readonly attempts?: number;
  readonly unknown?: { readonly wall: number; readonly cpu: number; readonly peakMemory: number };
}

/**
 * For people: `ran 12.4 s, cpu 6.2 s, peak memory 100 MiB, 12.4 vCPU-s, 6.2 GiB-s`. What is not known is said to be so:
 * a short run ends before it can be measured.
 */
export function usageText(usage: UsageNumbers): string {
  const { wallSeconds, vcpuSeconds, gibSeconds, pulledBytes, loggedBytes } = usage;
  const wall = usage.unknown?.wall ?? 0;
  const parts = [
    wallSeconds === null ? 'time not known' : `ran ${secondsText(wallSeconds)}${missing(usage, wall)}`,
    measuredText(usage),
    vcpuSeconds === null ? '' : `${shortNumber(vcpuSeconds)} vCPU-s`,
    gibSeconds === null ? '' : `${shortNumber(gibSeconds)} GiB-s`,
    (pulledBytes ?? 0) === 0 ? '' : `pulled ${sizeText(pulledBytes ?? 0)}`,
    (loggedBytes ?? 0) === 0 ? '' : `wrote ${sizeText(loggedBytes ?? 0)}`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}

/** What was measured while it ran: `cpu 6.2 s, peak memory 100 MiB`. */
export function measuredText(usage: UsageNumbers): string {
  const { cpuSeconds: cpu, peakMemoryBytes: memory, unknown } = usage;
  if (cpu === null && memory === null) return 'cpu and memory not measured';
  const cpuText =
    cpu === null ? 'cpu not measured' : `cpu ${secondsText(cpu)}${missing(usage, unknown?.cpu ?? 0)}`;
  const memoryText =
    memory === null
      ? 'memory not measured'
      : `peak memory ${sizeText(memory)}${missing(usage, unknown?.peakMemory ?? 0)}`;
  return `${cpuText}, ${memoryText}`;
}

function missing({ attempts = 0 }: UsageNumbers, count: number): string {
  return count === 0 ? '' : ` (not known of ${count} of ${attempts} attempts)`;
}

/** `0.35 s`, `12.4 s`, `2m5s`. */
export function secondsText(seconds: number): string {
  if (seconds < 60) return `${shortNumber(seconds)} s`;
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / 3600), 'h'],
    [Math.floor((whole % 3600) / 60), 'm'],
    [whole % 60, 's'],
  ] as const;
  return parts.map(([count, unit]) => (count === 0 ? '' : `${count}${unit}`)).join('');
}

/** In three digits, and never as a power. */
function shortNumber(value: number): string {
  if (value >= 100) return String(Math.round(value));
  return String(Number(value.toFixed(value < 1 ? 2 : 1)));
}
