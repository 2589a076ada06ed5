import type { AdmissionSettings, Charge, Host, Reservation } from './admission.ts';
import type { Decision, DecisionOutcome } from './decision.ts';
import type { EngineStore } from './engine-store.ts';
import type { NewEvent, Origin, SourceVerdict, StoredEvent } from './event.ts';
import type {
  Attempt,
  AttemptKey,
  AttemptResult,
  Execution,
  LogBytes,
  NewExecution,
  RenderedSpec,
  Task,
} from './execution.ts';
import type { JsonObject, Json } from './json.ts';
import type { NotificationStore } from './notify.ts';
import type { Page, PageParams } from './page.ts';
import type { ExecutionState } from './states.ts';
import type { AttemptUsage } from './usage.ts';

export type * from './engine-store.ts';
export type { Page, PageParams } from './page.ts';

/**
 * The store port. Every method is one transaction, named after what the caller wants. All writes of one
 * event-loop turn share one commit, each in its own savepoint, in the order of the calls; a promise settles only
 * after the commit is durable. So a `decide` called in the turn of its `acceptEvents` commits with it.
 * Errors, from any method: STORE_UNAVAILABLE (disk full, locked for too long, closed), with nothing stored; or, where
 * the disk failed after the commit and the message says so, perhaps with all of it: every call may be repeated.
 * The store stamps times by its own clock.
 */
export interface Store
  extends
    InboxStore,
    RoutingStore,
    DefinitionStore,
    EngineStore,
    ExecutorStore,
    QueryStore,
    NotificationStore,
    MaintenanceStore {
  /** Opens, migrates forward. Errors: DATA_FOLDER_UNUSABLE. */
  open(): Promise<void>;
  /** Commits what was called before, then refuses. Idempotent. */
  close(): Promise<void>;
  /** Made once per store and kept: the prefix of container names, `tappet-<6 base32 digits>`. */
  instance(): string;
}

// ---- inbox -------------------------------------------------------------------------------------------------

export interface InboxStore {
  /**
   * Commits events, identities and state rows together, or nothing (`conflict`: an `expect` no longer held).
   * Errors: ID_REUSED where an identity is known with another digest; then nothing was stored.
   */
  acceptEvents(params: AcceptParams): Promise<AcceptResult>;
  /** What is committed, also where it may still be on its way to the disk: for what only leads to a later write. So does `scanState`. */
  readState(origin: Origin, key: string): Promise<StateRow | undefined>;
  /** Rows whose key starts with `prefix`, in key order, after `after`. */
  scanState(origin: Origin, prefix: string, after: string | null, limit: number): Promise<StateRow[]>;
}
export interface AcceptParams {
  readonly origin: Origin;
  readonly events: readonly AcceptEvent[];
  readonly state: readonly StateWrite[];
}
export interface AcceptEvent extends Pick<NewEvent, 'event' | 'digest' | 'identity'> {
  readonly uid: string;
  readonly trigger: string | null;
  readonly claims: JsonObject | null;
  readonly verdict: SourceVerdict | null;
  readonly rememberMs: number;
}
export interface StateRow {
  readonly key: string;
  readonly value: Json;
  /** Changes with every write. */
  readonly version: number;
}
export interface StateWrite {
  readonly key: string;
  /** The version that must still stand; null = the row must not exist; absent = whatever stands. */
  readonly expect?: number | null;
  /** null deletes the row. */
  readonly value: Json;
  /** Epoch ms after which the row may be pruned. */
  readonly expires?: number;
}
export type AcceptResult =
  | { readonly outcome: 'stored'; readonly events: readonly AcceptedEvent[] }
  | { readonly outcome: 'conflict'; readonly key: string };
/**
 * `duplicateOf` is the uid of the first event with this identity; then nothing was stored for this one. What is added
 * here, `withOutcomes` of the inbox has to pass on.
 */
export interface AcceptedEvent {
  readonly uid: string;
  readonly duplicateOf?: string;
}
/** `outcome`: what became of it, where it was decided with it, as it almost always is. */
export interface RoutedEvent extends AcceptedEvent {
  readonly outcome?: EventOutcome;
}
/** What the inbox tells of an accept. */
export type RoutedResult =
  | { readonly outcome: 'stored'; readonly events: readonly RoutedEvent[] }
  | Exclude<AcceptResult, { readonly outcome: 'stored' }>;

// ---- routing -----------------------------------------------------------------------------------------------

export interface RoutingStore {
  /** Events without an answer yet, oldest first. */
  undecidedEvents(limit: number): Promise<StoredEvent[]>;
  /**
   * All decisions on one event and the executions that they cause, once. Tells what became of it, as `eventOutcome` does;
   * undefined where the event is not stored or has been decided before.
   */
  decide(params: DecideParams): Promise<EventOutcome | undefined>;
  /**
   * What became of an event, or undefined where there is none. Of one that was pruned before its identity was
   * forgotten: the decisions, without the values that they read.
   */
  eventOutcome(uid: string): Promise<EventOutcome | undefined>;
}
export interface DecideParams {
  readonly event: string;
  readonly decisions: readonly NewDecision[];
}
export interface NewDecision {
  readonly trigger: string;
  readonly outcome: DecisionOutcome;
  readonly reason: string;
  readonly clause?: string;
  readonly values?: JsonObject;
  readonly execution?: NewExecution;
}
export interface EventOutcome {
  readonly decided: boolean;
  readonly decisions: readonly Decision[];
}

/** What became of an event, and the state of each of its executions, re-runs too, by name. */
export interface FireOutcome extends EventOutcome {
  readonly executions: Readonly<Record<string, ExecutionState>>;
}

// ---- definitions -------------------------------------------------------------------------------------------

export interface DefinitionStore {
  /**
   * Tells the store which jobs and triggers the configuration now has. Gives each its lasting identity: a new name
   * gets generation 1, a changed etag the next generation; what is no longer there keeps its row as deleted and
   * gets it back when it returns. Executions whose turn comes by another limit may be claimed afterwards.
   */
  syncDefinitions(definitions: readonly DefinitionKey[]): Promise<DefinitionRow[]>;
}
export interface DefinitionKey {
  readonly kind: 'job' | 'trigger';
  readonly name: string;
  readonly etag: string;
  /** Of a job: so many of its executions run at the same time, the others wait their turn; absent = any number. */
  readonly maxConcurrentExecutions?: number;
  /** Of a job: somebody is told when it fails or recovers; absent = nobody, and how it last ended is forgotten. */
  readonly tellsOfFailures?: true;
}
export interface DefinitionRow extends DefinitionKey {
  readonly uid: string;
  readonly generation: number;
  readonly createTime: number;
  readonly updateTime: number;
  /** Who defined it: `config` for files. */
  readonly creator: string;
}

// ---- executor ----------------------------------------------------------------------------------------------

export interface ExecutorStore {
  /** A run asked for by the API. */
  createExecution(execution: NewExecution): Promise<Execution>;
  /**
   * Writes STARTING attempts for at most `limit` tasks that may run now (parallelism, notBefore), the execution
   * with the fewest running tasks first, then the oldest; none past its deadline. Executions and tasks become RUNNING
   * with it. With a `room`, only what it admits, see `Ledger`; what can never fit ends as NEVER_FITS.
   */
  claimAttempts(params: ClaimParams): Promise<ClaimResult>;
  /** Of one task, by attempt number, those that have ended too. */
  listAttempts(execution: string, index: number): Promise<Attempt[]>;
  /** The attempts of this engine that have not ended, for adoption. */
  openAttempts(engine: string): Promise<Claim[]>;
  /** Stores what `task` templates became, before the engine is asked. */
  attemptRendered(key: AttemptKey, epoch: number, rendered: RenderedSpec): Promise<void>;
  /** The engine has this image now because Tappet pulled it: pruning may remove it. Errors: STALE_EPOCH. */
  imagePulled(params: ImagePulled): Promise<void>;
  /**
   * The process runs (STARTING → RUNNING). Sets deadline; the execution's first also says which image all others run.
   * No change where it is RUNNING already.
   */
  attemptStarted(params: AttemptStarted): Promise<Attempt>;
  /** Writes the intent to stop, once; the first reason stays. Returns the row. */
  requestStop(key: AttemptKey, epoch: number, reason: 'timeout'): Promise<Attempt>;
  /** What running attempts have used so far, so that it outlives this process. Those that have ended keep what they have. */
  attemptsMeasured(params: AttemptsMeasured): Promise<void>;
  /** Open attempts with a stop requested (by a timeout, or by a cancel from anyone on the same store). */
  stopRequests(engine: string): Promise<Attempt[]>;
  /** Attempt, task, counters, what follows (`nextStep`), the execution's end and its event: one transaction. */
  finishAttempt(params: FinishParams): Promise<FinishResult>;
  /**
   * Everything that waits is CANCELLED, what runs is asked to stop. Idempotent; changes nothing where the execution
   * stops itself already. undefined = no such execution.
   */
  cancelExecution(name: string, by: string): Promise<CancelResult | undefined>;
  /**
   * A new execution of what did not succeed in an ended one: its frozen spec, context, event and cause, and those of
   * its tasks that failed or were cancelled, by their own numbers. undefined = there is no execution `of`.
   */
  rerunExecution(params: RerunParams): Promise<RerunResult | undefined>;
  /** Halts at most `limit` executions whose deadline has passed; gives how many. Anyone on the store may call it. */
  haltOverdue(limit: number): Promise<number>;
}
export interface ClaimParams {
  readonly engine: string;
  readonly epoch: number;
  readonly limit: number;
  /** Upper bound where an execution's parallelism is 0. */
  readonly maxParallelism: number;
  /** Absent = everything fits. */
  readonly room?: Room;
}
/** The engine's host, and what its open attempts hold of it. */
export interface Room {
  readonly host: Host;
  readonly settings: AdmissionSettings;
  readonly charges: readonly Charge[];
  /** What the last claim gave. */
  readonly reserved: Reservation | null;
}
export interface ClaimResult {
  readonly claims: readonly Claim[];
  /** There may be more to claim: a limit was reached, of claims or of what one call ends or passes over. */
  readonly more: boolean;
  /** The first in line, which has to wait for room. */
  readonly reserved: Reservation | null;
}
export interface Claim {
  readonly attempt: Attempt;
  readonly execution: Execution;
}
export interface AttemptStarted {
  readonly key: AttemptKey;
  readonly epoch: number;
  readonly startTime: number;
  readonly imageDigest: string | null;
  /** Belongs to `imageDigest`; see `PinnedImage`. */
  readonly imageRepoDigest?: string | null;
  /** That a registry sent for it; null or absent = not known. */
  readonly pulledBytes?: number | null;
}
export interface ImagePulled {
  readonly engine: string;
  readonly epoch: number;
  readonly digest: string;
  /** By which it was pulled. */
  readonly name: string;
}
export interface AttemptsMeasured {
  readonly engine: string;
  readonly epoch: number;
  readonly measured: readonly { readonly key: AttemptKey; readonly usage: AttemptUsage }[];
}
export interface FinishParams {
  readonly key: AttemptKey;
  readonly epoch: number;
  readonly result: AttemptResult;
  readonly logBytes: LogBytes | null;
  /** Absent or null = not known. Counts only where its container ran. */
  readonly usage?: AttemptUsage | null;
  /** In [0, 1), for the pause before a retry; a repeated call gives the same. Absent = the whole pause. */
  readonly random?: number;
}
export interface FinishResult {
  readonly attempt: Attempt;
  readonly task: Task;
  readonly execution: Execution;
  /** The same attempt had ended before: nothing was changed. */
  readonly repeated: boolean;
  /** Another execution of its job has waited for its turn and may start now; also true where that is not known. */
  readonly turnPassedOn: boolean;
}
export interface RerunParams {
  readonly of: string;
  /** Of the new execution, from the ids port, as in `NewExecution`. */
  readonly uid: string;
  readonly name: string;
  /** The principal that asked. */
  readonly by: string;
}
export type RerunResult =
  | { readonly outcome: 'created'; readonly execution: Execution }
  /** It has not ended. */
  | { readonly outcome: 'running' }
  /** Every task of it has succeeded. */
  | { readonly outcome: 'nothing' };
export interface CancelResult {
  readonly execution: Execution;
  /** false where it had already ended. */
  readonly changed: boolean;
}

// ---- readers -----------------------------------------------------------------------------------------------

/** Reads see what is committed. Lists are newest first unless they say otherwise. */
export interface QueryStore {
  getEvent(uid: string): Promise<StoredEvent | undefined>;
  listEvents(filter: EventFilter, page: PageParams): Promise<Page<StoredEvent>>;
  /** By event, or the newest of a trigger. */
  listDecisions(filter: DecisionFilter, page: PageParams): Promise<Page<Decision>>;
  getExecution(name: string): Promise<Execution | undefined>;
  listExecutions(filter: ExecutionFilter, page: PageParams): Promise<Page<Execution>>;
  getTask(execution: string, index: number): Promise<Task | undefined>;
  /** By index, also those that have no row yet. */
  listTasks(execution: string, page: PageParams): Promise<Page<Task>>;
  /** By attempt number. */
  listAttempts(execution: string, index: number): Promise<Attempt[]>;
  /** Every attempt of all its tasks, by index, then number: when each was. */
  listSpans(execution: string, page: PageParams): Promise<Page<AttemptSpan>>;
  counts(): Promise<StoreCounts>;
}
export type AttemptSpan = Pick<Attempt, 'index' | 'attempt' | 'state' | 'createTime' | 'endTime'>;
export interface EventFilter {
  readonly origin?: string;
  /** Events that came for this trigger alone, decided or not, and all others that it has a decision on. */
  readonly trigger?: string;
  readonly type?: string;
}
export interface DecisionFilter {
  readonly event?: string;
  readonly trigger?: string;
}
export interface ExecutionFilter {
  readonly job?: string;
  readonly state?: ExecutionState;
  readonly trigger?: string;
  readonly event?: string;
}
export interface StoreCounts {
  readonly undecidedEvents: number;
  readonly pendingExecutions: number;
  readonly runningExecutions: number;
  readonly runningAttempts: number;
}

// ---- maintenance -------------------------------------------------------------------------------------------

export interface MaintenanceStore {
  /** Hides an ended execution from readers until pruning. `running` where it has not ended. */
  deleteExecution(name: string): Promise<'deleted' | 'running' | undefined>;
  /** Ended executions that are deleted or past their retention, at most `limit` names. Their logs go first. */
  expiredExecutions(limit: number): Promise<string[]>;
  /** Ended executions of the job beyond the newest `keep`, at most `limit` names, as in `expiredExecutions`. */
  surplusExecutions(job: string, keep: number, limit: number): Promise<string[]>;
  /**
   * Removes these executions with tasks and attempts, as much of it as a short transaction can: called again until
   * there is no `more`. Readers see each as a whole or not at all.
   */
  pruneExecutions(names: readonly string[]): Promise<PruneResult>;
  /** Images of this engine that Tappet pulled and that no attempt has used for so long, at most `limit`, longest first. */
  unusedImages(engine: string, unusedForMs: number, limit: number): Promise<UnusedImage[]>;
  /** What executions that have not ended run, `limit` of them at a time, after `after` (null = from the beginning). */
  imagesInUse(after: string | null, limit: number): Promise<ImagesInUse>;
  /** It is needed now: for as long as that, pruning leaves it alone. */
  imageUsed(engine: string, digest: string): Promise<void>;
  /** It is no longer on the engine. */
  imageRemoved(engine: string, digest: string): Promise<void>;
  /** Decided events older than `olderThanMs` that no kept execution names; expired identities and state rows. At most `limit` of each. */
  pruneEvents(olderThanMs: number, limit: number): Promise<number>;
  /** Those of these uids, at most 1,000, of which an event is kept. */
  whichEventsExist(uids: readonly string[]): Promise<ReadonlySet<string>>;
}
export interface UnusedImage {
  readonly digest: string;
  /** By which it was pulled. */
  readonly name: string;
}
export interface ImagesInUse {
  /** `digest` is null until the first container has started: then any image of the name may be it. */
  readonly images: readonly { readonly name: string; readonly digest: string | null }[];
  /** For the next call; null = there are no more. */
  readonly next: string | null;
}
export interface PruneResult {
  /** Executions that are gone. */
  readonly removed: number;
  readonly more: boolean;
}
