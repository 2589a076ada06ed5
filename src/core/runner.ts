import type { AttemptKey, PinnedImage } from './execution.ts';
import type { Bind, PullPolicy } from './job.ts';
import type { LogWriter } from './log-sink.ts';
import type { Measurement } from './usage.ts';

/**
 * The port to what runs a container. `inspect` is the truth; log streams and hints are hints. Every call has a
 * deadline of its own and ends with ENGINE_UNAVAILABLE when the engine does not answer; none hangs. An engine that
 * answers, but not with what was asked for, gives ENGINE_REFUSED: it says nothing about other containers.
 * Calls are idempotent by the container's deterministic name.
 */
export interface Runner {
  /** The name of the engine in the store. */
  readonly engine: string;
  /** Errors: ENGINE_UNAVAILABLE. */
  capabilities(): Promise<Capabilities>;
  /**
   * The image is there afterwards, pulled where the policy wants it (one pull per image at a time, within the settings
   * `server.pulls`). Errors: IMAGE_NOT_FOUND, IMAGE_UNAUTHORIZED, IMAGE_PULL_FAILED, IMAGE_RATE_LIMITED,
   * IMAGE_DISK_FULL, SECRET_UNREADABLE (the registry's account), ENGINE_UNAVAILABLE, ENGINE_REFUSED.
   */
  prepare(image: string, options?: PrepareOptions): Promise<PreparedImage>;
  /** The pulls that are under way, oldest first. */
  pulls(): readonly PullProgress[];
  /**
   * Removes an image that was pulled as `name`, unless a container (running or not), another image or another name
   * needs it: `kept`. Never by force. Errors: ENGINE_UNAVAILABLE, ENGINE_REFUSED.
   */
  removeImage(digest: string, name: string): Promise<'removed' | 'kept' | 'missing'>;
  /**
   * Creates or adopts the container, puts `files` into it, attaches `log` before the start, starts. What runs or has
   * ended already is only reported (`adopted`: the caller then resumes the log by `logs`); one that never started gets
   * its files again. `mayAct` is called right before each call that creates or starts, and throws where this process
   * may no longer: it may have slept for a minute in between. `signal` ends the putting of files, nothing else.
   * Errors: what `files` throws, or OBJECT_STORE_UNAVAILABLE where they give nothing for long, CONTAINER_START_FAILED
   * (what this call created is removed after all of these), CONTAINER_CONFLICT (the name is a stranger's),
   * IMAGE_NOT_FOUND (removed since `prepare`), ENGINE_UNAVAILABLE and ENGINE_REFUSED. Where an earlier call was made, and
   * after the last two, the container may run whatever is said here: `inspect` tells.
   */
  ensure(spec: ContainerSpec, log: LogWriter, options?: EnsureOptions): Promise<Ensured>;
  /**
   * What stands at `path` in an ended container: a file, or the files of a folder and those below it, streamed in turn
   * (each body is to be read before the next is asked for). Empty where there is nothing. Symbolic links are not
   * followed out of `path`; what is neither file nor folder is left out. Errors: ENGINE_UNAVAILABLE, ENGINE_REFUSED,
   * INVALID_ARGUMENT (a name that is not UTF-8).
   */
  outputs(name: string, path: string, signal?: AbortSignal): AsyncIterable<OutputFile>;
  /**
   * Reads the container's output from `log.cursor()` on into `log`, until the container has ended and its last
   * byte was read, or `signal` aborts. Lossless as long as the engine still has the bytes.
   * Errors: ENGINE_UNAVAILABLE.
   */
  logs(name: string, log: LogWriter, signal: AbortSignal): Promise<void>;
  /** `missing` also where the name is a stranger's. Errors: ENGINE_UNAVAILABLE, ENGINE_REFUSED. */
  inspect(name: string): Promise<ContainerStatus>;
  /**
   * What a running container has used; null where it does not run, or the engine does not answer within 5 s, which says
   * nothing about the engine. Errors: ENGINE_UNAVAILABLE, ENGINE_REFUSED.
   */
  usage(name: string): Promise<Measurement | null>;
  /** Asks for SIGTERM, then SIGKILL after the grace; returns when the engine has taken the order, before the end. */
  stop(name: string, graceMs: number): Promise<void>;
  /** SIGKILL now. No error where it is not running. */
  kill(name: string): Promise<void>;
  /** Removes it with its anonymous volumes, running or not. No error where there is none. */
  remove(name: string): Promise<void>;
  /** All containers of this instance. */
  list(): Promise<ListedContainer[]>;
  /** Names of containers that something happened to; also `reconnected`. Never complete. Ends with `signal`. */
  hints(signal: AbortSignal): AsyncIterable<Hint>;
}

export interface Capabilities {
  readonly cpus: number;
  readonly memoryBytes: number;
  /** For people: `Docker 20.10.24 at /var/run/docker.sock`. */
  readonly description: string;
  readonly warnings: readonly string[];
}
export interface PrepareOptions {
  /** Absent = by the tag, as `PullPolicy` says. */
  readonly pullPolicy?: PullPolicy;
  /** Exactly this one, whatever the name stands for now: pulled by its repository's digest where it is gone. */
  readonly pinned?: PinnedImage;
}
export interface PreparedImage extends PinnedImage {
  /** Bytes that came from the registry, if this call brought an image that was not there; else null. */
  readonly pulledBytes: number | null;
}
/** What the engine tells while it pulls. */
export interface PullProgress {
  readonly image: string;
  /** Epoch ms. */
  readonly startTime: number;
  readonly layers: number;
  readonly layersDone: number;
  /** Of the layers whose size is known by now. */
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface ContainerSpec {
  readonly name: string;
  readonly key: AttemptKey;
  readonly job: string;
  readonly epoch: number;
  /** As the job says; `digest` of the prepared image is what is run. */
  readonly image: string;
  readonly digest: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  /** The whole environment, `CLOUD_RUN_*` included. */
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir?: string;
  readonly user?: string;
  readonly cpu: number;
  readonly memoryBytes: number;
  readonly gracePeriodMs: number;
  readonly binds: readonly Bind[];
}

export interface EnsureOptions {
  readonly mayAct?: () => void;
  /** Inputs and secrets: made anew at each call, never stored. */
  readonly files?: () => AsyncIterable<StagedFile>;
  readonly signal?: AbortSignal;
}

/** A file on its way into a container. */
export interface StagedFile {
  /** Absolute path in the container; folders above it are made. */
  readonly to: string;
  /** Bytes. */
  readonly size: number;
  /** Permission bits; 0o644 if absent. Owned by root. */
  readonly mode?: number;
  readonly body: AsyncIterable<Uint8Array>;
}
/** A file out of a container. */
export interface OutputFile {
  /** Below the path that was asked for; '' where that is the file itself. Never leads out of it. */
  readonly path: string;
  readonly size: number;
  readonly body: AsyncIterable<Uint8Array>;
}

export type Ensured =
  /** `captured` settles when the attached stream has ended: true = ended cleanly, nothing is missing. */
  | { readonly outcome: 'started'; readonly startTime: number; readonly captured: Promise<boolean> }
  | { readonly outcome: 'adopted'; readonly status: ContainerStatus };

export type ContainerStatus =
  | { readonly state: 'missing' }
  | { readonly state: 'created' }
  | { readonly state: 'running'; readonly startTime: number; readonly imageDigest?: string }
  | {
      readonly state: 'exited';
      readonly startTime: number;
      readonly endTime: number;
      readonly exit: Exit;
      /** The engine's id of the image that it was made of. */
      readonly imageDigest?: string;
    };

/** SIGKILL and SIGTERM by an engine that ends; 255 is what it writes for one that ended while it was not there. */
export const KILLED_WITH_ENGINE: ReadonlySet<number | null> = new Set([137, 143, 255]);

export interface Exit {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly oomKilled: boolean;
  /** The engine's own words, where it has any. */
  readonly error: string | null;
}

export interface ListedContainer {
  readonly name: string;
  readonly key: AttemptKey;
  readonly epoch: number;
  readonly running: boolean;
  readonly createTime: number;
}
export type Hint = { readonly kind: 'container'; readonly name: string } | { readonly kind: 'reconnected' };
