import { randomBytes } from 'node:crypto';
import { containerName } from '../../src/core/execution.ts';
import { MIB } from '../../src/core/job.ts';
import type { ContainerSpec } from '../../src/core/runner.ts';

/** A spec with a key of its own that runs a shell script. */
export function scriptSpec(
  base: { readonly instance: string; readonly image: string; readonly digest: string },
  script: string,
  more: Partial<ContainerSpec> = {},
): ContainerSpec {
  const key = { execution: `job-${randomBytes(5).toString('hex')}`, index: 2, attempt: 1 };
  return {
    name: containerName(base.instance, key),
    key,
    job: 'job',
    epoch: 4,
    image: base.image,
    digest: base.digest,
    command: ['sh', '-c', script],
    env: {},
    cpu: 1,
    memoryBytes: 64 * MIB,
    gracePeriodMs: 10_000,
    binds: [],
    ...more,
  };
}
