import type { Clock } from '../../src/core/clock.ts';
import { TappetError } from '../../src/core/errors.ts';
import type { LogStream, LogWriter } from '../../src/core/log-sink.ts';
import type {
  Capabilities,
  ContainerSpec,
  ContainerStatus,
  EnsureOptions,
  Ensured,
  Exit,
  Hint,
  ListedContainer,
  OutputFile,
  PrepareOptions,
  PreparedImage,
  PullProgress,
  Runner,
} from '../../src/core/runner.ts';
import type { Measurement } from '../../src/core/usage.ts';
import { deferred } from '../../src/lib/deferred.ts';
import type { Deferred } from '../../src/lib/deferred.ts';
import { newContainer } from './fake-container.ts';
import type { Attachment, Container, Script } from './fake-container.ts';
import { readFiles, scriptedOutputs } from './fake-files.ts';
import type { ReceivedFile } from './fake-files.ts';
import { FakeHints } from './fake-hints.ts';
import { FakeImages } from './fake-images.ts';

export type Method = Exclude<keyof Runner, 'engine' | 'hints' | 'pulls'>;
export type { Script } from './fake-container.ts';

/**
 * A container engine in memory, driven by a clock. Containers live in it, not in who uses it: executors come and
 * go. Behaves as the port says, down to refusing strangers; records what was asked.
 */
export class FakeRunner implements Runner {
  readonly engine = 'fake';
  readonly calls: { method: Method; name: string }[] = [];
  /** Calls that `fail` let fail. */
  readonly refused: { method: Method; name: string }[] = [];
  /** How often each container was really started: more than once is a bug of the caller. */
  readonly starts = new Map<string, number>();
  /** The files that each container got, by its name; an `ensure` again replaces them. */
  readonly received = new Map<string, readonly ReceivedFile[]>();
  /** Highest number of containers that ran at the same time. */
  maxRunning = 0;
  /** Highest number of `ensure` calls at the same time. */
  maxStarting = 0;
  /** Large enough for what tests run, unless they say otherwise. */
  host = { cpus: 2, memoryBytes: 64 * 1024 ** 3 };
  missingImages = new Set<string>();
  readonly images = new FakeImages();
  /** Sends no hints where false: the sweep must do. */
  hinting = true;
  script: (spec: ContainerSpec) => Script = () => ({});
  /** What a running container is found to use. */
  measure: (name: string) => Measurement | null = () => null;
  readonly #clock: Clock;
  readonly #containers = new Map<string, Container>();
  pulling: readonly PullProgress[] = [];
  readonly #hints = new FakeHints();
  readonly #faults: { method: Method; error: TappetError; after: boolean; times: number }[] = [];
  readonly #holds = new Map<Method, Promise<void>>();
  #down = false;
  #starting = 0;
  /** Settles when any container has put something out or ended. */
  #moved: Deferred<void> = deferred();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  // ---- what a test does ---------------------------------------------------------------------------------------

  /** The engine stops answering; attached streams break. Containers go on. */
  goDown(): void {
    this.#down = true;
    for (const container of this.#containers.values()) this.#breakAttachment(container);
    this.#move();
  }
  goUp(): void {
    this.#down = false;
    this.#hint({ kind: 'reconnected' });
  }
  /** The next `times` calls fail; with `after`, they do their work first (a broken answer). */
  fail(method: Method, error: TappetError, { after = false, times = 1 } = {}): void {
    this.#faults.push({ method, error, after, times });
  }
  /** Calls of `method` wait until the returned function is called. */
  hold(method: Method): () => void {
    const gate = deferred<void>();
    this.#holds.set(method, gate.promise);
    return () => void (this.#holds.delete(method) && gate.resolve());
  }
  emit(name: string, stream: LogStream, text: string): void {
    this.#output(this.#get(name), stream, Buffer.from(text));
  }
  exit(name: string, exit: Partial<Exit> = {}): void {
    this.#exit(this.#get(name), exit);
  }
  /** The attached stream of a container breaks. */
  cut(name: string): void {
    this.#breakAttachment(this.#get(name));
  }
  /** Somebody else removes it. */
  vanish(name: string): void {
    this.#drop(name);
  }
  /** Somebody else made it. */
  plant(spec: ContainerSpec, running: boolean): void {
    const container = this.#create(spec);
    if (running) this.#start(container);
  }
  names(): string[] {
    return [...this.#containers.keys()].sort();
  }
  statusOf(name: string): ContainerStatus {
    return this.#containers.get(name)?.status ?? { state: 'missing' };
  }
  specOf(name: string): ContainerSpec {
    return this.#get(name).spec;
  }
  countOf(method: Method): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  // ---- the port -----------------------------------------------------------------------------------------------

  capabilities(): Promise<Capabilities> {
    return this.#call('capabilities', '', () => ({ ...this.host, description: 'Fake engine', warnings: [] }));
  }

  prepare(image: string, options: PrepareOptions = {}): Promise<PreparedImage> {
    return this.#call('prepare', image, () => {
      if (this.missingImages.has(image))
        throw new TappetError('IMAGE_NOT_FOUND', `There is no image ${image}.`);
      return this.images.prepare(image, options);
    });
  }

  pulls(): readonly PullProgress[] {
    return this.pulling;
  }

  removeImage(digest: string): Promise<'removed' | 'kept' | 'missing'> {
    return this.#call('removeImage', digest, () => this.images.removals.get(digest) ?? 'removed');
  }

  async ensure(spec: ContainerSpec, log: LogWriter, options: EnsureOptions = {}): Promise<Ensured> {
    this.#starting += 1;
    this.maxStarting = Math.max(this.maxStarting, this.#starting);
    try {
      return await this.#call('ensure', spec.name, () => this.#ensure(spec, log, options));
    } finally {
      this.#starting -= 1;
    }
  }

  async *outputs(name: string, path: string, signal?: AbortSignal): AsyncGenerator<OutputFile> {
    const leaves = await this.#call('outputs', name, () => this.#get(name).script.leaves ?? {});
    yield* scriptedOutputs(leaves, path, signal, () => {
      if (this.#down) throw unavailable();
    });
  }

  async logs(name: string, log: LogWriter, signal: AbortSignal): Promise<void> {
    await this.#call('logs', name, () => undefined);
    const container = this.#containers.get(name);
    if (container === undefined) return;
    const skip = { stdout: log.cursor().stdout.bytes, stderr: log.cursor().stderr.bytes };
    for (let i = 0; !signal.aborted; i++) {
      const part = container.output[i];
      if (part === undefined) {
        if (container.status.state !== 'running') return;
        await this.#more(container, i, signal);
        if (this.#down) throw unavailable();
        i -= 1;
        continue;
      }
      const passed = Math.min(skip[part.stream], part.data.length);
      skip[part.stream] -= passed;
      if (passed < part.data.length) await log.write(part.stream, part.data.subarray(passed));
    }
  }

  inspect(name: string): Promise<ContainerStatus> {
    return this.#call('inspect', name, () => {
      const status = this.statusOf(name);
      const known = status.state === 'running' || status.state === 'exited';
      return known ? { ...status, imageDigest: this.#get(name).spec.digest } : status;
    });
  }

  usage(name: string): Promise<Measurement | null> {
    return this.#call('usage', name, () => this.measure(name));
  }

  stop(name: string, graceMs: number): Promise<void> {
    return this.#call('stop', name, () => {
      const container = this.#containers.get(name);
      if (container?.status.state !== 'running') return;
      const { onTerm = { code: 143, afterMs: 0 } } = container.script;
      if (onTerm !== null)
        this.#later(container, onTerm.afterMs, () => this.#exit(container, { exitCode: onTerm.code }));
      this.#later(container, graceMs, () => this.#killed(container));
    });
  }

  kill(name: string): Promise<void> {
    return this.#call('kill', name, () => {
      const container = this.#containers.get(name);
      if (container !== undefined) this.#killed(container);
    });
  }

  remove(name: string): Promise<void> {
    return this.#call('remove', name, () => this.#drop(name));
  }

  list(): Promise<ListedContainer[]> {
    return this.#call('list', '', () =>
      [...this.#containers.values()].map(({ spec, status, createTime }) => ({
        name: spec.name,
        key: spec.key,
        epoch: spec.epoch,
        running: status.state === 'running',
        createTime,
      })),
    );
  }

  hints(signal: AbortSignal): AsyncGenerator<Hint> {
    return this.#hints.listen(signal);
  }

  // ---- inside -------------------------------------------------------------------------------------------------

  async #call<T>(method: Method, name: string, work: () => T | Promise<T>): Promise<T> {
    this.calls.push({ method, name });
    await this.#holds.get(method);
    if (this.#down) throw unavailable();
    const fault = this.#faults.find((candidate) => candidate.method === method && candidate.times > 0);
    if (fault === undefined) return work();
    fault.times -= 1;
    this.refused.push({ method, name });
    if (fault.after) await work();
    throw fault.error;
  }

  #ensure(spec: ContainerSpec, log: LogWriter, options: EnsureOptions): Ensured | Promise<Ensured> {
    if (this.missingImages.has(spec.image))
      throw new TappetError('IMAGE_NOT_FOUND', `There is no image ${spec.image}.`);
    const container = this.#containers.get(spec.name) ?? this.#create(spec);
    if (container.status.state !== 'created') return { outcome: 'adopted', status: container.status };
    if (options.files === undefined) return this.#attachAndStart(container, log);
    return this.#putFiles(container, options).then(() => this.#attachAndStart(container, log));
  }

  async #putFiles({ spec: { name } }: Container, { files, mayAct, signal }: EnsureOptions): Promise<void> {
    this.received.delete(name);
    try {
      if (files !== undefined) this.received.set(name, await readFiles(files(), signal));
    } catch (error) {
      this.#drop(name);
      throw error;
    }
    if (this.#down) throw unavailable();
    mayAct?.();
  }

  #attachAndStart(container: Container, log: LogWriter): Ensured {
    const attached: Attachment = { log, captured: deferred(), last: Promise.resolve(), broken: false };
    container.attached = attached;
    const startTime = this.#start(container);
    return { outcome: 'started', startTime, captured: attached.captured.promise };
  }

  #create(spec: ContainerSpec): Container {
    const container = newContainer(spec, this.script(spec), this.#clock.now());
    this.#containers.set(spec.name, container);
    return container;
  }

  #start(container: Container): number {
    const startTime = this.#clock.now();
    container.status = { state: 'running', startTime };
    this.starts.set(container.spec.name, (this.starts.get(container.spec.name) ?? 0) + 1);
    this.maxRunning = Math.max(this.maxRunning, this.#running());
    const { output = [], exitAt, exit } = container.script;
    for (const { at = 0, stream = 'stdout', text } of output) {
      this.#later(container, at, () => this.#output(container, stream, Buffer.from(text)));
    }
    if (exitAt !== undefined) this.#later(container, exitAt, () => this.#exit(container, exit ?? {}));
    return startTime;
  }

  #running(): number {
    return [...this.#containers.values()].filter(({ status }) => status.state === 'running').length;
  }

  #output(container: Container, stream: LogStream, data: Buffer): void {
    if (container.status.state !== 'running') return;
    container.output.push({ stream, data });
    const attached = container.attached;
    if (attached !== undefined && !attached.broken) {
      attached.last = attached.last.then(async () => {
        if (attached.broken) return;
        try {
          await attached.log.write(stream, data);
        } catch {
          this.#breakAttachment(container);
        }
      });
    }
    this.#move();
  }

  #exit(container: Container, exit: Partial<Exit>): void {
    if (container.status.state !== 'running') return;
    for (const cancel of container.timers.splice(0)) cancel();
    container.status = {
      state: 'exited',
      startTime: container.status.startTime,
      endTime: this.#clock.now(),
      exit: {
        exitCode: exit.signal === undefined ? 0 : null,
        signal: null,
        oomKilled: false,
        error: null,
        ...exit,
      },
    };
    const attached = container.attached;
    if (attached !== undefined) void attached.last.then(() => attached.captured.resolve(!attached.broken));
    container.ended.resolve();
    this.#move();
    this.#hint({ kind: 'container', name: container.spec.name });
  }

  #killed(container: Container): void {
    if (container.script.unkillable !== true) this.#exit(container, { exitCode: 137 });
  }

  #drop(name: string): void {
    const container = this.#containers.get(name);
    if (container === undefined) return;
    for (const cancel of container.timers.splice(0)) cancel();
    this.#breakAttachment(container);
    this.#containers.delete(name);
    container.status = { state: 'missing' };
    this.#move();
    this.#hint({ kind: 'container', name });
  }

  #breakAttachment(container: Container): void {
    const attached = container.attached;
    if (attached === undefined) return;
    attached.broken = true;
    attached.captured.resolve(false);
    container.attached = undefined;
  }

  #move(): void {
    this.#moved.resolve();
    this.#moved = deferred();
  }

  async #more(container: Container, from: number, signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) =>
      signal.addEventListener('abort', () => resolve(), { once: true }),
    );
    while (
      !signal.aborted &&
      !this.#down &&
      container.status.state === 'running' &&
      container.output.length <= from
    ) {
      await Promise.race([this.#moved.promise, aborted]);
    }
  }

  #later(container: Container, ms: number, fn: () => void): void {
    if (ms === 0) queueMicrotask(fn);
    else container.timers.push(this.#clock.setTimer(ms, fn));
  }

  #hint(hint: Hint): void {
    if (this.hinting) this.#hints.tell(hint);
  }

  #get(name: string): Container {
    const container = this.#containers.get(name);
    if (container === undefined) throw new Error(`there is no container ${name}`);
    return container;
  }
}

export function unavailable(): TappetError {
  return new TappetError('ENGINE_UNAVAILABLE', 'The fake engine does not answer.');
}
