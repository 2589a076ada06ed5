import type {
  AttemptResource,
  EngineResource,
  EventDetailResource,
  EventResource,
  ExecutionResource,
  FireResource,
  ForgottenEngineResource,
  JobResource,
  LinkResource,
  OverridesResource,
  TaskResource,
  TriggerResource,
} from '../core/api.ts';
import type { ExecutionState } from '../core/states.ts';
import type { Json, JsonObject } from '../core/json.ts';
import { LogsClient } from './logs.ts';
import type { Pause } from './logs.ts';
import { pageLink } from '../lib/page-link.ts';
import { Transport } from './transport.ts';
import type { TransportOptions } from './transport.ts';

export type { Pause } from './logs.ts';
export type { LogEntry } from './logs.ts';

export interface ClientOptions extends TransportOptions {
  /** How to wait between two tries; default: a timer. */
  readonly pause?: Pause | undefined;
}

/** A list: one page, and the token of the next (empty on the last). */
interface PageQuery {
  readonly pageSize?: number | undefined;
  readonly pageToken?: string | undefined;
}
type ListPage<Key extends string, T> = { readonly [K in Key]: readonly T[] } & {
  readonly nextPageToken: string;
};
interface ExecutionQuery extends PageQuery {
  readonly job?: string | undefined;
  readonly state?: ExecutionState | undefined;
  readonly trigger?: string | undefined;
  readonly event?: string | undefined;
}
interface EventQuery extends PageQuery {
  readonly origin?: string | undefined;
  readonly trigger?: string | undefined;
  readonly type?: string | undefined;
}
interface RunParams {
  readonly overrides?: OverridesResource;
  /** Checks everything, starts nothing. */
  readonly validateOnly?: boolean;
}
interface FireParams {
  readonly data?: Json | undefined;
  /** Makes a repeated call the same event. */
  readonly idempotencyKey?: string | undefined;
}

const name = encodeURIComponent;

/** A typed client of `/api/v1`. Every method throws TappetError with the server's code, or GATEWAY_UNREACHABLE. */
export function createClient(options: ClientOptions) {
  const transport = new Transport(options);
  return {
    /** Of the gateway, as it was given. */
    url: options.url,
    jobs: jobsOf(transport),
    executions: executionsOf(transport),
    tasks: tasksOf(transport),
    logs: new LogsClient(transport, options.pause ?? pause),
    triggers: triggersOf(transport),
    events: eventsOf(transport),
    links: {
      /** An address that opens the page in a browser, once. */
      create: async () => {
        const { code, expireTime } = await transport.json<LinkResource>('/links', { method: 'POST' });
        return { url: pageLink(options.url, code), expireTime };
      },
    },
    engines: {
      /** Those that attempts are open on. */
      list: () => transport.json<{ readonly engines: readonly EngineResource[] }>('/engines'),
      /** Ends what is open on one that is gone for good. */
      forget: (engine: string) =>
        transport.json<ForgottenEngineResource>('/engines:forget', { method: 'POST', body: { engine } }),
    },
    status: () => transport.json<JsonObject>('/status'),
  };
}
export type Client = ReturnType<typeof createClient>;

function jobsOf(transport: Transport) {
  return {
    list: (query: PageQuery = {}) =>
      transport.json<ListPage<'jobs', JobResource>>('/jobs', { query: { ...query } }),
    get: (job: string) => transport.json<JobResource>(`/jobs/${name(job)}`),
    run: (job: string, body: RunParams = {}) =>
      transport.json<ExecutionResource>(`/jobs/${name(job)}:run`, { method: 'POST', body }),
  };
}

function executionsOf(transport: Transport) {
  return {
    list: (query: ExecutionQuery = {}) =>
      transport.json<ListPage<'executions', ExecutionResource>>('/executions', { query: { ...query } }),
    get: (execution: string) => transport.json<ExecutionResource>(`/executions/${name(execution)}`),
    cancel: (execution: string) =>
      transport.json<ExecutionResource>(`/executions/${name(execution)}:cancel`, { method: 'POST' }),
    /** What failed or was cancelled in it, as a new execution. */
    rerun: (execution: string) =>
      transport.json<ExecutionResource>(`/executions/${name(execution)}:rerun`, { method: 'POST' }),
    delete: async (execution: string): Promise<void> => {
      await transport.json(`/executions/${name(execution)}`, { method: 'DELETE' });
    },
  };
}

function tasksOf(transport: Transport) {
  const path = (execution: string, index: number) => `/executions/${name(execution)}/tasks/${index}`;
  return {
    list: (execution: string, query: PageQuery = {}) =>
      transport.json<ListPage<'tasks', TaskResource>>(`/executions/${name(execution)}/tasks`, {
        query: { ...query },
      }),
    get: (execution: string, index: number) => transport.json<TaskResource>(path(execution, index)),
    attempts: (execution: string, index: number) =>
      transport.json<ListPage<'attempts', AttemptResource>>(`${path(execution, index)}/attempts`),
  };
}

function triggersOf(transport: Transport) {
  return {
    list: (query: PageQuery = {}) =>
      transport.json<ListPage<'triggers', TriggerResource>>('/triggers', { query: { ...query } }),
    get: (trigger: string) => transport.json<TriggerResource>(`/triggers/${name(trigger)}`),
    /** RFC 3339 times at which it will fire by itself; empty where it has no schedule. */
    next: (
      trigger: string,
      query: { readonly count?: number | undefined; readonly from?: string | undefined } = {},
    ) =>
      transport.json<{ readonly times: readonly string[] }>(`/triggers/${name(trigger)}/next`, {
        query: { ...query },
      }),
    fire: (trigger: string, { data, idempotencyKey }: FireParams = {}) =>
      transport.json<FireResource>(`/triggers/${name(trigger)}:fire`, {
        method: 'POST',
        body: data === undefined ? {} : { data },
        ...(idempotencyKey === undefined ? {} : { headers: { 'idempotency-key': idempotencyKey } }),
      }),
  };
}

function eventsOf(transport: Transport) {
  return {
    list: (query: EventQuery = {}) =>
      transport.json<ListPage<'events', EventResource>>('/events', { query: { ...query } }),
    get: (uid: string) => transport.json<EventDetailResource>(`/events/${name(uid)}`),
  };
}

/** A timer; ends early (without an error) when `signal` aborts. */
export const pause: Pause = (ms, signal) =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    if (signal?.aborted === true) done();
    else signal?.addEventListener('abort', done);
  });
