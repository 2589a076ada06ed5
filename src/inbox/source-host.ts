import type { Verify } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import { TappetError, errorText } from '../core/errors.ts';
import type { Origin } from '../core/event.ts';
import type { Json } from '../core/json.ts';
import type { Ids } from '../core/ids.ts';
import type { Log } from '../core/log.ts';
import type {
  Alarms,
  ManualEvent,
  RequestInfo,
  Source,
  SourceAccept,
  SourceContext,
} from '../core/source.ts';
import type { AcceptResult, EventOutcome, InboxStore, StateRow } from '../core/store.ts';
import { HeapAlarms } from '../lib/alarms.ts';
import type { Inbox } from './inbox.ts';

/** One origin to host. */
export interface HostedSource {
  /** The trigger's name: what `handle` and `preview` ask for. */
  readonly name: string;
  readonly kind: string;
  readonly origin: Origin;
  /** The only trigger that its events are for; null = all that listen to the origin. */
  readonly trigger: string | null;
  readonly source: Source;
  readonly verify?: Verify;
}

export interface SourceHostDeps {
  readonly inbox: Pick<Inbox, 'accept'>;
  readonly store: Pick<InboxStore, 'readState' | 'scanState'>;
  /** Routing's `waitDecided`. */
  waitDecided(uid: string, withinMs: number): Promise<EventOutcome | undefined>;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}

export interface SourceHealth {
  readonly name: string;
  readonly kind: string;
  /** `starting` until the first start has settled; `failed` while it waits to be tried again. */
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

  constructor(deps: SourceHostDeps, sources: Iterable<HostedSource>) {
    this.#deps = deps;
    this.#alarms = new HeapAlarms(deps.clock, {
      onError: (error) => deps.log.error('a source failed at its alarm', { error }),
      onSetBack: (ms) => this.#clockSetBack(ms),
    });
    for (const source of sources) this.#hosted.set(source.name, new Hosted(deps, this.#alarms, source));
  }

  /** Resolves when every source has been tried once; what failed is tried again by the clock. */
  async start(): Promise<void> {
    await Promise.all([...this.#hosted.values()].map((hosted) => hosted.start()));
  }

  /** Resolves when no source takes events any more. Idempotent; legal before `start`. */
  async stop(): Promise<void> {
    await Promise.all([...this.#hosted.values()].map((hosted) => hosted.stop()));
    this.#alarms.clear();
  }

  /**
   * Lets the named source answer a request; undefined where none of that name takes requests.
   * Errors: STORE_UNAVAILABLE with `retryAfter` while the source is not running.
   */
  handle(name: string, request: Request, info: RequestInfo): Promise<Response> | undefined {
    return this.#hosted.get(name)?.handle(request, info);
  }

  /** The next `count` times (epoch ms) from `from` on; undefined where the source has none of its own. */
  preview(name: string, from: number, count: number): readonly number[] | undefined {
    return this.#hosted.get(name)?.spec.source.preview?.(from, count);
  }

  /** undefined where there is no such source, or it has no event to fire by hand. */
  manual(name: string, time: number, data: Json | undefined): ManualEvent | undefined {
    return this.#hosted.get(name)?.spec.source.manual?.(time, data);
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
  readonly spec: HostedSource;
  readonly #deps: SourceHostDeps;
  readonly #alarms: Alarms;
  #state: SourceHealth['state'] = 'stopped';
  #message: string | null = null;
  #since: number;
  #pause = RETRY_MIN_MS;
  #cancelRetry: (() => void) | undefined;

  constructor(deps: SourceHostDeps, alarms: Alarms, spec: HostedSource) {
    this.spec = spec;
    this.#deps = deps;
    this.#alarms = alarms;
    this.#since = deps.clock.now();
  }

  async start(): Promise<void> {
    if (this.#state === 'starting' || this.#state === 'running') return;
    this.#set('starting', this.#message);
    try {
      await this.spec.source.start(new HostedContext(this.#deps, this.#alarms, this.spec));
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
    if (this.#state === 'running') return this.spec.source.handle(request, info);
    const retryAfter = Math.ceil(this.#pause / 1000);
    return Promise.reject(
      new TappetError('STORE_UNAVAILABLE', 'This endpoint is not ready yet.', { retryAfter }),
    );
  }

  health(): SourceHealth {
    const { name, kind } = this.spec;
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
  readonly #spec: HostedSource;

  constructor(deps: SourceHostDeps, alarms: Alarms, spec: HostedSource) {
    this.#deps = deps;
    this.alarms = alarms;
    this.#spec = spec;
    if (spec.verify !== undefined) this.verify = spec.verify;
  }

  readonly verify?: Verify;

  get clock(): Clock {
    return this.#deps.clock;
  }

  get log(): Log {
    return this.#deps.log;
  }

  accept(params: SourceAccept): Promise<AcceptResult> {
    return this.#deps.inbox.accept(this.#spec.origin, this.#spec.trigger, params);
  }

  outcome(uid: string, params: { until: 'decided'; withinMs: number }): Promise<EventOutcome | undefined> {
    return this.#deps.waitDecided(uid, params.withinMs);
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
