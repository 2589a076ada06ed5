import type { Auth, Principal } from '../core/auth.ts';
import type { AdmissionView } from '../executor/waiting.ts';
import type { Clock } from '../core/clock.ts';
import type { Config, JobDefinition, TriggerDefinition } from '../core/config.ts';
import type { Cause, NewExecution } from '../core/execution.ts';
import type { Ids } from '../core/ids.ts';
import type { Limits, Overrides } from '../core/job.ts';
import type { NotificationStore } from '../core/notify.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { LogSink } from '../core/log-sink.ts';
import type { Log } from '../core/log.ts';
import type { RequestInfo, TriggerStatus } from '../core/source.ts';
import type { Sessions } from './session.ts';
import type {
  DefinitionRow,
  EngineInUse,
  ExecutorStore,
  FireOutcome,
  MaintenanceStore,
  QueryStore,
} from '../core/store.ts';

/** What the API reads and may ask for; everything is a port or a function of the composition root. */
export interface HttpDeps {
  readonly store: HttpStore;
  readonly auth: Auth;
  /** Who may look at the page; nothing of it counts for the API. */
  readonly sessions: Sessions;
  readonly logs: LogSink;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  config(): Config;
  /** The lasting identity of a definition; undefined where the store was not told of it. */
  definitions(kind: 'job' | 'trigger', name: string): DefinitionRow | undefined;
  readonly hooks: HookHandler & BodyReceiver;
  /** The same, by the name of a connection, for what an object store notifies of. */
  readonly notifications: HookHandler;
  /** The next `count` times at or after `from` (epoch ms); empty where the trigger has no schedule. */
  preview(trigger: string, from: number, count: number): readonly number[];
  /** What the trigger's source tells of it; undefined where it tells nothing. */
  triggerStatus(trigger: TriggerDefinition): TriggerStatus | undefined;
  fire(trigger: string, params: FireParams): Promise<FireResult>;
  status(): Promise<JsonObject>;
  /** What the executor has to give out, for what is said of executions that wait. */
  admission(): AdmissionView;
  readonly engines: {
    /** Those that attempts are open on. */
    list(): Promise<readonly EngineInUse[]>;
    /** Ends what is open on one that is gone for good; gives how many attempts. Errors: NOT_FOUND, CONFLICT. */
    forget(engine: string, by: string): Promise<number>;
  };
  ready(): boolean;
  /** An execution was created: the executor should look. */
  onWork(): void;
  /** One was cancelled. */
  onStop(): void;
  /** Applies overrides and freezes the job. Errors: INVALID_ARGUMENT with the field. */
  planExecution(params: PlanParams): NewExecution;
}

export type HttpStore = QueryStore &
  Pick<NotificationStore, 'listNotifications'> &
  Pick<ExecutorStore, 'createExecution' | 'cancelExecution' | 'rerunExecution'> &
  Pick<MaintenanceStore, 'deleteExecution'>;

interface HookHandler {
  /** undefined where no trigger (or connection) of this name takes requests. */
  handle(name: string, request: Request, info: RequestInfo): Promise<Response | undefined>;
}

interface BodyReceiver {
  /** Whether the trigger takes bodies as files: its calls are looked at before their bodies come in. Absent = none does. */
  takesFiles?(name: string): boolean;
  /**
   * Answers a call whose body the trigger takes as a file. undefined, at once or later: it does not, and nothing of the
   * body was read. Absent = no trigger does.
   */
  receive?(name: string, request: Request, info: RequestInfo): Promise<Response | undefined> | undefined;
}

export interface FireParams {
  readonly data: Json | undefined;
  /** Makes a repeated call the same event. */
  readonly idempotencyKey: string | undefined;
  readonly principal: Principal;
}
export interface FireResult {
  /** Of the event; of the first one, where this call repeats another. */
  readonly uid: string;
  /** undefined where no decision came in time. */
  readonly outcome: FireOutcome | undefined;
}

interface PlanParams {
  readonly job: JobDefinition;
  readonly generation: number;
  readonly overrides: Overrides;
  readonly cause: Cause;
  readonly ids: Ids;
  readonly limits: Limits;
}
