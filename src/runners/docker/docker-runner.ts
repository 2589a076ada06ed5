import { realpath } from 'node:fs/promises';
import type { Clock } from '../../core/clock.ts';
import { ENGINE_DEFAULTS } from '../../core/engine-limits.ts';
import type { EngineLimits } from '../../core/engine-limits.ts';
import { TappetError, isTappetError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { LogWriter } from '../../core/log-sink.ts';
import { PULL_DEFAULTS } from '../../core/registry.ts';
import type { PullLimits, Registries } from '../../core/registry.ts';
import type {
  Capabilities,
  ContainerSpec,
  ContainerStatus,
  EnsureOptions,
  Ensured,
  Hint,
  ListedContainer,
  OutputFile,
  PrepareOptions,
  PreparedImage,
  PullProgress,
  Runner,
} from '../../core/runner.ts';
import type { Measurement } from '../../core/usage.ts';
import { capabilitiesOf, traitsOf } from './capabilities.ts';
import { Capture } from './capture.ts';
import { LABELS, createBody, graceSeconds, readLabels, refusedBind, strangeLabel } from './container-spec.ts';
import type { EngineTraits } from './container-spec.ts';
import { EngineClient, isNetworkMissing } from './engine-client.ts';
import type { EngineListed } from './engine-shapes.ts';
import { imageOf, readStatus } from './exit.ts';
import { CommandCheck } from './find-command.ts';
import type { EngineEndpoint } from './find-engine.ts';
import { hints } from './hints.ts';
import { Images } from './images.ts';
import { removeImage } from './remove-image.ts';
import { resumeLog } from './log-resume.ts';
import { JobNetwork } from './network.ts';
import { outputs } from './outputs.ts';
import { putFiles } from './put-files.ts';
import { startFailure } from './start-failure.ts';
import { containerUsage } from './usage.ts';

/** The engine answers a stop when the container has ended; an order that it refuses is answered within this. */
const STOP_TAKEN_MS = 250;

const BINDS_MS = 10_000;

interface Refusal {
  readonly status: number;
  readonly message: string;
}

export interface DockerRunnerParams {
  readonly endpoint: EngineEndpoint;
  /** The engine's name in the store. */
  readonly engine: string;
  /** The prefix of names and the value of the label by which containers are ours. */
  readonly instance: string;
  readonly network: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Absent = none has an account. */
  readonly registries?: Registries;
  /** As they are now; absent = the defaults. */
  readonly pullLimits?: () => PullLimits;
  /** As they are now; absent = the defaults. */
  readonly engineLimits?: () => EngineLimits;
}

/** Runs attempts on Docker, or on Podman's Docker socket. See `core/runner.ts` for what each call promises. */
export class DockerRunner implements Runner {
  readonly engine: string;
  readonly #params: DockerRunnerParams;
  readonly #client: EngineClient;
  readonly #images: Images;
  readonly #network: JobNetwork;
  readonly #commands: CommandCheck;
  #traits: { readonly outages: number; readonly value: EngineTraits } | null = null;

  constructor(params: DockerRunnerParams) {
    this.engine = params.engine;
    this.#params = params;
    this.#client = new EngineClient(
      params.endpoint,
      params.clock,
      params.engineLimits ?? (() => ENGINE_DEFAULTS),
    );
    this.#images = new Images({
      client: this.#client,
      clock: params.clock,
      log: params.log,
      registries: params.registries ?? { account: () => Promise.resolve(undefined) },
      limits: params.pullLimits ?? (() => PULL_DEFAULTS),
    });
    this.#network = new JobNetwork(this.#client, params.instance, params.network);
    this.#commands = new CommandCheck(this.#client);
  }

  async capabilities(): Promise<Capabilities> {
    const [version, info] = await Promise.all([this.#client.version(), this.#client.info()]);
    return capabilitiesOf(version, info, this.#params.endpoint);
  }

  prepare(image: string, options?: PrepareOptions): Promise<PreparedImage> {
    return this.#images.prepare(image, options);
  }

  pulls(): readonly PullProgress[] {
    return this.#images.progress();
  }

  async removeImage(digest: string, name: string): Promise<'removed' | 'kept' | 'missing'> {
    const removed = await removeImage(this.#client, digest, name);
    if (removed !== 'kept') this.#images.forget(digest);
    return removed;
  }

  async ensure(spec: ContainerSpec, log: LogWriter, options: EnsureOptions = {}): Promise<Ensured> {
    const { mayAct = () => {} } = options;
    await this.#withinTime(this.#refuseBinds(spec));
    await this.#network.ensure();
    const existing = await this.#createOrFind(spec, mayAct);
    if (existing.state !== 'created') return { outcome: 'adopted', status: existing };
    if (options.files !== undefined) await this.#putFiles(spec, options.files, mayAct, options.signal);
    return this.#start(spec, log, mayAct);
  }

  outputs(name: string, path: string, signal?: AbortSignal): AsyncIterable<OutputFile> {
    return outputs({ client: this.#client, clock: this.#params.clock }, name, path, signal);
  }

  logs(name: string, log: LogWriter, signal: AbortSignal): Promise<void> {
    return resumeLog({ client: this.#client, clock: this.#params.clock }, name, log, signal);
  }

  async inspect(name: string): Promise<ContainerStatus> {
    const found = await this.#client.inspectContainer(name);
    const ours = found?.Config.Labels?.[LABELS.instance] === this.#params.instance;
    return ours ? readStatus(found.State, imageOf(found)) : { state: 'missing' };
  }

  usage(name: string): Promise<Measurement | null> {
    return containerUsage(this.#client, this.#params.clock, name);
  }

  async stop(name: string, graceMs: number): Promise<void> {
    // Goes on after this returns, and in the engine even if the gateway ends: the engine owns the grace.
    const stopped = this.#client.stopContainer(name, graceSeconds(graceMs));
    stopped.catch(() => undefined);
    let cancel = () => {};
    const taken = new Promise<void>((resolve) => {
      cancel = this.#params.clock.setTimer(STOP_TAKEN_MS, resolve);
    });
    try {
      await Promise.race([stopped, taken]);
    } finally {
      cancel();
    }
  }

  async kill(name: string): Promise<void> {
    if (await this.#client.killContainer(name)) return;
    // Engines word the refusal differently: whether it still runs is what counts.
    if ((await this.inspect(name)).state !== 'running') return;
    throw new TappetError('ENGINE_REFUSED', `The container engine would not kill container ${name}.`);
  }

  remove(name: string): Promise<void> {
    return this.#client.removeContainer(name);
  }

  async list(): Promise<ListedContainer[]> {
    const found = await this.#client.listContainers(`${LABELS.instance}=${this.#params.instance}`);
    return found.flatMap(readListed);
  }

  hints(signal: AbortSignal): AsyncIterable<Hint> {
    const { clock, log, instance } = this.#params;
    return hints({ client: this.#client, clock, log, images: this.#images }, instance, signal);
  }

  /** A folder on a file server that is gone makes whoever looks at it wait for ever. */
  async #withinTime(looking: Promise<void>): Promise<void> {
    let cancel = () => {};
    const late = new Promise<never>((_, reject) => {
      const message = `A folder of "binds" did not answer within ${BINDS_MS / 1000} s.`;
      const fix = 'See that the file server behind it answers.';
      cancel = this.#params.clock.setTimer(BINDS_MS, () =>
        reject(new TappetError('ENGINE_REFUSED', message, { fix })),
      );
    });
    try {
      await Promise.race([looking, late]);
    } finally {
      cancel();
    }
  }

  async #refuseBinds(spec: ContainerSpec): Promise<void> {
    if (spec.binds.length === 0) return;
    const { endpoint } = this.#params;
    const sockets = endpoint.kind === 'unix' ? [endpoint.path, await resolved(endpoint.path)] : [];
    const real = await Promise.all(
      spec.binds.map(async (bind) => ({ ...bind, from: await resolved(bind.from) })),
    );
    // `from` was resolved when the configuration was loaded; one that leads elsewhere now was put there since, maybe
    // by a task that may write beside it, and no rule has judged it.
    const moved = spec.binds.find(({ from }, i) => real[i]?.from !== from);
    const refused =
      refusedBind([...spec.binds, ...real], sockets) ??
      (moved === undefined
        ? null
        : `The folder ${moved.from} was replaced by a symbolic link since the configuration was loaded.`);
    if (refused !== null)
      throw new TappetError('CONTAINER_START_FAILED', refused, { fix: 'Remove it from "binds".' });
  }

  /** Creates it, or finds the one of an earlier call. A container that vanishes in between is created after all. */
  async #createOrFind(spec: ContainerSpec, mayAct: () => void): Promise<ContainerStatus> {
    for (let tries = 0; tries < 3; tries++) {
      const traits = await this.#engineTraits();
      const body = createBody(this.#params.instance, this.#network.name, spec, traits);
      mayAct();
      const created = await this.#client.createContainer(spec.name, body);
      if (created.outcome === 'created') return { state: 'created' };
      if (created.outcome === 'image-missing') throw this.#imageGone(spec);
      if (created.outcome === 'network-missing') await this.#remakeNetwork();
      else if (created.outcome === 'refused') this.#withoutInit(spec, created, traits);
      else {
        const found = await this.#findOwn(spec, mayAct);
        if (found.state !== 'missing') return found;
      }
    }
    throw new TappetError(
      'ENGINE_REFUSED',
      `The container engine says of container ${spec.name} that it exists and that it does not.`,
    );
  }

  /** Podman tells only now that its init program is not installed: from here on containers go without. */
  #withoutInit(spec: ContainerSpec, refusal: Refusal, traits: EngineTraits): void {
    if (!traits.hasInit || !/container-init binary not found/i.test(refusal.message))
      throw startFailure(spec, refusal.status, refusal.message);
    this.#traits = { outages: this.#client.transport.outages, value: { ...traits, hasInit: false } };
    this.#params.log.warn('the engine has no init program for containers: install the package catatonit', {
      reason: refusal.message,
    });
  }

  async #findOwn(spec: ContainerSpec, mayAct: () => void): Promise<ContainerStatus> {
    const found = await this.#client.inspectContainer(spec.name);
    if (found === null) return { state: 'missing' };
    const strange = strangeLabel(this.#params.instance, spec, found.Config.Labels ?? {});
    const sameImage = found.Image === spec.digest || found.Config.Image === spec.digest;
    const status = readStatus(found.State, imageOf(found));
    if (strange === null && sameImage) return status;
    if (strange === null && status.state === 'created') {
      // The name of the image stands for another one since: nothing of this has run, so that it can be made anew.
      mayAct();
      await this.remove(spec.name);
      return { state: 'missing' };
    }
    const why = strange === null ? 'it has another image' : `its label ${strange} is another`;
    const message = `The engine has a container "${spec.name}" that is not of this attempt: ${why}.`;
    throw new TappetError('CONTAINER_CONFLICT', message, {
      fix: `See what it is, then remove it (docker rm -f ${spec.name}).`,
    });
  }

  /** Nothing stays of a container whose files did not all get there, unless its engine is gone or another's by now. */
  async #putFiles(
    spec: ContainerSpec,
    files: NonNullable<EnsureOptions['files']>,
    mayAct: () => void,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    try {
      mayAct();
      await putFiles({ client: this.#client, clock: this.#params.clock }, spec, files(), signal);
    } catch (error) {
      if (isTappetError(error, 'ENGINE_UNAVAILABLE')) throw error;
      mayAct();
      await this.#removeNeverRan(spec);
      throw error;
    }
  }

  async #start(spec: ContainerSpec, log: LogWriter, mayAct: () => void): Promise<Ensured> {
    // After the files: one of them may be the program.
    await this.#checkCommand(spec);
    const stream = await this.#client.attach(spec.name);
    if (stream === null) throw this.#vanished(spec);
    if (typeof stream === 'string') throw await this.#removeFailed(spec, { status: 500, message: stream });
    const capture = new Capture(
      { client: this.#client, clock: this.#params.clock, log: this.#params.log },
      spec.name,
      stream,
    );
    try {
      const outcome = await this.#startAttached(spec, mayAct);
      if (outcome !== 'started') {
        capture.discard();
        return { outcome: 'adopted', status: outcome };
      }
      // By our clock, which deadlines are measured by. The engine's own time differs by some ms, and asking for it
      // would wait for the end of a short container, as the engine locks it while it cleans up (measured: 150 ms).
      return { outcome: 'started', startTime: this.#params.clock.now(), captured: capture.run(log) };
    } catch (error) {
      capture.discard();
      throw error;
    }
  }

  /** `started` = by this call, so that the stream attached before has everything. */
  async #startAttached(spec: ContainerSpec, mayAct: () => void): Promise<'started' | ContainerStatus> {
    for (let tries = 0; ; tries++) {
      mayAct();
      const start = await this.#client.startContainer(spec.name);
      if (start.outcome === 'started') return 'started';
      const status = await this.inspect(spec.name);
      // Another call started it, maybe before we were attached.
      if (start.outcome === 'already-started') return status;
      // An error is not always the truth: the engine has started containers and then said 500.
      if (status.state === 'running' || status.state === 'exited') return 'started';
      if (status.state === 'missing') throw this.#vanished(spec);
      if (tries > 0 || !isNetworkMissing(start.message)) throw await this.#removeFailed(spec, start);
      await this.#remakeNetwork();
    }
  }

  async #checkCommand(spec: ContainerSpec): Promise<void> {
    try {
      await this.#commands.check(spec);
    } catch (error) {
      if (error instanceof TappetError && error.code === 'CONTAINER_START_FAILED')
        await this.remove(spec.name);
      throw error;
    }
  }

  async #removeFailed(spec: ContainerSpec, { status, message }: Refusal): Promise<TappetError> {
    await this.#removeNeverRan(spec);
    return startFailure(spec, status, message);
  }

  async #removeNeverRan(spec: ContainerSpec): Promise<void> {
    try {
      await this.remove(spec.name);
    } catch (error) {
      // It may stay until maintenance comes; why it did not start is what counts.
      if (!isTappetError(error, 'ENGINE_REFUSED')) throw error;
    }
  }

  async #remakeNetwork(): Promise<void> {
    this.#network.forget();
    await this.#network.ensure();
  }

  #imageGone(spec: ContainerSpec): TappetError {
    this.#images.forget(spec.digest);
    return new TappetError(
      'IMAGE_NOT_FOUND',
      `The image "${spec.image}" was removed from the engine just now.`,
    );
  }

  #vanished(spec: ContainerSpec): TappetError {
    return new TappetError(
      'ENGINE_REFUSED',
      `Container ${spec.name} was removed before it could be started.`,
    );
  }

  async #engineTraits(): Promise<EngineTraits> {
    const { outages } = this.#client.transport;
    if (this.#traits?.outages === outages) return this.#traits.value;
    const [version, info] = await Promise.all([this.#client.version(), this.#client.info()]);
    const value = traitsOf(version, info);
    this.#traits = { outages, value };
    return value;
  }
}

/** Symbolic links followed; as it is where the path is not on this machine. */
async function resolved(path: string): Promise<string> {
  return realpath(path).catch(() => path);
}

function readListed({ Names, Labels, State, Created }: EngineListed): ListedContainer[] {
  const name = Names[0]?.replace(/^\//, '');
  const labels = readLabels(Labels ?? {});
  if (name === undefined || labels === null) return [];
  const running = State === 'running' || State === 'paused' || State === 'restarting';
  return [{ name, ...labels, running, createTime: Created * 1000 }];
}
