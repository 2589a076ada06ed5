import type { Clock } from '../../src/core/clock.ts';
import { TappetError } from '../../src/core/errors.ts';
import type { StoredEvent } from '../../src/core/event.ts';
import type {
  AcceptParams,
  AcceptResult,
  DecideParams,
  EventOutcome,
  InboxStore,
  NewDecision,
  RoutingStore,
  StateRow,
} from '../../src/core/store.ts';

interface Kept {
  event: StoredEvent;
  decisions: readonly NewDecision[] | null;
}

/** The inbox's and the router's part of a store, in memory: calls of one turn "commit" together at its end. */
export class MemoryStore implements InboxStore, RoutingStore {
  /** What every call is refused with while it stands. */
  refuse: Error | undefined;
  /** One entry per commit: the names of the calls in it. */
  readonly commits: string[][] = [];
  readonly state = new Map<string, StateRow>();
  readonly events = new Map<string, Kept>();
  readonly #identities = new Map<string, { uid: string; digest: string | undefined }>();
  readonly #clock: Clock;
  #waiting: { name: string; run: () => void }[] = [];
  #version = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The events in the order of their acceptance. */
  list(): StoredEvent[] {
    return [...this.events.values()].map((kept) => kept.event);
  }

  decisions(uid: string): readonly NewDecision[] | null {
    return this.events.get(uid)?.decisions ?? null;
  }

  acceptEvents(params: AcceptParams): Promise<AcceptResult> {
    return this.#write('accept', () => this.#accept(params));
  }

  decide(params: DecideParams): Promise<EventOutcome | undefined> {
    return this.#write('decide', () => {
      const kept = this.events.get(params.event);
      if (kept === undefined || kept.decisions !== null) return undefined;
      kept.decisions = params.decisions;
      kept.event = { ...kept.event, decideTime: this.#clock.now() };
      return { decided: true, decisions: [] };
    });
  }

  async readState(origin: string, key: string): Promise<StateRow | undefined> {
    this.#check();
    return this.state.get(`${origin} ${key}`);
  }

  async scanState(origin: string, prefix: string, after: string | null, limit: number): Promise<StateRow[]> {
    this.#check();
    const rows = [...this.state]
      .filter(([key]) => key.startsWith(`${origin} ${prefix}`))
      .map(([, row]) => row)
      .toSorted((a, b) => byBytes(a.key, b.key));
    return rows.filter((row) => after === null || byBytes(row.key, after) > 0).slice(0, limit);
  }

  async undecidedEvents(limit: number): Promise<StoredEvent[]> {
    this.#check();
    const kept = [...this.events.values()].filter((one) => one.decisions === null);
    return kept.slice(0, limit).map((one) => one.event);
  }

  async eventOutcome(uid: string): Promise<EventOutcome | undefined> {
    this.#check();
    const kept = this.events.get(uid);
    if (kept === undefined) return undefined;
    return { decided: kept.decisions !== null, decisions: [] };
  }

  #accept({ origin, events, state }: AcceptParams): AcceptResult {
    for (const { key, expect } of state) {
      const version = this.state.get(`${origin} ${key}`)?.version ?? null;
      if (expect !== undefined && expect !== version) return { outcome: 'conflict', key };
    }
    for (const { key, value } of state) {
      if (value === null) this.state.delete(`${origin} ${key}`);
      else this.state.set(`${origin} ${key}`, { key, value, version: ++this.#version });
    }
    const accepted = events.map(({ uid, trigger, event, claims, verdict, digest, identity: of = event }) => {
      const identity = JSON.stringify([origin, of.source, of.id]);
      const known = this.#identities.get(identity);
      if (known !== undefined && digest !== undefined && digest !== (known.digest ?? digest))
        throw new TappetError('ID_REUSED', 'other data');
      if (known !== undefined) return { uid, duplicateOf: known.uid };
      this.#identities.set(identity, { uid, digest });
      const row = {
        uid,
        origin,
        trigger,
        event,
        claims,
        verdict,
        receiveTime: this.#clock.now(),
        decideTime: null,
      };
      this.events.set(uid, { event: { ...row, duplicates: 0 }, decisions: null });
      return { uid };
    });
    return { outcome: 'stored', events: accepted };
  }

  #write<T>(name: string, operation: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const run = (): void => {
        if (this.refuse !== undefined) return reject(this.refuse);
        try {
          resolve(operation());
        } catch (error) {
          reject(error);
        }
      };
      if (this.#waiting.push({ name, run }) === 1) setImmediate(() => this.#commit());
    });
  }

  #commit(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    this.commits.push(batch.map(({ name }) => name));
    for (const { run } of batch) run();
  }

  #check(): void {
    if (this.refuse !== undefined) throw this.refuse;
  }
}

export const refused = (): TappetError =>
  new TappetError('STORE_UNAVAILABLE', 'the disk is full', { retryAfter: 1 });

/** The order of keys in a store. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
