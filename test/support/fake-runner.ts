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
import type { Container, Script } from './fake-container.ts';
import { FakeContainers } from './fake-containers.ts';
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
  /** The files that each container got, by its name; an `ensure` again replaces them. */
  readonly received = new Map<string, readonly ReceivedFile[]>();
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
  pulling: readonly PullProgress[] = [];
  readonly #hints = new FakeHints();
  readonly #containers: FakeContainers;
  readonly #faults: { method: Method; error: TappetError; after: boolean; times: number }[] = [];
  readonly #holds = new Map<Method, Promise<void>>();
  #down = false;
  #starting = 0;

  constructor(clock: Clock) {
    this.#containers = new FakeContainers(clock, (hint) => {
      if (this.hinting) this.#hints.tell(hint);
    });
  }

  /** How often each container was really started: more than once is a bug of the caller. */
  get starts(): ReadonlyMap<string, number> {
    return this.#containers.starts;
  }
  /** Highest number of containers that ran at the same time. */
  get maxRunning(): number {
    return this.#containers.maxRunning;
  }
  set maxRunning(count: number) {
    this.#containers.maxRunning = count;
  }

  // ---- what a test does ---------------------------------------------------------------------------------------

  /** The engine stops answering; attached streams break. Containers go on. */
  goDown(): void {
    this.#down = true;
    for (const container of this.#containers.all()) this.#containers.cut(container);
    this.#containers.moved();
  }
  goUp(): void {
    this.#down = false;
    if (this.hinting) this.#hints.tell({ kind: 'reconnected' });
  }
  get isDown(): boolean {
    return this.#down;
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
    this.#containers.output(this.#get(name), stream, Buffer.from(text));
  }
  exit(name: string, exit: Partial<Exit> = {}): void {
    this.#containers.exit(this.#get(name), exit);
  }
  /** The attached stream of a container breaks. */
  cut(name: string): void {
    this.#containers.cut(this.#get(name));
  }
  /** The attached stream of a container stays open, and gives nothing more. */
  stall(name: string): void {
    this.#containers.stall(this.#get(name));
  }
  /** Somebody else removes it. */
  vanish(name: string): void {
    this.#containers.drop(name);
  }
  /** Somebody else made it; `foreign`: without labels of ours. */
  plant(spec: ContainerSpec, running: boolean, foreign = false): void {
    const container = this.#containers.create(spec, this.script(spec), foreign);
    if (running) this.#containers.start(container);
  }
  /** Of ours. */
  names(): string[] {
    return this.#ours()
      .map(({ spec }) => spec.name)
      .sort();
  }
  /** Also of one that is not ours. */
  statusOf(name: string): ContainerStatus {
    return this.#containers.find(name)?.status ?? { state: 'missing' };
  }
  specOf(name: string): ContainerSpec {
    return this.#get(name).spec;
  }
  countOf(method: Method): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  // ---- the port -----------------------------------------------------------------------------------------------

  capabilities(): Promise<Capabilities> {
    return this.#call('capabilities', '', () => ({
      ...this.host,
      description: 'Fake engine 1.0 at memory',
      warnings: [],
    }));
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
    const leaves = await this.#call('outputs', name, () => {
      const container = this.#own(name);
      if (container === undefined) throw new TappetError('ENGINE_REFUSED', `There is no container ${name}.`);
      return container.script.leaves ?? {};
    });
    yield* scriptedOutputs(leaves, path.replace(/\/$/, ''), signal, () => {
      if (this.#down) throw unavailable();
    });
  }

  async logs(name: string, log: LogWriter, signal: AbortSignal): Promise<void> {
    await this.#call('logs', name, () => undefined);
    const container = this.#own(name);
    if (container === undefined) return;
    const skip = { stdout: log.cursor().stdout.bytes, stderr: log.cursor().stderr.bytes };
    for (let i = 0; !signal.aborted; i++) {
      const part = container.output[i];
      if (part === undefined) {
        if (container.status.state !== 'running') return;
        if (this.#down) throw unavailable();
        await this.#containers.move(signal);
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
      const container = this.#own(name);
      if (container === undefined) return { state: 'missing' };
      const { status, spec } = container;
      const known = status.state === 'running' || status.state === 'exited';
      return known ? { ...status, imageDigest: spec.digest } : status;
    });
  }

  usage(name: string): Promise<Measurement | null> {
    return this.#call('usage', name, () =>
      this.#own(name)?.status.state === 'running' ? this.measure(name) : null,
    );
  }

  stop(name: string, graceMs: number): Promise<void> {
    return this.#call('stop', name, () => {
      const container = this.#containers.find(name);
      if (container !== undefined) this.#containers.stop(container, graceMs);
    });
  }

  kill(name: string): Promise<void> {
    return this.#call('kill', name, () => {
      const container = this.#containers.find(name);
      if (container !== undefined) this.#containers.kill(container);
    });
  }

  remove(name: string): Promise<void> {
    return this.#call('remove', name, () => this.#containers.drop(name));
  }

  list(): Promise<ListedContainer[]> {
    return this.#call('list', '', () =>
      this.#ours().map(({ spec, status, createTime }) => ({
        name: spec.name,
        key: spec.key,
        epoch: spec.epoch,
        running: status.state === 'running',
        createTime,
      })),
    );
  }

  hints(signal: AbortSignal): AsyncGenerator<Hint> {
    return this.#hints.listen(signal, !this.#down);
  }

  // ---- inside -------------------------------------------------------------------------------------------------

  #ours(): Container[] {
    return this.#containers.all().filter(({ foreign }) => !foreign);
  }

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

  async #ensure(spec: ContainerSpec, log: LogWriter, options: EnsureOptions): Promise<Ensured> {
    const { mayAct = () => undefined, files } = options;
    const container = this.#createOrFind(spec, mayAct);
    if (container.status.state !== 'created') return { outcome: 'adopted', status: container.status };
    if (files !== undefined) await this.#putFiles(container, files, options);
    mayAct();
    return this.#attachAndStart(container, log);
  }

  #createOrFind(spec: ContainerSpec, mayAct: () => void): Container {
    if (this.missingImages.has(spec.image) || this.images.gone.has(spec.digest))
      throw new TappetError('IMAGE_NOT_FOUND', `There is no image ${spec.image}.`);
    mayAct();
    const found = this.#containers.find(spec.name);
    if (found === undefined) return this.#containers.create(spec, this.script(spec));
    const sameImage = found.spec.digest === spec.digest;
    if (!isStrange(found, spec) && sameImage) return found;
    if (isStrange(found, spec) || found.status.state !== 'created')
      throw new TappetError('CONTAINER_CONFLICT', `Container ${spec.name} is not of this attempt.`);
    mayAct();
    this.#containers.drop(spec.name);
    return this.#containers.create(spec, this.script(spec));
  }

  async #putFiles(
    { spec: { name } }: Container,
    files: NonNullable<EnsureOptions['files']>,
    { mayAct, signal }: EnsureOptions,
  ): Promise<void> {
    this.received.delete(name);
    mayAct?.();
    try {
      this.received.set(name, await readFiles(files(), signal));
    } catch (error) {
      mayAct?.();
      // Another call may have started it meanwhile.
      if (this.statusOf(name).state === 'created') this.#containers.drop(name);
      throw error;
    }
    if (this.#down) throw unavailable();
  }

  #attachAndStart(container: Container, log: LogWriter): Ensured {
    const { name } = container.spec;
    const { startError } = container.script;
    if (startError === undefined) {
      const captured = this.#containers.attach(container, log);
      return { outcome: 'started', startTime: this.#containers.start(container), captured };
    }
    this.#containers.drop(name);
    throw new TappetError('CONTAINER_START_FAILED', startError);
  }

  #get(name: string): Container {
    return this.#containers.get(name);
  }

  /** One of ours. */
  #own(name: string): Container | undefined {
    const container = this.#containers.find(name);
    return container?.foreign === true ? undefined : container;
  }
}

/** By the labels that an engine keeps of a container. */
function isStrange({ foreign, spec }: Container, wanted: ContainerSpec): boolean {
  const labels = ({ job, key }: ContainerSpec): string =>
    [job, key.execution, key.index, key.attempt].join(' ');
  return foreign || labels(spec) !== labels(wanted);
}

export function unavailable(): TappetError {
  return new TappetError('ENGINE_UNAVAILABLE', 'The fake engine does not answer.');
}
