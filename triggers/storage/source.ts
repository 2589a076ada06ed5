import { errorText, isTappetError } from '../../src/core/errors.ts';
import type { Json } from '../../src/core/json.ts';
import type { NotificationSpec } from '../../src/core/objects.ts';
import type {
  ManualEvent,
  RequestInfo,
  Source,
  SourceContext,
  SourceProblem,
  TriggerStatus,
} from '../../src/core/source.ts';
import { Semaphore } from '../../src/lib/semaphore.ts';
import { backfill } from './backfill.ts';
import { readBody } from './body.ts';
import { FINALIZED } from './event.ts';
import { takeNotification } from './intake.ts';
import { dropLeftovers } from './leftovers.ts';
import { Ledger, type LedgerDeps } from './ledger.ts';
import { Listing } from './listing.ts';
import { Poll } from './poll.ts';
import { Watchers, type Root, type StorageTrigger } from './watchers.ts';

/** Listings at a time, of one connection. */
const PARALLEL_LISTINGS = 4;
/** A start waits so long for the first look at the store; it goes on without, where the store does not answer. */
const FIRST_LOOK_MS = 3_000;
/** Wrong calls are free to make: one line of log a second. */
const REFUSAL_LOG_MS = 1_000;

export interface StorageSourceParams {
  /** Name under `connections`. */
  readonly connection: string;
  /** Absent where the store sends none. */
  readonly dialect?: NotificationSpec['dialect'];
  readonly pollMs: number;
  /** Of this connection. */
  readonly triggers: readonly StorageTrigger[];
}

/** The source of one connection, shared by its triggers. `context.objects` must be there. */
export function createStorageSource(params: StorageSourceParams): Source {
  return new StorageSource(params);
}

interface Running {
  readonly context: SourceContext;
  readonly deps: LedgerDeps;
  readonly ledger: Ledger;
  readonly polls: ReadonlyMap<Root, Poll>;
}

/**
 * Learns of uploads in two ways, notifications and listings, which meet in the ledger (see `ledger.ts`): what one of
 * them misses the other finds, and what both tell is told once. It starts and takes notifications also while the
 * store cannot be listed; `problem` says why, and listings are tried again.
 */
class StorageSource implements Source {
  readonly knowsCallersByHeaders = true;
  readonly #params: StorageSourceParams;
  #running: Running | undefined;
  #starting: Promise<void> = Promise.resolve();
  #abort = new AbortController();
  #refusalLogTime = Number.NEGATIVE_INFINITY;

  constructor(params: StorageSourceParams) {
    this.#params = params;
  }

  async start(context: SourceContext): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#starting = this.#begin(context, abort);
    await this.#starting;
  }

  async #begin(context: SourceContext, abort: AbortController): Promise<void> {
    const { objects } = context;
    const { connection, triggers } = this.#params;
    if (objects === undefined) throw new TypeError(`connection ${connection} has no object store`);
    const watchers = new Watchers(triggers);
    await dropLeftovers(context, watchers, triggers, abort.signal);
    await watchers.read(context);
    if (abort.signal.aborted) return;
    const deps: LedgerDeps = { connection, context, objects, watchers, signal: abort.signal };
    const ledger = new Ledger(deps);
    const listings = new Semaphore(PARALLEL_LISTINGS);
    const polls = new Map(
      watchers.roots().map((root) => [root, this.#poll(deps, ledger, root, listings)] as const),
    );
    this.#running = { context, deps, ledger, polls };
    await firstLook(context, [...polls.values()]);
  }

  /** Waits also for a start under way: it writes the rows that the next source of this connection reads. */
  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    this.#abort.abort();
    await Promise.all([...(running?.polls.values() ?? [])].map((poll) => poll.stop()));
    // Whether it started is for its caller to know.
    await this.#starting.catch(() => undefined);
  }

  problem(): SourceProblem | undefined {
    const problems = [...(this.#running?.polls.values() ?? [])].flatMap(({ problem }) => problem ?? []);
    if (problems.length === 0) return undefined;
    return {
      message: [...new Set(problems.map(({ message }) => message))].join(' '),
      since: Math.min(...problems.map(({ since }) => since)),
    };
  }

  status(trigger: string): TriggerStatus | undefined {
    return this.#running?.deps.watchers.statusOf(trigger);
  }

  manual(_time: number, data: Json | undefined, trigger: string): ManualEvent {
    const bucket = this.#params.triggers.find(({ name }) => name === trigger)?.spec.bucket ?? '';
    const given = typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {};
    return {
      type: FINALIZED,
      source: `s3://${this.#params.connection}/${bucket}`,
      data: { kind: 'storage#object', bucket, metadata: {}, ...given },
    };
  }

  /** Takes a notification: 204 once it is stored, whatever it says; 401 to strangers, whose body is not even read. */
  async handle(request: Request, info: RequestInfo): Promise<Response> {
    const running = this.#running;
    const { dialect, connection } = this.#params;
    if (running === undefined) return unavailable(1);
    const { context, deps, ledger } = running;
    const { verify } = context;
    if (dialect === undefined || verify === undefined) return new Response(null, { status: 401 });
    const sender = await verify({ headers: request.headers, body: new Uint8Array(0), ...info });
    if (sender.ok !== true) return this.#refuse(context, sender.reason, info);
    try {
      const raw = await readBody(request);
      const soon = (bucket: string): void => listSoon(running, bucket);
      await takeNotification({ ledger, dialect, listSoon: soon, ...deps }, raw);
      this.#storeIsBack(running);
      return new Response(null, { status: 204 });
    } catch (error) {
      if (isTappetError(error, 'STORE_UNAVAILABLE')) return unavailable(error.fields.retryAfter ?? 1);
      context.log.error('a notification could not be taken', { connection, error: errorText(error) });
      return new Response(null, { status: isTappetError(error, 'INVALID_ARGUMENT') ? 400 : 500 });
    }
  }

  /** Whoever notifies is up: what a listing waits for may be over. */
  #storeIsBack({ polls }: Running): void {
    for (const poll of polls.values()) poll.hurry();
  }

  #poll(deps: LedgerDeps, ledger: Ledger, root: Root, listings: Semaphore): Poll {
    const work = (): Promise<void> =>
      listings.run(async () => {
        await deps.watchers.read(deps.context);
        await new Listing(deps, ledger, root).run();
        for (const trigger of deps.watchers.within(root)) {
          if (trigger.spec.existing === 'run') await backfill(deps, ledger, trigger);
        }
      });
    const { connection, pollMs } = this.#params;
    const place = `s3://${connection}/${root.bucket}/${root.prefix}`;
    return new Poll({ work, context: deps.context, pollMs, place });
  }

  #refuse({ clock, log }: SourceContext, reason: string, info: RequestInfo): Response {
    const since = clock.now() - this.#refusalLogTime;
    // Below zero: the clock was set back.
    if (since < 0 || since >= REFUSAL_LOG_MS) {
      this.#refusalLogTime = clock.now();
      const { connection } = this.#params;
      log.warn('a notification was refused', { connection, reason, remoteAddress: info.remoteAddress });
    }
    return new Response(null, { status: 401 });
  }
}

/** What cannot be listed is tried again by itself: a notification with each upload must not make that a storm. */
function listSoon({ polls }: Running, bucket: string): void {
  for (const [root, poll] of polls) {
    if (root.bucket !== bucket) continue;
    if (poll.problem === undefined) void poll.ring();
    else poll.hurry();
  }
}

/** Rings all listings; waits for them, but not for long: a large bucket, or a store that is silent, must not hold up. */
async function firstLook({ clock }: SourceContext, polls: readonly Poll[]): Promise<void> {
  const listed = Promise.all(polls.map((poll) => poll.ring()));
  let cancel = (): void => undefined;
  const enough = new Promise<void>((resolve) => {
    cancel = clock.setTimer(FIRST_LOOK_MS, resolve);
  });
  await Promise.race([listed, enough]);
  cancel();
}

function unavailable(retryAfter: number): Response {
  return new Response(null, { status: 503, headers: { 'retry-after': String(retryAfter) } });
}
