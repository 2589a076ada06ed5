import type { Clock } from '../core/clock.ts';
import { isTappetError, TappetError } from '../core/errors.ts';
import type { Ids } from '../core/ids.ts';
import type { Json } from '../core/json.ts';
import type { ManualEvent } from '../core/source.ts';
import type { ExecutionState } from '../core/states.ts';
import type { EventOutcome, FireOutcome, QueryStore } from '../core/store.ts';
import { dataDigest } from '../lib/data-digest.ts';
import type { Inbox } from './inbox.ts';

const DECISION_WAIT_MS = 5_000;
const PAGE_SIZE = 100;

export interface FireDeps {
  readonly inbox: Pick<Inbox, 'accept'>;
  readonly sources: {
    /** undefined where there is no such trigger. */
    manual(trigger: string, time: number, data: Json | undefined): ManualEvent | undefined;
  };
  waitDecided(uid: string, withinMs: number): Promise<EventOutcome | undefined>;
  readonly store: Pick<QueryStore, 'listExecutions'>;
  readonly clock: Clock;
  readonly ids: Ids;
}
export interface FireRequest {
  readonly trigger: string;
  readonly data: Json | undefined;
  /** The same key is the same event. */
  readonly idempotencyKey: string | undefined;
  /** Name of who asks; the event's origin. */
  readonly principal: string;
}

/**
 * An event of the trigger's own type, made by a person and stored like a real one; only that trigger considers it.
 * `outcome` is undefined where it is stored but what became of it could not be learned yet.
 * Errors, with nothing stored (unless it says that it is not known): NOT_FOUND, INVALID_ARGUMENT, STORE_UNAVAILABLE,
 * ID_REUSED (the key came with other data).
 */
export async function fireTrigger(
  deps: FireDeps,
  request: FireRequest,
): Promise<{ uid: string; outcome: FireOutcome | undefined }> {
  const now = deps.clock.now();
  const manual = deps.sources.manual(request.trigger, now, request.data);
  if (manual === undefined)
    throw new TappetError('NOT_FOUND', `There is no trigger "${request.trigger}" to fire.`);
  const event = {
    ...manual,
    specversion: '1.0',
    id: request.idempotencyKey ?? deps.ids.uid(),
    time: new Date(now).toISOString(),
    datacontenttype: 'application/json',
  } as const;
  const result = await deps.inbox.accept(`api/${request.principal}`, request.trigger, {
    events: [request.idempotencyKey === undefined ? { event } : { event, digest: dataDigest(request.data) }],
  });
  const accepted = result.outcome === 'stored' ? result.events[0] : undefined;
  // No state row was given, so that there is nothing to conflict with.
  if (accepted === undefined) throw new TypeError('an accepted event has no answer');
  const uid = accepted.duplicateOf ?? accepted.uid;
  return { uid, outcome: await outcomeOf(deps, uid, accepted.outcome) };
}

async function outcomeOf(
  deps: FireDeps,
  uid: string,
  known: EventOutcome | undefined,
): Promise<FireOutcome | undefined> {
  try {
    const outcome = known ?? (await deps.waitDecided(uid, DECISION_WAIT_MS));
    return outcome && { ...outcome, executions: await executionsOf(deps.store, uid) };
  } catch (error) {
    // The event is stored and will be decided: an error here would say that it is not.
    if (isTappetError(error, 'STORE_UNAVAILABLE')) return undefined;
    throw error;
  }
}

/** Oldest first. */
async function executionsOf(store: FireDeps['store'], event: string): Promise<FireOutcome['executions']> {
  const newestFirst: [string, ExecutionState][] = [];
  let cursor: string | null | undefined;
  while (cursor !== null) {
    const page = { size: PAGE_SIZE, ...(cursor !== undefined && { cursor }) };
    const { items, nextCursor } = await store.listExecutions({ event }, page);
    newestFirst.push(...items.map(({ name, state }): [string, ExecutionState] => [name, state]));
    cursor = nextCursor;
  }
  return Object.fromEntries(newestFirst.toReversed());
}
