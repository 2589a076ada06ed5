import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import type { z } from 'zod';
import type { Clock } from '../../core/clock.ts';
import { ENGINE_DEFAULTS } from '../../core/engine-limits.ts';
import type { EngineLimits } from '../../core/engine-limits.ts';
import { TappetError } from '../../core/errors.ts';
import { KILLED_WITH_ENGINE } from '../../core/runner.ts';
import { EngineTransport, isSuccess } from './engine-transport.ts';
import type { EngineAnswer, EngineRequest } from './engine-transport.ts';
import { readEvents } from './engine-events.ts';
import {
  containerShape,
  imageShape,
  infoShape,
  listShape,
  networkShape,
  pathStatShape,
  statsShape,
  versionShape,
} from './engine-shapes.ts';
import type {
  EngineContainer,
  EngineEvent,
  EngineInfo,
  EngineListed,
  EngineNetwork,
  EngineStats,
} from './engine-shapes.ts';
import { OLDEST_API, compareApi } from './find-engine.ts';
import type { EngineEndpoint } from './find-engine.ts';
import { holdsInOrder } from './words.ts';

/** The versions that this client was written for; it asks for the newest that both sides know. */
const PREFERRED_API = { oldest: '1.41', newest: '1.47' };

/** A container may be silent for so long before a followed log is asked for anew. */
const SILENT_MS = 60 * 60_000;

export interface EngineVersion {
  readonly kind: 'docker' | 'podman';
  readonly version: string;
  /** As in a path: `v1.41`. */
  readonly api: string;
}

export interface EngineImage {
  /** `sha256:…`. */
  readonly id: string;
  /** `repository:tag`; Docker leaves its hub's own name out, Podman does not. */
  readonly repoTags: readonly string[];
  /** `repository@sha256:…` of registries that it came from or went to. */
  readonly repoDigests: readonly string[];
}

/** In the engine's words. */
export type RegistryAuth =
  | { readonly username: string; readonly password: string; readonly serveraddress: string }
  | { readonly identitytoken: string; readonly serveraddress: string };

export type Created =
  | { readonly outcome: 'created' }
  | {
      readonly outcome: 'name-taken' | 'image-missing' | 'network-missing' | 'refused';
      readonly status: number;
      readonly message: string;
    };
export type Started =
  | { readonly outcome: 'started' }
  | { readonly outcome: 'already-started' }
  | { readonly outcome: 'failed'; readonly status: number; readonly message: string };

/** The engine's calls that the runner makes. Each ends within its deadline. Errors: ENGINE_UNAVAILABLE, ENGINE_REFUSED. */
export class EngineClient {
  readonly transport: EngineTransport;
  #version: { readonly outages: number; readonly value: Promise<EngineVersion> } | null = null;

  constructor(endpoint: EngineEndpoint, clock: Clock, limits: () => EngineLimits = () => ENGINE_DEFAULTS) {
    this.transport = new EngineTransport(endpoint, clock, limits);
  }

  /** Asked once; again after the engine was gone, as it may come back as another version. */
  version(): Promise<EngineVersion> {
    const { outages } = this.transport;
    if (this.#version?.outages === outages) return this.#version.value;
    const asked = { outages, value: this.#askVersion() };
    this.#version = asked;
    asked.value.catch(() => {
      if (this.#version === asked) this.#version = null;
    });
    return asked.value;
  }

  async info(): Promise<EngineInfo> {
    const answer = await this.#call({ method: 'GET', path: '/info' });
    return this.#read('tell about itself', infoShape, answer);
  }

  /** null = the engine has no such image. */
  async inspectImage(ref: string): Promise<EngineImage | null> {
    const answer = await this.#call({ method: 'GET', path: `/images/${ref}/json` });
    if (answer.status === 404) return null;
    const { Id, RepoTags, RepoDigests } = this.#read(`inspect image ${ref}`, imageShape, answer);
    return { id: Id, repoTags: RepoTags ?? [], repoDigests: RepoDigests ?? [] };
  }

  /**
   * The progress objects, one a line, until `signal`; or the answer that says why there is no pull. The engine sends its
   * first byte when the registry has answered, which may take as long as that likes: `deadlineMs`.
   */
  pullImage(
    fromImage: string,
    tag: string,
    signal: AbortSignal,
    deadlineMs: number,
    auth?: RegistryAuth,
  ): Promise<IncomingMessage | EngineAnswer> {
    const request = { path: '/images/create', query: { fromImage, tag }, deadlineMs, signal };
    return this.#open({ method: 'POST', ...request, ...(auth === undefined ? {} : { auth }) });
  }

  /** By its id, and never by force: `kept` where the engine refuses, as for one that has a container or a second name. */
  async removeImage(id: string): Promise<'removed' | 'kept' | 'missing'> {
    const answer = await this.#call({
      method: 'DELETE',
      path: `/images/${id}`,
      deadlineMs: this.transport.orderMs,
    });
    if (isSuccess(answer.status)) return 'removed';
    if (answer.status === 404) return 'missing';
    if (answer.status === 409 || /in use|being used|must be forced/i.test(answer.message)) return 'kept';
    throw this.transport.unexpected(`remove image ${id}`, answer);
  }

  async createContainer(name: string, body: object): Promise<Created> {
    const request = { path: '/containers/create', query: { name }, body, deadlineMs: this.transport.orderMs };
    const answer = await this.#call({ method: 'POST', ...request });
    if (isSuccess(answer.status)) return { outcome: 'created' };
    return { outcome: refusal(answer), status: answer.status, message: answer.message };
  }

  /** null = there is none. Errors: ENGINE_UNAVAILABLE also where it may have ended only because its engine is about to. */
  async inspectContainer(name: string): Promise<EngineContainer | null> {
    const answer = await this.#call({ method: 'GET', path: `/containers/${name}/json` });
    if (answer.status === 404) return null;
    const found = this.#read(`inspect container ${name}`, containerShape, answer);
    const { Running, ExitCode } = found.State;
    if (!Running && KILLED_WITH_ENGINE.has(ExitCode)) await this.transport.requireListening();
    return found;
  }

  /** One look, until `signal`, which is the call's only deadline. null = it is not there, or does not run. */
  async containerStats(name: string, signal: AbortSignal): Promise<EngineStats | null> {
    // Without `one-shot` (before API 1.41) the engine looks twice, a second apart.
    const query = { stream: false, 'one-shot': true };
    const path = `/containers/${name}/stats`;
    const answer = await this.#call({ method: 'GET', path, query, deadlineMs: null, signal });
    // Podman has nothing to say of one that does not run, but says 200.
    if (answer.status === 404 || answer.status === 409 || (isSuccess(answer.status) && answer.body === null))
      return null;
    return this.#read(`measure container ${name}`, statsShape, answer);
  }

  /**
   * Both output streams as frames, from now on. Its end says nothing about why it ended. A string is why the container
   * cannot be started: Podman sets it up at this call. null = no such container.
   */
  async attach(name: string): Promise<IncomingMessage | string | null> {
    const query = { stream: 1, stdout: 1, stderr: 1 };
    const answer = await this.#open({ method: 'POST', path: `/containers/${name}/attach`, query });
    if ('status' in answer && holdsInOrder(answer.message, 'preparing container ', ' for attach'))
      return answer.message;
    return this.#streamOrMissing(`attach to container ${name}`, answer);
  }

  async startContainer(name: string): Promise<Started> {
    const answer = await this.#call({
      method: 'POST',
      path: `/containers/${name}/start`,
      deadlineMs: this.transport.orderMs,
      // One that has ended meanwhile would run a second time.
      once: true,
    });
    if (answer.status === 304) return { outcome: 'already-started' };
    if (isSuccess(answer.status)) return { outcome: 'started' };
    return { outcome: 'failed', status: answer.status, message: answer.message };
  }

  /** Answers when the container has ended; the engine goes on with it if the caller hangs up. */
  async stopContainer(name: string, graceSeconds: number): Promise<void> {
    const deadlineMs = graceSeconds * 1000 + this.transport.orderMs;
    const query = { t: graceSeconds };
    const answer = await this.#call({ method: 'POST', path: `/containers/${name}/stop`, query, deadlineMs });
    if (!isSuccess(answer.status) && answer.status !== 304 && answer.status !== 404) {
      throw this.transport.unexpected(`stop container ${name}`, answer);
    }
  }

  /** false = the engine refused, as it does for one that does not run. */
  async killContainer(name: string): Promise<boolean> {
    const query = { signal: 'KILL' };
    const answer = await this.#call({ method: 'POST', path: `/containers/${name}/kill`, query });
    return isSuccess(answer.status);
  }

  async removeContainer(name: string): Promise<void> {
    // Podman would give a running one 10 s to end; Docker does not know `timeout`.
    const query = { force: 1, v: 1, timeout: 0 };
    const request = { path: `/containers/${name}`, query, deadlineMs: this.transport.orderMs };
    const answer = await this.#call({ method: 'DELETE', ...request });
    // 409: a removal by another call is under way.
    if (!isSuccess(answer.status) && answer.status !== 404 && answer.status !== 409) {
      throw this.transport.unexpected(`remove container ${name}`, answer);
    }
  }

  async listContainers(label: string): Promise<readonly EngineListed[]> {
    const query = { all: 1, filters: JSON.stringify({ label: [label] }) };
    const answer = await this.#call({ method: 'GET', path: '/containers/json', query });
    return this.#read('list its containers', listShape, answer);
  }

  /** What the engine's own log holds now, as frames. null = no such container. */
  async readLog(name: string, signal: AbortSignal): Promise<IncomingMessage | null> {
    const query = { stdout: 1, stderr: 1 };
    const answer = await this.#open({ method: 'GET', path: `/containers/${name}/logs`, query, signal });
    return this.#streamOrMissing(`read the log of container ${name}`, answer);
  }

  /** Output from now on, incomplete: only a hint that there is some. Podman answers with the first output only. */
  async followLog(name: string, signal: AbortSignal): Promise<IncomingMessage | null> {
    const query = { stdout: 1, stderr: 1, follow: 1, tail: 0 };
    const request = { path: `/containers/${name}/logs`, query, deadlineMs: SILENT_MS, signal };
    const answer = await this.#open({ method: 'GET', ...request });
    return this.#streamOrMissing(`follow the log of container ${name}`, answer);
  }

  /** The Go file mode of a path in the container; null = there is no such path. */
  async statPath(name: string, path: string): Promise<number | null> {
    const answer = await this.#call({ method: 'HEAD', path: `/containers/${name}/archive`, query: { path } });
    if (answer.status === 404) return null;
    const mode = isSuccess(answer.status) ? modeIn(answer.headers) : null;
    if (mode === null) throw this.transport.unexpected(`look at ${path} in container ${name}`, answer);
    return mode;
  }

  /** A tar archive into the container's root, until `signal`, which is the call's only deadline. */
  putArchive(name: string, archive: NodeJS.ReadableStream, signal: AbortSignal): Promise<EngineAnswer> {
    // Else a file in place of a folder removes the folder with all that is in it.
    const query = { path: '/', noOverwriteDirNonDir: 1 };
    const path = `/containers/${name}/archive`;
    return this.#call({ method: 'PUT', path, query, upload: archive, deadlineMs: null, signal });
  }

  /** What is at `path` as a tar archive; null = nothing, or a symbolic link (which only Podman would follow). */
  async getArchive(name: string, path: string, signal?: AbortSignal): Promise<IncomingMessage | null> {
    const request = {
      path: `/containers/${name}/archive`,
      query: { path },
      deadlineMs: this.transport.orderMs,
    };
    const answer = await this.#open({
      method: 'GET',
      ...request,
      ...(signal === undefined ? {} : { signal }),
    });
    if ('status' in answer) {
      const { status, message } = answer;
      const noContainer = /^(no such container|no container with)/i.test(message);
      if ((status === 404 && !noContainer) || /not a directory/i.test(message)) return null;
      throw this.transport.unexpected(`read ${path} of container ${name}`, answer);
    }
    if (!isSymlink(modeIn(answer.headers) ?? 0)) return answer;
    answer.destroy();
    return null;
  }

  /** Events of these names about containers and images, one JSON object a line, until `signal`. */
  async events(events: readonly string[], signal: AbortSignal): Promise<IncomingMessage> {
    // Not by label: it would hold back what happens to images.
    const query = { filters: JSON.stringify({ type: ['container', 'image'], event: events }) };
    const answer = await this.#open({ method: 'GET', path: '/events', query, signal });
    if ('status' in answer) throw this.transport.unexpected('send its events', answer);
    return answer;
  }

  /** What it remembers until a time that is past, of what `filters` say; null where it does not tell. */
  async pastEvents(
    until: number,
    filters: object,
    signal: AbortSignal,
  ): Promise<readonly EngineEvent[] | null> {
    const query = { since: 1, until: (until / 1000).toFixed(3), filters: JSON.stringify(filters) };
    const answer = await this.#open({ method: 'GET', path: '/events', query, signal, deadlineMs: null });
    return 'status' in answer ? null : readEvents(await text(answer));
  }

  /** null = there is none of that name. */
  async inspectNetwork(name: string): Promise<EngineNetwork | null> {
    const answer = await this.#call({ method: 'GET', path: `/networks/${name}` });
    if (answer.status === 404) return null;
    return this.#read(`inspect network ${name}`, networkShape, answer);
  }

  /** No error where it is there already. */
  async createNetwork(body: object): Promise<void> {
    const answer = await this.#call({
      method: 'POST',
      path: '/networks/create',
      body,
      deadlineMs: this.transport.orderMs,
    });
    if (isSuccess(answer.status) || answer.status === 409 || /already (exists|used)/.test(answer.message))
      return;
    throw this.transport.unexpected('create the network of the jobs', answer);
  }

  async #askVersion(): Promise<EngineVersion> {
    const answer = await this.transport.call({ method: 'GET', path: '/version' });
    const found = this.#read('tell its version', versionShape, answer);
    const podman = found.Components?.some(({ Name }) => /podman/i.test(Name)) ?? false;
    const api = chooseApi(found.ApiVersion, found.MinAPIVersion ?? OLDEST_API);
    if (api !== null) return { kind: podman ? 'podman' : 'docker', version: found.Version, api: `v${api}` };
    const speaks = `API ${found.MinAPIVersion ?? '?'} to ${found.ApiVersion}`;
    const message = `The container engine at ${this.transport.place} (${found.Version}) speaks ${speaks}; ${OLDEST_API} to ${PREFERRED_API.newest} is needed.`;
    throw new TappetError('ENGINE_UNAVAILABLE', message, {
      fix: 'Use Docker 19.03 or newer, or Podman 4 or newer.',
    });
  }

  // Unversioned paths mean "your newest" and are to be removed from the engine: only /version is asked without.
  async #call(request: EngineRequest): Promise<EngineAnswer> {
    const { api } = await this.version();
    return this.transport.call({ ...request, path: `/${api}${request.path}` });
  }

  async #open(request: EngineRequest): Promise<IncomingMessage | EngineAnswer> {
    const { api } = await this.version();
    return this.transport.open({ ...request, path: `/${api}${request.path}` });
  }

  #streamOrMissing(what: string, answer: IncomingMessage | EngineAnswer): IncomingMessage | null {
    if (!('status' in answer)) return answer;
    if (answer.status === 404) return null;
    throw this.transport.unexpected(what, answer);
  }

  #read<T>(what: string, shape: z.ZodType<T>, answer: EngineAnswer): T {
    const parsed = isSuccess(answer.status) ? shape.safeParse(answer.body) : null;
    if (parsed?.success === true) return parsed.data;
    const odd =
      parsed === null ? answer : { ...answer, message: 'its answer is not in the form that was expected' };
    throw this.transport.unexpected(what, odd);
  }
}

/** Of Go's file mode. */
const SYMLINK_BIT = 2 ** 27;

export function isSymlink(mode: number): boolean {
  return Math.floor(mode / SYMLINK_BIT) % 2 === 1;
}

/** The mode of a path in what the engine says of it; null = nothing that could be read. */
function modeIn(headers: EngineAnswer['headers']): number | null {
  const header = headers['x-docker-container-path-stat'];
  if (typeof header !== 'string') return null;
  return pathStatShape.parse(JSON.parse(Buffer.from(header, 'base64').toString('utf8'))).mode;
}

/** The newest API version up to ours that the engine offers; null = none in common. */
export function chooseApi(newest: string, oldest: string): string | null {
  const top = compareApi(newest, PREFERRED_API.newest) > 0 ? PREFERRED_API.newest : newest;
  if (compareApi(top, OLDEST_API) < 0 || compareApi(oldest, top) > 0) return null;
  return top;
}

/** Docker says 409 for a name that is taken, Podman 500; "no such image" stands only in the body. */
function refusal(answer: EngineAnswer): 'name-taken' | 'image-missing' | 'network-missing' | 'refused' {
  const { status, message } = answer;
  if (status === 409 || holdsInOrder(message, 'name ', ' is already in use')) return 'name-taken';
  if (/no such image|image not known/i.test(message)) return 'image-missing';
  if (isNetworkMissing(message)) return 'network-missing';
  return 'refused';
}

export function isNetworkMissing(message: string): boolean {
  return holdsInOrder(message, 'network ', 'not found') || holdsInOrder(message, 'unable to find network');
}
