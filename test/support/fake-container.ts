import type { LogStream, LogWriter } from '../../src/core/log-sink.ts';
import type { ContainerSpec, ContainerStatus, Exit } from '../../src/core/runner.ts';
import { deferred } from '../../src/lib/deferred.ts';
import type { Deferred } from '../../src/lib/deferred.ts';

interface Text<T = string | (() => string)> {
  readonly stream?: LogStream;
  /** A function is asked when it is put out. */
  readonly text: T;
}

/** What a container does after its start; times in ms after it. Without `exitAt` it runs until it is told to end. */
export interface Script {
  readonly output?: readonly (Text & { readonly at?: number })[];
  readonly exitAt?: number;
  readonly exit?: Partial<Exit>;
  /** What SIGTERM does: an exit code after a delay; null = it is ignored. Default: 143 at once. */
  readonly onTerm?: {
    readonly code: number;
    readonly afterMs: number;
    readonly output?: readonly Text<string>[];
  } | null;
  /** It cannot be started: the engine's words. */
  readonly startError?: string;
  /** Survives SIGKILL too, as a process in an uninterruptible wait does. */
  readonly unkillable?: boolean;
  /** What it leaves: content by absolute path. */
  readonly leaves?: Readonly<Record<string, string | Uint8Array>>;
}

/** One of the fake engine's. */
export interface Container {
  /** Somebody else's, without our labels: only its name is known. */
  readonly foreign: boolean;
  readonly spec: ContainerSpec;
  readonly script: Script;
  readonly createTime: number;
  readonly output: { stream: LogStream; data: Buffer }[];
  status: ContainerStatus;
  /** Settles at the exit. */
  readonly ended: Deferred<void>;
  attached: Attachment | undefined;
  timers: (() => void)[];
}
export interface Attachment {
  readonly log: LogWriter;
  readonly captured: Deferred<boolean>;
  /** Writes in order. */
  last: Promise<void>;
  broken: boolean;
}

export function newContainer(
  spec: ContainerSpec,
  script: Script,
  createTime: number,
  foreign: boolean,
): Container {
  return {
    foreign,
    spec,
    script,
    createTime,
    output: [],
    status: { state: 'created' },
    ended: deferred(),
    attached: undefined,
    timers: [],
  };
}
