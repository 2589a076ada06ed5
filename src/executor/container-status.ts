import type { ContainerStatus, PreparedImage } from '../core/runner.ts';

type StartedStatus = Extract<ContainerStatus, { state: 'running' | 'exited' }>;

export function hasStarted(status: ContainerStatus): status is StartedStatus {
  return status.state === 'running' || status.state === 'exited';
}

/** Whoever started it did not get to store what it runs: the engine knows. */
export function adoptedImage({ imageDigest }: StartedStatus): PreparedImage | null {
  return imageDigest === undefined ? null : { digest: imageDigest, repoDigest: null, pulledBytes: null };
}
