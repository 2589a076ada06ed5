import type { Verify } from './auth.ts';
import type { Bodies } from './bodies.ts';
import type { Clock } from './clock.ts';
import type { CloudEvent, NewEvent } from './event.ts';
import type { Json } from './json.ts';
import type { Log } from './log.ts';
import type { ObjectStore } from './objects.ts';
import type { ExecutionState } from './states.ts';
import type { EventOutcome, RoutedResult, StateRow, StateWrite } from './store.ts';

/**
 * The port of what lets events in: one instance per origin. A source sees neither store nor executor; whatever it
 * must remember it writes as state rows, in the transaction that accepts the event.
 */
export interface Source {
  /** Resolves when events are being taken. Errors are reported and retried by the host with a pause. */
  start(context: SourceContext): Promise<void>;
  /** Takes no more events. Idempotent; legal before `start`. */
  stop(): Promise<void>;
  /** Answers an HTTP request to this origin's endpoint; `http/` mounts it. */
  handle?(request: Request, info: RequestInfo): Promise<Response>;
  /**
   * Answers a request whose body it takes as a file. undefined = it does not: nothing of the body was read, and the
   * request goes the usual way, as that of any stranger. Absent = it takes none so.
   */
  receive?(request: Request, info: RequestInfo): Promise<Response | undefined>;
  /** Its callers are known by their headers alone (`verify` with an empty body): strangers hear 401 also while it does not run. */
  readonly knowsCallersByHeaders?: true;
  /** The next `count` times at or after `from` at which it would let an event in by itself. */
  preview?(from: number, count: number): readonly number[];
  /** The event that a person fires by hand for `trigger` at `time`: of this source's own type, with `data` in or over its own. */
  manual?(time: number, data: Json | undefined, trigger: string): ManualEvent;
  /** The clock was set back by `ms`: alarms that are set now wait too long. Only for sources that set any. */
  clockSetBack?(ms: number): void;
  /** What it waits for, where it runs but cannot do all of its work (a store that does not answer). */
  problem?(): SourceProblem | undefined;
  /** What it can tell of a trigger that listens to it; undefined = nothing (yet). Asked once per trigger of a list, so from memory. */
  status?(trigger: string): TriggerStatus | undefined;
}

export interface SourceProblem {
  /** In words for a reader: what is wrong, where. */
  readonly message: string;
  /** Epoch ms. */
  readonly since: number;
}

export interface TriggerStatus {
  /** Epoch ms of its first start at the place where it looks now, by the clock that dates what is there. */
  readonly firstStart: number;
  /** What was there before. */
  readonly existing: {
    /** So many of these are no events and start nothing. */
    readonly skipped: number;
    /** The first look at all of the place is over: `skipped` does not grow any more. */
    readonly complete: boolean;
  };
}

export type ManualEvent = Pick<CloudEvent, 'type' | 'source' | 'data'>;

export interface RequestInfo {
  /** Who calls: the other end of the connection, or whom a trusted proxy there names. */
  readonly remoteAddress: string;
  /** The other end of the connection, where a trusted proxy has named another `remoteAddress`. */
  readonly peerAddress?: string;
  /** `remoteAddress` is a trusted proxy's, which has not told for whom it calls. */
  readonly callerUntold?: true;
}

export interface SourceContext {
  /** Commits events and state rows; when it resolves, they are durable. Errors: STORE_UNAVAILABLE. */
  accept(params: SourceAccept): Promise<RoutedResult>;
  /** What became of an event, as soon as it is `decided`; undefined where that did not happen within `withinMs`. */
  outcome(uid: string, params: { until: 'decided'; withinMs: number }): Promise<EventOutcome | undefined>;
  /**
   * How these executions ended, or how they are after `withinMs`, when `signal` aborts, or at once where too many wait;
   * `bytes`: what the caller keeps meanwhile. Those that are gone are left out. Errors: STORE_UNAVAILABLE.
   */
  results(
    executions: readonly string[],
    params: { withinMs: number; bytes: number; signal: AbortSignal },
  ): Promise<readonly ExecutionResult[]>;
  readState(key: string): Promise<StateRow | undefined>;
  scanState(prefix: string, after: string | null, limit: number): Promise<StateRow[]>;
  /** Compiled from the trigger's `auth`; absent where the kind has none. */
  readonly verify?: Verify;
  /** Of a webhook whose sender asks with a token whether the address is right: takes that as a bearer token. */
  readonly verifyChallenge?: Verify;
  /** The object store of a connection; absent for other kinds. */
  readonly objects?: ObjectStore;
  /** For bodies that become files. */
  readonly bodies?: Bodies;
  readonly clock: Clock;
  readonly alarms: Alarms;
  /** A new unique id, for senders that bring none. */
  newId(): string;
  readonly log: Log;
}
export interface ExecutionResult {
  readonly execution: string;
  readonly state: ExecutionState;
  readonly ended: boolean;
  readonly reason: string | null;
  readonly message: string | null;
  /** Of a job with `output` and one task, when it has ended; null = it handed back nothing. */
  readonly output?: Json;
  /** The same of several tasks, by index; of the first 100. */
  readonly outputs?: Json[];
}
export interface SourceAccept {
  readonly events: readonly NewEvent[];
  /** The only trigger to consider; absent = the origin's own, or all that listen to it. */
  readonly trigger?: string;
  readonly state?: readonly StateWrite[];
}

/** One timer over an index of times, shared by all sources; sees jumps of the clock within 30 s. */
export interface Alarms {
  /** Calls `fn` once when the clock has reached `time`; returns a function that cancels it. */
  at(time: number, fn: () => void): () => void;
}
