import { posix } from 'node:path';
import type { AttemptKey } from '../../core/execution.ts';
import type { Bind } from '../../core/job.ts';
import type { ContainerSpec } from '../../core/runner.ts';

export const LABELS = {
  instance: 'dev.tappet.instance',
  execution: 'dev.tappet.execution',
  job: 'dev.tappet.job',
  taskIndex: 'dev.tappet.task-index',
  attempt: 'dev.tappet.attempt',
  epoch: 'dev.tappet.epoch',
} as const;

/** What of the engine shapes a container. */
export interface EngineTraits {
  readonly kind: 'docker' | 'podman';
  /** `docker-init` is there, so that PID 1 forwards signals and reaps. */
  readonly hasInit: boolean;
}

/**
 * Taken from what the engine grants by default. NET_RAW forges packets of neighbours on the same bridge; MKNOD and
 * AUDIT_WRITE serve no job. `ping` works without: the engine opens `ping_group_range`.
 */
const DROPPED_CAPABILITIES = ['NET_RAW', 'MKNOD', 'AUDIT_WRITE'];
const PIDS_LIMIT = 512;
/** Jobs go before the gateway and the engine (-500) when the host runs out of memory. */
const OOM_SCORE_ADJ = 500;
/** Only the bridge over a restart of the gateway, not the store; uncompressed, so that a resume reads it fast. */
const DOCKER_LOG = { Type: 'local', Config: { 'max-size': '20m', 'max-file': '5', compress: 'false' } };
/** Podman has no `local`; its own format keeps bytes exactly too. */
const PODMAN_LOG = { Type: 'k8s-file', Config: {} };

/** The labels that identify a container; `epoch` is which owner of the engine made it, and may be an older one. */
export function labelsOf(instance: string, spec: ContainerSpec): Record<string, string> {
  return {
    [LABELS.instance]: instance,
    [LABELS.execution]: spec.key.execution,
    [LABELS.job]: spec.job,
    [LABELS.taskIndex]: String(spec.key.index),
    [LABELS.attempt]: String(spec.key.attempt),
    [LABELS.epoch]: String(spec.epoch),
  };
}

/** Which identifying label differs from what `spec` would get; null = it is the same attempt's container. */
export function strangeLabel(
  instance: string,
  spec: ContainerSpec,
  found: Readonly<Record<string, string | undefined>>,
): string | null {
  const wanted = labelsOf(instance, spec);
  const differs = Object.keys(wanted).find(
    (label) => label !== LABELS.epoch && found[label] !== wanted[label],
  );
  return differs ?? null;
}

/** The attempt and epoch that a container's labels name; null where they are not complete. */
export function readLabels(
  labels: Readonly<Record<string, string | undefined>>,
): { key: AttemptKey; epoch: number } | null {
  const execution = labels[LABELS.execution];
  const index = wholeNumber(labels[LABELS.taskIndex]);
  const attempt = wholeNumber(labels[LABELS.attempt]);
  const epoch = wholeNumber(labels[LABELS.epoch]);
  if (execution === undefined || index === null || attempt === null || epoch === null) return null;
  return { key: { execution, index, attempt }, epoch };
}

function wholeNumber(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/**
 * The body of the engine's create call: profile `standard` (writable root, the image's user, our own bridge). Nothing
 * in a spec reaches `Privileged`, devices, host namespaces or added capabilities.
 */
export function createBody(
  instance: string,
  network: string,
  spec: ContainerSpec,
  traits: EngineTraits,
): object {
  return {
    Image: spec.digest,
    ...(spec.command === undefined ? {} : { Entrypoint: spec.command }),
    ...(spec.args === undefined ? {} : { Cmd: spec.args }),
    ...(spec.workingDir === undefined ? {} : { WorkingDir: spec.workingDir }),
    ...(spec.user === undefined ? {} : { User: spec.user }),
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    Labels: labelsOf(instance, spec),
    Tty: false,
    OpenStdin: false,
    StopSignal: 'SIGTERM',
    StopTimeout: graceSeconds(spec.gracePeriodMs),
    // An image's health check would run inside every task for nobody.
    Healthcheck: { Test: ['NONE'] },
    HostConfig: hostConfig(network, spec, traits),
  };
}

/** The engine counts the grace in whole seconds; rounded up, so that no task gets less than it was promised. */
export function graceSeconds(graceMs: number): number {
  return Math.ceil(graceMs / 1000);
}

function hostConfig(network: string, spec: ContainerSpec, traits: EngineTraits): object {
  return {
    NetworkMode: network,
    Init: traits.hasInit,
    AutoRemove: false,
    RestartPolicy: { Name: 'no' },
    Privileged: false,
    SecurityOpt: ['no-new-privileges'],
    CapDrop: DROPPED_CAPABILITIES,
    IpcMode: 'private',
    PidsLimit: PIDS_LIMIT,
    Memory: spec.memoryBytes,
    // Equal to Memory = no swap: a limit that swaps is a slow machine instead of a clear end.
    MemorySwap: spec.memoryBytes,
    NanoCpus: Math.round(spec.cpu * 1e9),
    OomScoreAdj: OOM_SCORE_ADJ,
    LogConfig: traits.kind === 'podman' ? PODMAN_LOG : DOCKER_LOG,
    // Mounts, not Binds: a missing host folder is an error here, not a new folder that root owns.
    Mounts: spec.binds.map(({ from, to, readOnly }) => ({
      Type: 'bind',
      Source: from,
      Target: to,
      ReadOnly: readOnly,
    })),
  };
}

/** Sockets by which whoever holds one is root on the host. */
const ENGINE_SOCKETS = [
  '/var/run/docker.sock',
  '/run/docker.sock',
  '/run/containerd/containerd.sock',
  '/run/podman/podman.sock',
];

/**
 * Why these binds may not be made, or null: the engine's socket, or a folder that holds it, is root on the host.
 * `sockets` are more paths of the engine in use. The caller passes `from` with symbolic links resolved.
 */
export function refusedBind(binds: readonly Bind[], sockets: readonly string[]): string | null {
  for (const { from } of binds) {
    const folder = posix.normalize(from).replace(/\/$/, '');
    const socket = [...sockets, ...ENGINE_SOCKETS].find(
      (path) => path === folder || path.startsWith(`${folder}/`),
    );
    if (socket !== undefined) {
      return `The folder ${from} may not be mounted: it gives access to the container engine's socket ${socket}, and with it to the whole host.`;
    }
  }
  return null;
}
