import { isDeepStrictEqual } from 'node:util';
import type { Verify } from '../core/auth.ts';
import type { Bodies } from '../core/bodies.ts';
import type { Clock } from '../core/clock.ts';
import { TappetError, errorText } from '../core/errors.ts';
import type { Origin } from '../core/event.ts';
import type { Json } from '../core/json.ts';
import type { Ids } from '../core/ids.ts';
import type { Log } from '../core/log.ts';
import type { ObjectStore } from '../core/objects.ts';
import type {
  Alarms,
  ExecutionResult,
  ManualEvent,
  RequestInfo,
  Source,
  SourceAccept,
  SourceContext,
  TriggerStatus,
} from '../core/source.ts';
import type { EventOutcome, InboxStore, RoutedResult, StateRow } from '../core/store.ts';
import { HeapAlarms } from '../lib/alarms.ts';
import type { Inbox } from './inbox.ts';
import type { ResultWaits, WaitParams } from './results.ts';

/** One origin to host. */
export interface HostedSource {
  /** Of the trigger or the connection, for readers. */
  readonly name: string;
  readonly kind: string;
  readonly origin: Origin;
  /** The only trigger that its events are for; null = all that listen to the origin. */
  readonly trigger: string | null;
  /** All that `source` was made from: where a reload finds the same, the one that runs goes on. Absent = it never does. */
  readonly settings?: unknown;
  readonly source: Source;
  readonly verify?: Verify;
  /** Of the token by which a sender asks whether the address is right. */
  readonly verifyChallenge?: Verify;
  /** A connection's. */
  readonly objects?: ObjectStore;
}

export interface SourceHostDeps {
  readonly inbox: Pick<Inbox, 'accept'>;
  readonly store: Pick<InboxStore, 'readState' | 'scanState'>;
  /** Of callers that wait for results; absent = there are none. */
  readonly waits?: ResultWaits;
  /** Absent = no source takes bodies as files. */
  readonly bodies?: Bodies;
  /** Routing's `waitDecided`. */
  waitDecided(uid: string, withinMs: number): Promise<EventOutcome | undefined>;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

export interface SourceHealth {
  readonly name: string;
  readonly kind: string;
  /** `starting` until the first start has settled; `failed` while it waits to be tried again, or for what it needs. */
  readonly state: 'starting' | 'running' | 'failed' | 'stopped';
  /** Why it failed. */
  readonly message: string | null;
  /** Epoch ms of the last change of `state`. */
  readonly since: number;
}

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;

/**
 * Runs the sources. Each is `stopped` → `starting` → `running`, or `failed` ⇄ `starting` with a pause of 1 s that
 * doubles up to 60 s; `stop` makes all of them `stopped` from any state.
 */
export class SourceHost {
  readonly #deps: SourceHostDeps;
  readonly #alarms: HeapAlarms;
  readonly #hosted = new Map<string, Hosted>();
  #state: 'new' | 'started' | 'stopped' = 'new';

  constructor(deps: SourceHostDeps, sources: Iterable<HostedSource>) {
    this.#deps = deps;
    this.#alarms = new HeapAlarms(deps.clock, {
      onError: (error) => deps.log.error('a source failed at its alarm', { error }),
      onSetBack: (ms) => this.#clockSetBack(ms),
    });
    for (const source of sources) this.#hosted.set(source.origin, new Hosted(deps, this.#alarms, source));
  }

  /** Resolves when every source has been tried once; what failed is tried again by the clock. */
  async start(): Promise<void> {
    this.#state = 'started';
    await Promise.all([...this.#hosted.values()].map((hosted) => hosted.start()));
  }

  /**
   * Hosts these instead. In this turn: from here on requests go to them. One whose settings are the same goes on as it
   * is, with the new check of its callers; a changed one starts when its forerunner has stopped, as both write the same
   * rows, and requests wait for that. What is under way in a source that stops ends there. Resolves when the others
   * have stopped and each new one was tried once.
   */
  async replace(sources: Iterable<HostedSource>): Promise<void> {
    const before = new Map(this.#hosted);
    this.#hosted.clear();
    const work: Promise<void>[] = [];
    for (const source of sources) {
      const old = before.get(source.origin);
      before.delete(source.origin);
      const kept = old?.takes(source) === true ? old : undefined;
      const hosted = kept ?? new Hosted(this.#deps, this.#alarms, source);
      this.#hosted.set(source.origin, hosted);
      if (kept !== undefined) continue;
      const stopped = old?.stop();
      if (this.#state === 'started') work.push(hosted.start(stopped));
    }
    for (const gone of before.values()) work.push(gone.stop());
    await Promise.all(work);
  }

  /** Resolves when no source takes events any more. Idempotent; legal before `start`. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    await Promise.all([...this.#hosted.values()].map((hosted) => hosted.stop()));
    this.#alarms.clear();
  }

  /**
   * Lets the source of this origin answer a request; undefined where there is none that takes requests.
   * Errors: STORE_UNAVAILABLE with `retryAfter` while the source is not running, for callers that it would let in
   * (where it knows them by their headers; else for all).
   */
  handle(origin: Origin, request: Request, info: RequestInfo): Promise<Response> | undefined {
    return this.#hosted.get(origin)?.handle(request, info);
  }

  takesFiles(origin: Origin): boolean {
    return this.#hosted.get(origin)?.spec.source.receive !== undefined;
  }

  /**
   * Lets it answer a request whose body it takes as a file, see `Source.receive`; undefined, at once or later: it does not.
   * Errors: STORE_UNAVAILABLE with `retryAfter` while it is not running, for callers that it would let in.
   */
  receive(origin: Origin, request: Request, info: RequestInfo): Promise<Response | undefined> | undefined {
    return this.#hosted.get(origin)?.receive(request, info);
  }

  /** The next `count` times (epoch ms) from `from` on; undefined where the source has none of its own. */
  preview(origin: Origin, from: number, count: number): readonly number[] | undefined {
    return this.#hosted.get(origin)?.spec.source.preview?.(from, count);
  }

  /** For a trigger that listens to `origin`; undefined where there is no such source, or it has no event to fire by hand. */
  manual(
    origin: Origin,
    params: { readonly trigger: string; readonly time: number; readonly data: Json | undefined },
  ): ManualEvent | undefined {
    const { trigger, time, data } = params;
    return this.#hosted.get(origin)?.spec.source.manual?.(time, data, trigger);
  }

  /** What the source of `origin` tells of a trigger that listens to it; undefined where there is none, or it tells nothing. */
  status(origin: Origin, trigger: string): TriggerStatus | undefined {
    return this.#hosted.get(origin)?.spec.source.status?.(trigger);
  }

  health(): SourceHealth[] {
    return [...this.#hosted.values()].map((hosted) => hosted.health());
  }

  #clockSetBack(ms: number): void {
    this.#deps.log.warn('the clock was set back', { ms });
    for (const hosted of this.#hosted.values()) hosted.spec.source.clockSetBack?.(ms);
  }
}

/** One source and the state of its start. */
class Hosted {
  #spec: HostedSource;
  #context: HostedContext | undefined;
  #starting: Promise<void> = Promise.resolve();
  readonly #deps: SourceHostDeps;
  readonly #alarms: Alarms;
  #state: SourceHealth['state'] = 'stopped';
  #message: string | null = null;
  #since: number;
  #pause = RETRY_MIN_MS;
  #cancelRetry: (() => void) | undefined;

  constructor(deps: SourceHostDeps, alarms: Alarms, spec: HostedSource) {
    this.#spec = spec;
    this.#deps = deps;
    this.#alarms = alarms;
    this.#since = deps.clock.now();
  }

  get spec(): HostedSource {
    return this.#spec;
  }

  /** Goes on for `next`, where that asks for the very same source; what it brings beside the source counts at once. */
  takes(next: HostedSource): boolean {
    const { settings, kind, source } = this.#spec;
    if (settings === undefined || kind !== next.kind) return false;
    if (!isDeepStrictEqual(settings, next.settings)) return false;
    this.#spec = { ...next, source };
    this.#context?.exchange(this.#spec);
    return true;
  }

  /** Resolves when it was tried once, which is not before `after`. */
  async start(after?: Promise<void>): Promise<void> {
    if (this.#state === 'starting' || this.#state === 'running') return;
    this.#set('starting', this.#message);
    this.#starting = this.#try(after);
    await this.#starting;
  }

  async #try(after: Promise<void> | undefined): Promise<void> {
    try {
      await after;
      if (this.#stopped()) return;
      this.#context = new HostedContext(this.#deps, this.#alarms, this.spec);
      await this.spec.source.start(this.#context);
      if (this.#stopped()) return;
      this.#pause = RETRY_MIN_MS;
      this.#set('running', null);
    } catch (error) {
      if (!this.#stopped()) this.#retry(error);
    }
  }

  async stop(): Promise<void> {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    if (this.#state !== 'stopped') this.#set('stopped', null);
    try {
      await this.spec.source.stop();
    } catch (error) {
      this.#deps.log.warn('a source did not stop cleanly', { source: this.spec.name, error });
    }
  }

  handle(request: Request, info: RequestInfo): Promise<Response> | undefined {
    if (this.spec.source.handle === undefined) return undefined;
    return this.#state === 'running' ? this.#answer(request, info) : this.#whenReady(request, info);
  }

  receive(request: Request, info: RequestInfo): Promise<Response | undefined> | undefined {
    const { source } = this.spec;
    if (source.receive === undefined) return undefined;
    return this.#state === 'running' ? source.receive(request, info) : this.#receiveWhenReady(request, info);
  }

  async #receiveWhenReady(request: Request, info: RequestInfo): Promise<Response | undefined> {
    if (!(await this.#knows(request, info))) return undefined;
    if (this.#state === 'starting') await this.#starting;
    if (this.#state !== 'running') throw this.#notReady();
    return this.spec.source.receive?.(request, info);
  }

  /** That a source does not run is nothing for a stranger to know. */
  async #whenReady(request: Request, info: RequestInfo): Promise<Response> {
    const byHeaders = this.#spec.source.knowsCallersByHeaders === true;
    if (byHeaders && !(await this.#knows(request, info))) return new Response(null, { status: 401 });
    if (this.#state === 'starting') await this.#starting;
    return this.#answer(request, info);
  }

  /** By the headers alone. */
  async #knows({ headers }: Request, info: RequestInfo): Promise<boolean> {
    const caller = await this.#spec.verify?.({ headers, body: new Uint8Array(0), ...info });
    return caller?.ok === true;
  }

  async #answer(request: Request, info: RequestInfo): Promise<Response> {
    const { source } = this.#spec;
    if (this.#state === 'running' && source.handle !== undefined) return source.handle(request, info);
    throw this.#notReady();
  }

  #notReady(): TappetError {
    const retryAfter = Math.ceil(this.#pause / 1000);
    return new TappetError('STORE_UNAVAILABLE', 'This endpoint is not ready yet.', { retryAfter });
  }

  health(): SourceHealth {
    const { name, kind, source } = this.spec;
    const problem = this.#state === 'running' ? source.problem?.() : undefined;
    if (problem !== undefined) return { name, kind, state: 'failed', ...problem };
    return { name, kind, state: this.#state, message: this.#message, since: this.#since };
  }

  /** `stop` was called while a start was under way. */
  #stopped(): boolean {
    return this.#state === 'stopped';
  }

  #retry(error: unknown): void {
    this.#set('failed', errorText(error));
    this.#deps.log.warn('a source did not start', { source: this.spec.name, retryInMs: this.#pause, error });
    this.#cancelRetry = this.#deps.clock.setTimer(this.#pause, () => {
      this.#cancelRetry = undefined;
      void this.start();
    });
    this.#pause = Math.min(this.#pause * 2, RETRY_MAX_MS);
  }

  #set(state: SourceHealth['state'], message: string | null): void {
    this.#state = state;
    this.#message = message;
    this.#since = this.#deps.clock.now();
  }
}

/** What one source sees of the gateway. A class, not closures: there may be ten thousand of them. */
class HostedContext implements SourceContext {
  readonly alarms: Alarms;
  readonly #deps: SourceHostDeps;
  #spec: HostedSource;

  constructor(deps: SourceHostDeps, alarms: Alarms, spec: HostedSource) {
    this.#deps = deps;
    this.alarms = alarms;
    this.#spec = spec;
    const { verify } = spec;
    // The one that counts at the time: its secret may have changed since the source started.
    if (verify !== undefined) this.verify = (request) => (this.#spec.verify ?? verify)(request);
    const { verifyChallenge: challenge } = spec;
    if (challenge !== undefined)
      this.verifyChallenge = (request) => (this.#spec.verifyChallenge ?? challenge)(request);
    if (spec.objects !== undefined) this.objects = spec.objects;
    if (deps.bodies !== undefined) this.bodies = deps.bodies;
  }

  readonly verify?: Verify;
  readonly verifyChallenge?: Verify;
  readonly objects?: ObjectStore;
  readonly bodies?: Bodies;

  /** For a source that goes on after a reload. */
  exchange(spec: HostedSource): void {
    this.#spec = spec;
  }

  get clock(): Clock {
    return this.#deps.clock;
  }

  get log(): Log {
    return this.#deps.log;
  }

  accept(params: SourceAccept): Promise<RoutedResult> {
    return this.#deps.inbox.accept(this.#spec.origin, params.trigger ?? this.#spec.trigger, params);
  }

  outcome(uid: string, params: { until: 'decided'; withinMs: number }): Promise<EventOutcome | undefined> {
    return this.#deps.waitDecided(uid, params.withinMs);
  }

  results(executions: readonly string[], params: WaitParams): Promise<ExecutionResult[]> {
    return this.#deps.waits?.wait(executions, params) ?? Promise.resolve([]);
  }

  readState(key: string): Promise<StateRow | undefined> {
    return this.#deps.store.readState(this.#spec.origin, key);
  }

  scanState(prefix: string, after: string | null, limit: number): Promise<StateRow[]> {
    return this.#deps.store.scanState(this.#spec.origin, prefix, after, limit);
  }

  newId(): string {
    return this.#deps.ids.uid();
  }
}
