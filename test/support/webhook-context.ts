import type { Verify, VerifyResult } from '../../src/core/auth.ts';
import type { Bodies } from '../../src/core/bodies.ts';
import type { Decision } from '../../src/core/decision.ts';
import type { NewEvent } from '../../src/core/event.ts';
import type { ExecutionResult, SourceAccept, SourceContext } from '../../src/core/source.ts';
import type { EventOutcome, RoutedEvent, RoutedResult } from '../../src/core/store.ts';
import { HeapAlarms } from '../../src/lib/alarms.ts';
import { FakeLog } from './fake-log.ts';
import { ManualClock } from './manual-clock.ts';

/** A class, as the host's own context is: nothing of it is an own property. */
export class Context implements SourceContext {
  readonly clock = new ManualClock('2026-06-01T12:00:00Z');
  readonly alarms = new HeapAlarms(this.clock);
  readonly log = new FakeLog();
  readonly verify: Verify;
  bodies?: Bodies;
  /** By identity, the uid. */
  readonly #stored = new Map<string, string>();
  readonly events: NewEvent[] = [];
  /** Of all that came, duplicates included. */
  readonly digests: (string | undefined)[] = [];
  readonly waits: { uid: string; withinMs: number }[] = [];
  acceptFails: Error | undefined;
  outcomeFails: Error | undefined;
  conflict = false;
  decisions: readonly Partial<Decision>[] = [{ outcome: 'matched', reason: 'no filter', execution: 'job-1' }];
  decided = true;
  /** Told with the accept. */
  decidedAtOnce: EventOutcome | undefined;
  #ids = 0;

  constructor(result: VerifyResult | Verify = { ok: true, claims: {} }) {
    this.verify = typeof result === 'function' ? result : async () => result;
  }
  async accept({ events }: SourceAccept): Promise<RoutedResult> {
    if (this.acceptFails !== undefined) throw this.acceptFails;
    if (this.conflict) return { outcome: 'conflict', key: 'x' };
    return { outcome: 'stored', events: events.map((event) => this.#store(event)) };
  }
  #store(event: NewEvent): RoutedEvent {
    this.digests.push(event.digest);
    const identity = `${event.event.source} ${event.event.id}`;
    const before = this.#stored.get(identity);
    const uid = event.uid ?? `uid-${this.#stored.size}`;
    if (before !== undefined) return { uid: `${uid}-again`, duplicateOf: before };
    this.#stored.set(identity, uid);
    this.events.push(event);
    return this.decidedAtOnce === undefined ? { uid } : { uid, outcome: this.decidedAtOnce };
  }
  async outcome(uid: string, { withinMs }: { withinMs: number }): Promise<EventOutcome | undefined> {
    this.waits.push({ uid, withinMs });
    if (this.outcomeFails !== undefined) throw this.outcomeFails;
    if (!this.decided) return undefined;
    const base = {
      event: uid,
      trigger: 'call',
      outcome: 'matched',
      reason: '',
      clause: null,
      values: null,
      execution: null,
    };
    const decisions = this.decisions.map((change) => ({ ...base, decideTime: 0, ...change }) as Decision);
    return { decided: true, decisions };
  }
  readonly resultsAsked: { names: readonly string[]; withinMs: number; bytes: number }[] = [];
  ended: ExecutionResult[] = [];
  resultsFail: Error | undefined;
  /** Where `ended` is empty: until the source stops. */
  async results(
    names: readonly string[],
    { withinMs, bytes, signal }: { withinMs: number; bytes: number; signal: AbortSignal },
  ): Promise<ExecutionResult[]> {
    this.resultsAsked.push({ names, withinMs, bytes });
    if (this.resultsFail !== undefined) throw this.resultsFail;
    if (this.ended.length === 0 && withinMs > 0)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    return this.ended;
  }
  readState(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
  scanState(): Promise<[]> {
    return Promise.resolve([]);
  }
  newId(): string {
    return `new-${this.#ids++}`;
  }
}
