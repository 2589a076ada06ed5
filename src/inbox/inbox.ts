import type { Clock } from '../core/clock.ts';
import { TappetError } from '../core/errors.ts';
import type { NewEvent, Origin, StoredEvent } from '../core/event.ts';
import type { Ids } from '../core/ids.ts';
import type { Log } from '../core/log.ts';
import type { SourceAccept } from '../core/source.ts';
import type { AcceptEvent, AcceptResult, EventOutcome, InboxStore, RoutedResult } from '../core/store.ts';
import { validateEvent } from './validate-event.ts';

export interface InboxDeps {
  readonly store: InboxStore;
  readonly ids: Ids;
  readonly clock: Clock;
  /**
   * Must queue its decisions at the store before it returns; may fail, the events are safe by then. Tells what became of
   * each, where it has decided it.
   */
  route(candidates: readonly StoredEvent[]): Promise<readonly (EventOutcome | undefined)[]>;
  /** Bound on an event's `data` as JSON; default 1 MiB. */
  maxDataBytes?(): number;
  readonly log?: Log;
}

/**
 * 30 days, where a source says nothing: what its own places (a slot, an object, a file) call the same stays the same
 * for long. Webhooks have a window of their own.
 */
export const REMEMBER_MS = 30 * 24 * 60 * 60_000;
const MAX_DATA_BYTES = 1024 * 1024;
/** More in one accept would hold the store's one writer too long. */
const MAX_EVENTS = 1_000;

/** The one door for events: commits them, once per identity, and has them decided in the same commit. */
export class Inbox {
  readonly #deps: InboxDeps;

  constructor(deps: InboxDeps) {
    this.#deps = deps;
  }

  /**
   * Stores events and state rows together and hands the events to routing. Resolves when both are durable; the
   * events' answer stands as soon as it resolves `stored`, even where routing failed (it tries again by itself).
   * `trigger` names the only trigger to consider; null = all that listen to `origin`.
   * Errors: INVALID_ARGUMENT and ID_REUSED (nothing stored), STORE_UNAVAILABLE (nothing stored, unless it says that it is not known).
   */
  async accept(origin: Origin, trigger: string | null, params: SourceAccept): Promise<RoutedResult> {
    const events = this.#prepare(trigger, params.events);
    const accepted = this.#deps.store.acceptEvents({ origin, events, state: params.state ?? [] });
    // The same turn: whatever is called between these two lines and the store's commit shares it.
    const routed = this.#route(origin, events);
    const result = await accepted;
    const { outcomes, failure } = await routed;
    // Where the events themselves were refused, their sender has heard of it: none waits.
    if (failure !== undefined)
      this.#deps.log?.warn('accepted events wait for their decision', {
        origin,
        events: events.length,
        error: failure.error,
      });
    return withOutcomes(result, outcomes);
  }

  #prepare(trigger: string | null, events: readonly NewEvent[]): AcceptEvent[] {
    if (events.length > MAX_EVENTS) {
      const message = `${events.length} events at once; at most ${MAX_EVENTS} are taken.`;
      throw new TappetError('INVALID_ARGUMENT', message, { path: 'events' });
    }
    return events.map(({ uid, event, claims, verdict, rememberMs, digest, identity, bounded }) => {
      validateEvent(event, bounded === true ? Infinity : (this.#deps.maxDataBytes?.() ?? MAX_DATA_BYTES));
      return {
        uid: uid ?? this.#deps.ids.uid(),
        trigger,
        event,
        claims: claims ?? null,
        verdict: verdict ?? null,
        rememberMs: rememberMs ?? REMEMBER_MS,
        ...(digest === undefined ? undefined : { digest }),
        ...(identity === undefined ? undefined : { identity }),
      };
    });
  }

  /** Never rejects: the sender's event is stored or not, whatever becomes of the decision. */
  async #route(origin: Origin, events: readonly AcceptEvent[]): Promise<Routed> {
    if (events.length === 0) return { outcomes: [] };
    try {
      return { outcomes: await this.#deps.route(this.#candidates(origin, events)) };
    } catch (error) {
      return { outcomes: [], failure: { error } };
    }
  }

  #candidates(origin: Origin, events: readonly AcceptEvent[]): StoredEvent[] {
    const receiveTime = this.#deps.clock.now();
    return events.map(({ uid, trigger, event, claims, verdict }) => ({
      uid,
      origin,
      trigger,
      event,
      claims,
      verdict,
      receiveTime,
      decideTime: null,
      duplicates: 0,
    }));
  }
}

interface Routed {
  readonly outcomes: readonly (EventOutcome | undefined)[];
  readonly failure?: { readonly error: unknown };
}

function withOutcomes(result: AcceptResult, outcomes: Routed['outcomes']): RoutedResult {
  if (result.outcome === 'conflict') return result;
  const events = result.events.map((event, i) => {
    const outcome = outcomes[i];
    if (outcome === undefined) return event;
    // No spread here: see “What a call makes dies with it” in docs/architecture.md.
    const { uid, duplicateOf } = event;
    return duplicateOf === undefined ? { uid, outcome } : { uid, duplicateOf, outcome };
  });
  return { outcome: 'stored', events };
}
