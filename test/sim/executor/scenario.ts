import { triggerOrigin } from '../../../src/core/event.ts';
import type { CloudEvent } from '../../../src/core/event.ts';
import type { JobSpec } from '../../../src/core/job.ts';
import type { RoutedJob } from '../../../src/routing/decide-event.ts';
import { byName, job, trigger } from '../../support/definitions.ts';
import type { Script } from '../../support/fake-runner.ts';
import { SeededRandom } from '../seeded-random.ts';

const GIB = 1024 ** 3;
/** After the reserve there is room for three tasks of one GiB, or the large one. */
export const HOST = { cpus: 4, memoryBytes: 3.5 * GIB };
export const MEMORY_RESERVE = 256 * 1024 ** 2;
export const TIMEOUT_MS = 15_000;

/** What no row, log line or output may ever hold. */
export const SECRETS = { TOKEN: 'hunter2-token-of-the-job', INPUT: 'swordfish-in-a-file' } as const;
export const INPUT_TEXT = 'what the object store has for everyone';
export const INPUT_PLACE = 'in/data.txt';
/** Where the files of a container that ended well are to be, and what is in them. */
export const outputPlace = (containerName: string): string => `out/${containerName}.txt`;
export const outputText = (containerName: string): string => `what ${containerName} has made`;

const SMALL: Partial<JobSpec> = {
  memoryBytes: GIB,
  timeoutMs: TIMEOUT_MS,
  gracePeriodMs: 3_000,
  maxRetries: 1,
};
const PAUSES = { factor: 2, maxMs: 8_000 };

/** One for each rule that an execution can have; a trigger of the same name starts it. */
const SPECS: Readonly<Record<string, Partial<JobSpec>>> = {
  plain: { taskCount: 3, parallelism: 2 },
  constant: {
    taskCount: 2,
    maxRetries: 3,
    retry: { backoff: 'constant', initialMs: 3_000, jitter: 'none', ...PAUSES },
  },
  jitter: {
    taskCount: 2,
    parallelism: 0,
    maxRetries: 3,
    retry: { backoff: 'exponential', initialMs: 2_000, jitter: 'full', notOnExitCodes: [7], ...PAUSES },
  },
  halting: { taskCount: 5, parallelism: 2, maxRetries: 0, maxFailedTasks: 1 },
  hurried: { taskCount: 4, deadlineMs: 25_000 },
  turns: { taskCount: 2, parallelism: 2, maxConcurrentExecutions: 1 },
  large: { memoryBytes: 3 * GIB, cpu: 2 },
  never: { memoryBytes: 64 * GIB },
  staged: {
    taskCount: 2,
    parallelism: 2,
    env: { TOKEN: { env: 'TOKEN' } },
    inputs: [
      { from: `s3://store/${INPUT_PLACE}`, to: '/in/data.txt' },
      { from: { env: 'INPUT' }, to: '/in/secret' },
    ],
    outputs: [{ from: '/out/', to: 's3://store/out/' }],
  },
};
export const JOBS: ReadonlyMap<string, RoutedJob> = byName(
  ...Object.entries(SPECS).map(([name, spec]) => job(name, { ...SMALL, image: `${name}:1`, ...spec })),
);
export const JOB_NAMES = [...JOBS.keys()];
export const IMAGES = JOB_NAMES.map((name) => `${name}:1`);
export const TRIGGERS = byName(...JOB_NAMES.map((name) => trigger({ name, job: name })));
export const originOf = triggerOrigin;

export function messageEvent(n: number): CloudEvent {
  const time = '2026-01-01T00:00:00Z';
  return {
    specversion: '1.0',
    id: `message-${n}`,
    source: '/sender',
    type: 'sim.message',
    time,
    data: { n },
  };
}

/** What a container does by its name alone: whoever starts it, and the oracle, know it. */
export interface Plan {
  readonly durationMs: number;
  /** null = killed for its memory. */
  readonly exitCode: number | null;
  /** The kernel killed one of its processes, which it outlived. */
  readonly childKilled: boolean;
  readonly lines: readonly string[];
  readonly script: Script;
}

export function planOf(containerName: string, seed: number): Plan {
  const random = new SeededRandom(hash(containerName) ^ seed);
  // One in twelve hangs.
  const durationMs = random.chance(0.08) ? 3_600_000 : random.between(300, 6_000);
  const memory = random.weighted({ enough: 90, main: 5, child: 5 });
  const code = memory === 'child' ? 0 : Number(random.weighted({ 0: 70, 3: 20, 7: 10 }));
  const lines = [`${containerName} begins\n`, `${containerName} ends`];
  const ignores = random.chance(0.2);
  return {
    durationMs,
    exitCode: memory === 'main' ? null : code,
    childKilled: memory === 'child',
    lines,
    script: {
      leaves: { [`/${outputPlace(containerName)}`]: outputText(containerName) },
      output: lines.map((text, i) => ({ at: i === 0 ? 100 : durationMs - 100, text })),
      exitAt: durationMs,
      exit:
        memory === 'main'
          ? { exitCode: 137, signal: 'SIGKILL', oomKilled: true }
          : { exitCode: code, oomKilled: memory === 'child' },
      onTerm: ignores ? null : { code: 143, afterMs: random.between(0, 1_000) },
    },
  };
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
