import type { TriggerDefinition } from '../core/config.ts';
import type { Clock } from '../core/clock.ts';
import { errorText } from '../core/errors.ts';
import type { StoredEvent } from '../core/event.ts';
import type { Ids } from '../core/ids.ts';
import type { Limits } from '../core/job.ts';
import type { Log } from '../core/log.ts';
import type { DecideParams, EventOutcome, NewDecision, RoutingStore } from '../core/store.ts';
import { considered, decideFor } from './decide-event.ts';
import type { RoutedJob } from './decide-event.ts';

export interface RouterDeps {
  readonly store: RoutingStore;
  readonly clock: Clock;
  readonly ids: Ids;
  /** The definitions as they are now: a reload replaces the maps. */
  triggers(): ReadonlyMap<string, TriggerDefinition>;
  jobs(): ReadonlyMap<string, RoutedJob>;
  limits(): Limits;
  /** Executions are on their way into the store, in the commit of this turn: a hint for the executor. */
  onExecutions(): void;
  readonly log: Log;
}

/** Decisions are made in the turn of the accept; the poll finds only what a crash or a refusing store left. */
const POLL_MS = 1_000;
const POLL_LIMIT = 500;
/** Another gateway on the same store may decide an event; nothing wakes us then. */
const WAIT_LOOK_MS = 250;

/**
 * Answers every stored event with one decision per trigger considered, in one transaction with the executions
 * that they cause. `stop` before `start` is legal; both are idempotent.
 */
export class Router {
  readonly #deps: RouterDeps;
  readonly #waiters = new Map<string, Set<() => void>>();
  #cancelPoll: (() => void) | undefined;
  #polling: Promise<void> = Promise.resolve();
  #running = false;
  #pollFailed = false;

  constructor(deps: RouterDeps) {
    this.#deps = deps;
  }

  /** Begins to look for events that nobody has decided, the first time at once. */
  async start(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    this.#polling = this.#poll();
    await this.#polling;
  }

  /** Resolves when the decision under way is stored. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#cancelPoll?.();
    this.#cancelPoll = undefined;
    await this.#polling;
  }

  /**
   * Queues the decisions of these events at the store before it returns, so that a caller who accepts and decides
   * in one turn gets one commit. Resolves when they are durable, with what became of each; undefined for one that is not
   * stored or was decided before. Errors: STORE_UNAVAILABLE (the poll tries again).
   */
  decideNow(events: readonly StoredEvent[]): Promise<(EventOutcome | undefined)[]> {
    return Promise.all(events.map((event) => this.#decide(event)));
  }

  /** What became of an event, as soon as it is decided; undefined where it is not stored or that took longer. */
  async waitDecided(uid: string, withinMs: number): Promise<EventOutcome | undefined> {
    let left = withinMs;
    for (;;) {
      // Before the read: a decision that commits while it runs must not be missed.
      const waiter = this.#waiter(uid);
      try {
        const outcome = await this.#deps.store.eventOutcome(uid);
        if (outcome === undefined || outcome.decided) return outcome;
        if (left <= 0) return undefined;
        const pause = Math.min(left, WAIT_LOOK_MS);
        left -= pause;
        await waiter.wait(pause);
      } finally {
        waiter.drop();
      }
    }
  }

  async #decide(event: StoredEvent): Promise<EventOutcome | undefined> {
    const params: DecideParams = { event: event.uid, decisions: this.#answers(event) };
    const decided = this.#deps.store.decide(params);
    // In this turn: what is claimed now shares the commit. Where the event turns out a duplicate, nothing is found.
    if (params.decisions.some(({ execution }) => execution !== undefined)) this.#deps.onExecutions();
    const outcome = await decided;
    for (const wake of this.#waiters.get(event.uid) ?? []) wake();
    return outcome;
  }

  #answers(event: StoredEvent): NewDecision[] {
    const { ids, log } = this.#deps;
    const deps = { jobs: this.#deps.jobs(), ids, limits: this.#deps.limits() };
    return considered(event, this.#deps.triggers()).map((trigger) => {
      try {
        return decideFor(trigger, event, deps);
      } catch (error) {
        // A mistake of ours. The event gets its answer all the same, or the poll would meet it for ever.
        log.error('a decision failed unexpectedly', { event: event.uid, trigger: trigger.name, error });
        return { trigger: trigger.name, outcome: 'failed', reason: `internal error: ${errorText(error)}` };
      }
    });
  }

  async #poll(): Promise<void> {
    let full = false;
    try {
      const events = await this.#deps.store.undecidedEvents(POLL_LIMIT);
      if (events.length > 0) await this.decideNow(events);
      full = events.length === POLL_LIMIT;
      this.#pollFailed = false;
    } catch (error) {
      // Once per outage: the next line of the log about it is that it is over, or nothing.
      if (!this.#pollFailed) this.#deps.log.warn('undecided events wait: the store refuses', { error });
      this.#pollFailed = true;
    }
    if (!this.#running) return;
    this.#cancelPoll = this.#deps.clock.setTimer(full ? 0 : POLL_MS, () => {
      this.#polling = this.#poll();
    });
  }

  #waiter(uid: string): { wait(ms: number): Promise<void>; drop(): void } {
    let wake = (): void => undefined;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    const set = this.#waiters.get(uid) ?? new Set();
    this.#waiters.set(uid, set.add(wake));
    return {
      wait: async (ms) => {
        const cancel = this.#deps.clock.setTimer(ms, wake);
        await woken;
        cancel();
      },
      drop: () => {
        set.delete(wake);
        if (set.size === 0) this.#waiters.delete(uid);
      },
    };
  }
}
