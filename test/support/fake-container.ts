import type { LogStream, LogWriter } from '../../src/core/log-sink.ts';
import type { ContainerSpec, ContainerStatus, Exit } from '../../src/core/runner.ts';
import { deferred } from '../../src/lib/deferred.ts';
import type { Deferred } from '../../src/lib/deferred.ts';

/** What a container does after its start; times in ms after it. Without `exitAt` it runs until it is told to end. */
export interface Script {
  readonly output?: readonly { readonly at?: number; readonly stream?: LogStream; readonly text: string }[];
  readonly exitAt?: number;
  readonly exit?: Partial<Exit>;
  /** What SIGTERM does: an exit code after a delay; null = it is ignored. Default: 143 at once. */
  readonly onTerm?: { readonly code: number; readonly afterMs: number } | null;
  /** Survives SIGKILL too, as a process in an uninterruptible wait does. */
  readonly unkillable?: boolean;
  /** What it leaves: content by absolute path. */
  readonly leaves?: Readonly<Record<string, string | Uint8Array>>;
}

/** One of the fake engine's. */
export interface Container {
  readonly spec: ContainerSpec;
  readonly script: Script;
  readonly createTime: number;
  readonly output: { stream: LogStream; data: Buffer }[];
  status: ContainerStatus;
  /** Settles at the exit. */
  readonly ended: Deferred<void>;
  attached: Attachment | undefined;
  timers: (() => void)[];
  starts: number;
}
export interface Attachment {
  readonly log: LogWriter;
  readonly captured: Deferred<boolean>;
  /** Writes in order. */
  last: Promise<void>;
  broken: boolean;
}

export function newContainer(spec: ContainerSpec, script: Script, createTime: number): Container {
  return {
    spec,
    script,
    createTime,
    output: [],
    status: { state: 'created' },
    ended: deferred(),
    attached: undefined,
    timers: [],
    starts: 0,
  };
}
