import { ADMISSION_DEFAULTS } from '../../src/core/admission.ts';
import type { AdmissionView } from '../../src/executor/waiting.ts';
import type { Principal } from '../../src/core/auth.ts';
import type { Config, JobDefinition, TriggerDefinition } from '../../src/core/config.ts';
import type { Decision } from '../../src/core/decision.ts';
import type { StoredEvent } from '../../src/core/event.ts';
import type { Attempt, AttemptKey, Execution, NewExecution, Task } from '../../src/core/execution.ts';
import { JOB_DEFAULTS, LIMIT_DEFAULTS } from '../../src/core/job.ts';
import type { Notification, NotificationFilter } from '../../src/core/notify.ts';
import { ENGINE_DEFAULTS } from '../../src/core/engine-limits.ts';
import { PULL_DEFAULTS } from '../../src/core/registry.ts';
import { PERMISSIONS } from '../../src/core/permissions.ts';
import type { Permission } from '../../src/core/permissions.ts';
import { isTerminal } from '../../src/core/states.ts';
import type {
  AttemptSpan,
  CancelResult,
  ExecutionFilter,
  Page,
  PageParams,
  RerunParams,
  RerunResult,
} from '../../src/core/store.ts';
import { createApp } from '../../src/http/app.ts';
import type { App } from '../../src/http/app.ts';
import type { HttpDeps, HttpStore } from '../../src/http/deps.ts';
import { plannedExecution } from '../../src/http/resources.ts';
import { Sessions } from '../../src/http/session.ts';
import { planExecution } from '../../src/routing/plan-execution.ts';
import { FakeLogs } from './http-fake-logs.ts';
import { ManualClock } from './manual-clock.ts';
import { SeededIds } from './seeded-ids.ts';

/** A job with every default, `over` put over its spec. */
export function jobDefinition(name: string, over: Partial<JobDefinition['spec']> = {}): JobDefinition {
  const spec = { image: 'busybox', args: ['true'], env: { A: '1' }, binds: [], ...JOB_DEFAULTS, ...over };
  return { name, labels: { team: 'x' }, annotations: {}, spec, etag: `etag-${name}` };
}

function triggerDefinition(name: string): TriggerDefinition {
  const run = { job: 'hello', env: {}, args: null, taskCount: null, timeout: null };
  const source = { kind: 'cron', cron: '* * * * *', zone: 'UTC' } as const;
  const definition = { source: { ...source }, run: { job: 'hello' } };
  return {
    name,
    labels: {},
    annotations: {},
    source,
    origin: `trigger/${name}`,
    when: null,
    run,
    etag: `etag-${name}`,
    definition,
  };
}

/** An engine of two cores and 8 GiB with nothing on it. */
export const ADMISSION_VIEW: AdmissionView = {
  ready: true,
  message: 'Tasks run.',
  host: { cpus: 2, memoryBytes: 8 * 1024 ** 3 },
  settings: ADMISSION_DEFAULTS,
  free: { memoryBytes: 8 * 1024 ** 3 - ADMISSION_DEFAULTS.memoryReserveBytes, cpuMillis: 16_000 },
  reserved: null,
  runningTasks: 0,
  maxRunningTasks: Infinity,
  begun: () => new Map<number, never>(),
};

export function testConfig(over: Partial<Config['server']> = {}): Config {
  const jobs = [jobDefinition('hello'), jobDefinition('other', { taskCount: 3 })];
  const triggers = [triggerDefinition('nightly')];
  return {
    server: {
      host: '127.0.0.1',
      port: 0,
      dataDir: '/nowhere',
      maxBodyBytes: 4096,
      allowAnonymous: false,
      rateLimit: null,
      trustedProxies: [],
      maxRunningTasks: 4,
      admission: ADMISSION_DEFAULTS,
      limits: LIMIT_DEFAULTS,
      allowedBinds: [],
      eventRetentionMs: 1,
      engine: ENGINE_DEFAULTS,
      pulls: PULL_DEFAULTS,
      registries: {},
      allowedImages: null,
      imagePrune: null,
      notify: null,
      ...over,
    },
    issuers: new Map(),
    connections: new Map(),
    notifications: new Map(),
    jobs: new Map(jobs.map((job) => [job.name, job])),
    triggers: new Map(triggers.map((trigger) => [trigger.name, trigger])),
  };
}

/** What the API reads of a store, over plain arrays that a test fills and changes. */
class FakeHttpStore implements HttpStore {
  readonly executions: Execution[] = [];
  readonly tasks: Task[] = [];
  readonly attempts: Attempt[] = [];
  readonly events: StoredEvent[] = [];
  readonly decisions: Decision[] = [];
  readonly notifications: Notification[] = [];
  readonly #clock: ManualClock;
  /** Thrown by the next call of `createExecution`. */
  failure: Error | undefined;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  async createExecution(planned: NewExecution): Promise<Execution> {
    if (this.failure !== undefined) throw this.failure;
    // No oracle: what a store really makes of it is compared in real-parts.test.ts.
    const execution: Execution = { ...plannedExecution(planned, this.#clock.now()), etag: '1' };
    this.executions.unshift(execution);
    for (let index = 0; index < planned.spec.taskCount; index++)
      this.tasks.push(pendingTask(planned.name, index));
    return execution;
  }

  async cancelExecution(name: string, by: string): Promise<CancelResult | undefined> {
    const execution = this.#find(name);
    if (execution === undefined) return undefined;
    if (isTerminal(execution.state)) return { execution, changed: false };
    const changed = this.update(name, {
      state: 'CANCELLED',
      reason: 'CANCELLED',
      message: `Cancelled by ${by}.`,
    });
    return { execution: changed, changed: true };
  }

  /** What a store really makes of it is in its contract. */
  async rerunExecution({ of, uid, name, by }: RerunParams): Promise<RerunResult | undefined> {
    const old = this.#find(of);
    if (old === undefined) return undefined;
    if (!isTerminal(old.state)) return { outcome: 'running' };
    if (old.state === 'SUCCEEDED') return { outcome: 'nothing' };
    const planned = plannedExecution({ ...old, uid, name }, this.#clock.now());
    const execution = { ...planned, toRun: 1, rerunOf: of, rerunBy: by, etag: '1' };
    this.executions.unshift(execution);
    return { outcome: 'created', execution };
  }

  async deleteExecution(name: string): Promise<'deleted' | 'running' | undefined> {
    const execution = this.#find(name);
    if (execution === undefined) return undefined;
    if (!isTerminal(execution.state)) return 'running';
    this.executions.splice(this.executions.indexOf(execution), 1);
    return 'deleted';
  }

  update(name: string, over: Partial<Execution>): Execution {
    const at = this.executions.findIndex((execution) => execution.name === name);
    const changed = { ...this.executions[at], ...over } as Execution;
    this.executions[at] = changed;
    return changed;
  }

  /** Puts the row over one with the same key, or adds it. */
  setTask(execution: string, index: number, over: Partial<Task>): void {
    const at = this.tasks.findIndex((task) => task.execution === execution && task.index === index);
    const changed = { ...(this.tasks[at] ?? pendingTask(execution, index)), ...over };
    if (at === -1) this.tasks.push(changed);
    else this.tasks[at] = changed;
  }

  setAttempt(key: AttemptKey, over: Partial<Attempt>): void {
    const at = this.attempts.findIndex(
      (row) => row.execution === key.execution && row.index === key.index && row.attempt === key.attempt,
    );
    const changed = { ...(this.attempts[at] ?? newAttempt(key, this.#clock.now())), ...over };
    if (at === -1) this.attempts.push(changed);
    else this.attempts[at] = changed;
  }

  async getExecution(name: string): Promise<Execution | undefined> {
    return this.#find(name);
  }
  async listExecutions(filter: ExecutionFilter, page: PageParams): Promise<Page<Execution>> {
    const matches = this.executions.filter(
      ({ job, state }) => (filter.job ?? job) === job && (filter.state ?? state) === state,
    );
    return paged(matches, page);
  }
  async getTask(execution: string, index: number): Promise<Task | undefined> {
    return this.tasks.find((task) => task.execution === execution && task.index === index);
  }
  async listTasks(execution: string, page: PageParams): Promise<Page<Task>> {
    return paged(
      this.tasks.filter((task) => task.execution === execution),
      page,
    );
  }
  async listAttempts(execution: string, index: number): Promise<Attempt[]> {
    return this.attempts.filter((row) => row.execution === execution && row.index === index);
  }
  async listSpans(execution: string, page: PageParams): Promise<Page<AttemptSpan>> {
    const rows = this.attempts.filter((row) => row.execution === execution);
    return paged(
      rows.sort((a, b) => a.index - b.index || a.attempt - b.attempt),
      page,
    );
  }
  async getEvent(uid: string): Promise<StoredEvent | undefined> {
    return this.events.find((event) => event.uid === uid);
  }
  async listEvents(_filter: object, page: PageParams): Promise<Page<StoredEvent>> {
    return paged(this.events, page);
  }
  async listDecisions({ event }: { event?: string }, page: PageParams): Promise<Page<Decision>> {
    return paged(
      this.decisions.filter((decision) => decision.event === event),
      page,
    );
  }
  async listNotifications({ execution, receiver, state }: NotificationFilter, page: PageParams) {
    const matches = this.notifications.filter(
      (one) =>
        (execution ?? one.execution) === one.execution &&
        (receiver ?? one.receiver) === one.receiver &&
        (state ?? one.state) === one.state,
    );
    return paged(matches, page);
  }
  async counts() {
    return { undecidedEvents: 0, pendingExecutions: 0, runningExecutions: 0, runningAttempts: 0 };
  }

  #find(name: string): Execution | undefined {
    return this.executions.find((execution) => execution.name === name);
  }
}

function paged<T>(items: readonly T[], { size, cursor }: PageParams): Page<T> {
  const from = Number(cursor ?? 0);
  const next = from + size;
  return { items: items.slice(from, next), nextCursor: next < items.length ? String(next) : null };
}

export function pendingTask(execution: string, index: number): Task {
  return {
    execution,
    index,
    state: 'PENDING',
    attempts: 0,
    retries: 0,
    infraFailures: 0,
    notBefore: null,
    startTime: null,
    completionTime: null,
    message: null,
  };
}

function newAttempt(key: AttemptKey, now: number): Attempt {
  return {
    ...key,
    state: 'STARTING',
    containerName: `t-${key.execution}-t${key.index}-a${key.attempt}`,
    engine: 'docker',
    createTime: now,
    startTime: null,
    deadline: null,
    stopReason: null,
    stopRequestTime: null,
    endTime: null,
    reason: null,
    message: null,
    exitCode: null,
    signal: null,
    imageDigest: null,
    rendered: null,
    logBytes: null,
    usage: null,
  };
}

export interface TestApp {
  readonly app: App;
  readonly deps: HttpDeps;
  readonly store: FakeHttpStore;
  readonly logs: FakeLogs;
  readonly clock: ManualClock;
  /** Lines that went to the gateway's own log. */
  readonly logged: string[];
  /** How often the executor was woken. */
  readonly works: () => number;
  readonly stops: () => number;
  /** A request with the token that may do everything, unless `headers` say otherwise. */
  readonly call: (method: string, path: string, init?: CallInit) => Promise<Response>;
}
interface CallInit {
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

export const ROOT_TOKEN = 'root-token';

/** Principals by token: `root-token` may everything, `<permission>,<permission>…` may these, others nothing. */
function principalOf(token: string): Principal | undefined {
  if (token === ROOT_TOKEN) return { name: 'root', permissions: new Set(PERMISSIONS) };
  const permissions = token
    .split(',')
    .filter((word): word is Permission => PERMISSIONS.some((p) => p === word));
  return permissions.length === 0 ? undefined : { name: 'some', permissions: new Set(permissions) };
}

export function createTestApp(over: Partial<HttpDeps> = {}): TestApp {
  const clock = new ManualClock();
  const store = new FakeHttpStore(clock);
  const logs = new FakeLogs();
  const logged: string[] = [];
  const write = (message: string, fields?: object): void => {
    logged.push(`${message} ${JSON.stringify(fields ?? {})}`);
  };
  const config = testConfig();
  const ids = new SeededIds();
  let works = 0;
  let stops = 0;
  const deps: HttpDeps = {
    store,
    logs,
    clock,
    ids,
    sessions: new Sessions({ clock, ids }),
    log: { info: write, warn: write, error: write },
    auth: {
      authenticate: async (headers) => {
        const token = /^Bearer (.+)$/.exec(headers.get('authorization') ?? '')?.[1];
        return token === undefined ? undefined : principalOf(token);
      },
    },
    config: () => config,
    definitions: (kind, name) => ({
      kind,
      name,
      etag: `etag-${name}`,
      uid: `uid-${name}`,
      generation: 2,
      createTime: 0,
      updateTime: 1000,
      creator: 'config',
    }),
    hooks: { handle: async () => undefined },
    notifications: { handle: async () => undefined },
    preview: (_trigger, from, count) => Array.from({ length: count }, (_, i) => from + (i + 1) * 60_000),
    triggerStatus: () => undefined,
    fire: async () => ({
      uid: 'event-1',
      outcome: { decided: true, decisions: [], executions: { 'hello-1': 'PENDING' } },
    }),
    status: async () => ({ version: '0.0.0' }),
    admission: () => ADMISSION_VIEW,
    engines: { list: async () => [], forget: async () => 0 },
    ready: () => true,
    onWork: () => works++,
    onStop: () => stops++,
    planExecution,
    ...over,
  };
  const app = createApp(deps);
  const call = (method: string, path: string, { headers, body }: CallInit = {}): Promise<Response> => {
    const request = new Request(`http://gateway.test${path}`, {
      method,
      headers: {
        authorization: `Bearer ${ROOT_TOKEN}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return app.fetch(request, { remoteAddress: '127.0.0.1' });
  };
  return { app, deps, store, logs, clock, logged, works: () => works, stops: () => stops, call };
}
