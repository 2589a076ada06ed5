import { expect, it } from 'vitest';
import { measuredText, secondsText, usageText } from '../../src/lib/usage-text.ts';
import type { UsageNumbers } from '../../src/lib/usage-text.ts';

const MIB = 1024 ** 2;
const one: UsageNumbers = {
  wallSeconds: 12.4,
  cpuSeconds: 0.351,
  peakMemoryBytes: 100 * MIB,
  vcpuSeconds: 12.4,
  gibSeconds: 6.2,
  pulledBytes: 0,
};

it.each([
  ['everything', one, 'ran 12.4 s, cpu 0.35 s, peak memory 100 MiB, 12.4 vCPU-s, 6.2 GiB-s'],
  [
    'a short run',
    { ...one, wallSeconds: 0.7, cpuSeconds: null, peakMemoryBytes: null, vcpuSeconds: 0.7, gibSeconds: 0.35 },
    'ran 0.7 s, cpu and memory not measured, 0.7 vCPU-s, 0.35 GiB-s',
  ],
  [
    'an engine that does not tell memory',
    { ...one, peakMemoryBytes: null },
    'ran 12.4 s, cpu 0.35 s, memory not measured, 12.4 vCPU-s, 6.2 GiB-s',
  ],
  [
    'a container that is gone',
    { ...one, wallSeconds: null, vcpuSeconds: null, gibSeconds: null },
    'time not known, cpu 0.35 s, peak memory 100 MiB',
  ],
  [
    'sums that lack some',
    {
      ...one,
      attempts: 3,
      unknown: { wall: 1, cpu: 2, peakMemory: 2 },
      pulledBytes: 3 * MIB,
      loggedBytes: 2048,
    },
    'ran 12.4 s (not known of 1 of 3 attempts), cpu 0.35 s (not known of 2 of 3 attempts), peak memory 100 MiB (not known of 2 of 3 attempts), 12.4 vCPU-s, 6.2 GiB-s, pulled 3 MiB, wrote 2 KiB',
  ],
])('tells people of %s', (_, usage, text) => {
  expect(usageText(usage)).toBe(text);
});

it('tells what was measured so far', () => {
  expect(measuredText(one)).toBe('cpu 0.35 s, peak memory 100 MiB');
  expect(measuredText({ ...one, cpuSeconds: null })).toBe('cpu not measured, peak memory 100 MiB');
});

it.each([
  [0, '0 s'],
  [0.004, '0 s'],
  [59.94, '59.9 s'],
  [60, '1m'],
  [125.4, '2m5s'],
  [7200, '2h'],
])('%d s is written %s', (seconds, text) => {
  expect(secondsText(seconds)).toBe(text);
});
