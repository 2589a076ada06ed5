import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { AuthSpec } from './core/auth.ts';
import type { Config } from './core/config.ts';
import { TappetError, errorText } from './core/errors.ts';
import type { Expressions } from './core/expression.ts';
import type { Runner } from './core/runner.ts';
import type { DefinitionRow, Store } from './core/store.ts';
import { ensureToken, TokenAuth } from './auth/api-tokens.ts';
import { Issuers } from './auth/issuers.ts';
import { compileVerify } from './auth/verify.ts';
import { loadConfig, type LoadedConfig } from './config/load.ts';
import { EngineLink, engineName } from './engine-link.ts';
import { Executor } from './executor/executor.ts';
import { createExpressions } from './expr/expressions.ts';
import { createApp } from './http/app.ts';
import { listen, type RunningServer } from './http/server.ts';
import { fireTrigger } from './inbox/fire.ts';
import { Inbox } from './inbox/inbox.ts';
import { SourceHost, type HostedSource } from './inbox/source-host.ts';
import { ownAddress, publishAddress, withdrawAddress } from './lib/gateway-address.ts';
import { createLog, type GatewayLog } from './lib/gateway-log.ts';
import { releaseStartUpMemory } from './lib/release-memory.ts';
import { SystemClock } from './lib/system-clock.ts';
import { SystemIds } from './lib/system-ids.ts';
import { FileLogSink } from './logs/file-log-sink.ts';
import { Maintenance } from './maintenance/maintenance.ts';
import type { RoutedJob } from './routing/decide-event.ts';
import { planExecution } from './routing/plan-execution.ts';
import { Router } from './routing/router.ts';
import { createSecrets } from './secrets/secret-reader.ts';
import { SqliteStore } from './stores/sqlite/store.ts';
import { createSource } from '../triggers/index.ts';

export { diagnose } from './diagnose.ts';

export interface GatewayOptions {
  readonly configPath: string;
  readonly host?: string;
  readonly port?: number;
  readonly dataDir?: string;
  readonly env: NodeJS.ProcessEnv;
  /** One line for the person who started it. */
  print(line: string): void;
  /** Puts something around a port: how tests end the process between two steps. */
  readonly wrap?: PortWrappers;
}
export interface PortWrappers {
  store?(store: Store): Store;
  runner?(runner: Runner): Runner;
}
export interface RunningGateway {
  readonly url: string;
  /** Takes no more work, leaves containers running, closes the store. Idempotent. */
  stop(): Promise<void>;
}

/** By then running tasks are adopted: a collection in the first moments would make them wait. */
const SETTLED_MS = 10_000;

/** What stops in the reverse order of its start. */
interface Stoppable {
  stop(): Promise<void>;
}

/**
 * The composition root: builds everything, starts it in order, and stops it in reverse. Nothing is half-started: a
 * failure stops what had started. Errors: CONFIG_INVALID, DATA_FOLDER_UNUSABLE, CONFLICT (address taken).
 */
export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const started: Stoppable[] = [];
  const stop = once(() => stopAll(started));
  try {
    const url = await compose(options, started);
    return { url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What every part is made of: configuration, store, clock. */
interface Base {
  readonly options: GatewayOptions;
  readonly clock: SystemClock;
  readonly ids: SystemIds;
  readonly log: GatewayLog;
  readonly config: LoadedConfig;
  readonly dataDir: string;
  readonly store: Store;
  readonly logs: FileLogSink;
  readonly expressions: Expressions;
  readonly definitions: ReadonlyMap<string, DefinitionRow>;
}

async function compose(options: GatewayOptions, started: Stoppable[]): Promise<string> {
  const clock = new SystemClock();
  const ids = new SystemIds();
  const log = createLog(process.stderr.isTTY ? 'text' : 'json');
  const { configPath, env } = options;
  // With the folder of the flag: what jobs may bind is judged by where the data really is.
  const named = options.dataDir === undefined ? {} : { dataDir: options.dataDir };
  const config = await loadConfig(configPath, { env, ...named });
  for (const warning of config.warnings) log.warn(warning);
  const { dataDir } = config.server;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const { token, created } = await ensureToken(dataDir);
  const sqlite = new SqliteStore({ path: join(dataDir, 'tappet.db'), clock, ids });
  await sqlite.open();
  started.push({ stop: () => sqlite.close() });
  const store = options.wrap?.store?.(sqlite) ?? sqlite;
  const definitions = await syncDefinitions(store, config);
  const logs = new FileLogSink({ dir: join(dataDir, 'logs'), clock });
  const expressions = createExpressions();
  const base = { options, clock, ids, log, config, dataDir, store, logs, expressions, definitions };
  const engine = engineLink(base);
  const way = await wayOfEvents(base, engine);
  const maintenance = new Maintenance({
    store,
    logs,
    clock,
    log,
    eventRetentionMs: () => config.server.eventRetentionMs,
    runner: () => engine.runner,
  });
  for (const service of [way.router, engine, maintenance, way.issuers, way.sources]) {
    await service.start();
    started.push(service);
  }
  const server = await serve(base, engine, way, new TokenAuth(token), started);
  const cancelRelease = clock.setTimer(SETTLED_MS, releaseStartUpMemory);
  started.push({ stop: async () => cancelRelease() });
  await announce({ options, server, dataDir, created, started, log });
  return server.url;
}

function engineLink({ options, clock, ids, log, config, store, logs, expressions }: Base): EngineLink {
  return new EngineLink({
    env: options.env,
    clock,
    log,
    enginesInUse: () => store.enginesInUse(),
    makeRunner: async ({ endpoint }) => {
      // The engine's client is a quarter of all modules: without an engine neither time nor memory is spent on it.
      const { DockerRunner } = await import('./runners/docker/docker-runner.ts');
      const instance = store.instance();
      const engine = engineName(endpoint);
      const runner = new DockerRunner({ endpoint, engine, instance, network: instance, clock, log });
      return options.wrap?.runner?.(runner) ?? runner;
    },
    makeExecutor: (runner) => {
      const { maxRunningTasks, limits } = config.server;
      const settings = { maxRunningTasks, maxParallelism: limits.maxParallelism };
      return new Executor({ store, runner, logs, clock, ids, settings, expressions, log });
    },
  });
}

interface WayOfEvents {
  readonly router: Router;
  readonly inbox: Inbox;
  readonly issuers: Issuers;
  readonly sources: SourceHost;
}

/** Sources → inbox → routing. */
async function wayOfEvents(base: Base, engine: EngineLink): Promise<WayOfEvents> {
  const { clock, ids, log, config, store, definitions, expressions } = base;
  const jobs = new Map<string, RoutedJob>();
  for (const [name, job] of config.jobs) {
    jobs.set(name, { ...job, generation: definitions.get(`job/${name}`)?.generation ?? 1 });
  }
  const router = new Router({
    store,
    clock,
    ids,
    triggers: () => config.triggers,
    jobs: () => jobs,
    limits: config.server.limits,
    onExecutions: () => engine.wake(),
    log,
  });
  // Text may grow when it is written as JSON; what the HTTP side let in must not be refused here.
  const maxDataBytes = 2 * config.server.maxBodyBytes;
  const inbox = new Inbox({
    store,
    ids,
    clock,
    log,
    maxDataBytes,
    route: (events) => router.decideNow(events),
  });
  const issuers = new Issuers({ specs: config.issuers, fetch: (url, init) => fetch(url, init), clock, log });
  const secrets = createSecrets({ env: base.options.env, baseDir: config.folder });
  const waitDecided = router.waitDecided.bind(router);
  const hosted = await hostedSources(config, (auth) =>
    compileVerify(auth, { issuers, secrets, clock, expressions }),
  );
  const sources = new SourceHost({ inbox, store, waitDecided, clock, ids, log }, hosted);
  return { router, inbox, issuers, sources };
}

async function serve(
  base: Base,
  engine: EngineLink,
  { router, inbox, sources }: WayOfEvents,
  auth: TokenAuth,
  started: Stoppable[],
): Promise<RunningServer> {
  const { options, clock, ids, log, config, store, logs, definitions } = base;
  let ready = true;
  started.push({ stop: async () => void (ready = false) });
  const app = createApp({
    store,
    auth,
    logs,
    clock,
    ids,
    log,
    config: () => config,
    definitions: (kind, name) => definitions.get(`${kind}/${name}`),
    hooks: { handle: async (name, request, info) => sources.handle(name, request, info) },
    preview: (trigger, from, count) => sources.preview(trigger, from, count) ?? [],
    fire: (trigger, { principal, ...rest }) =>
      fireTrigger(
        { inbox, sources, waitDecided: router.waitDecided.bind(router), clock, ids },
        { trigger, ...rest, principal: principal.name },
      ),
    status: async () => ({
      instance: store.instance(),
      engine: engine.status(),
      sources: summary(sources),
      ...(await store.counts()),
    }),
    ready: () => ready,
    onWork: () => engine.wake(),
    planExecution,
  });
  const host = options.host ?? config.server.host;
  const server = await listen({ app, host, port: options.port ?? config.server.port, clock });
  started.push({ stop: () => server.close() });
  return server;
}

async function syncDefinitions(store: Store, config: Config): Promise<ReadonlyMap<string, DefinitionRow>> {
  const keys = [
    ...[...config.jobs.values()].map(({ name, etag }) => ({ kind: 'job', name, etag }) as const),
    ...[...config.triggers.values()].map(({ name, etag }) => ({ kind: 'trigger', name, etag }) as const),
  ];
  const rows = await store.syncDefinitions(keys);
  return new Map(rows.map((row) => [`${row.kind}/${row.name}`, row]));
}

async function hostedSources(
  config: Config,
  verifier: (auth: AuthSpec) => ReturnType<typeof compileVerify>,
): Promise<HostedSource[]> {
  const hosted: HostedSource[] = [];
  for (const { name, source: spec, origin } of config.triggers.values()) {
    const base = { name, kind: spec.kind, origin, trigger: name, source: createSource(name, spec) };
    hosted.push(spec.kind === 'webhook' ? { ...base, verify: await verifier(spec.auth) } : base);
  }
  return hosted;
}

/** Ten thousand healthy sources are a number; those that failed are named. */
function summary(sources: SourceHost) {
  const health = sources.health();
  const failed = health.filter(({ state }) => state === 'failed');
  return {
    running: health.filter(({ state }) => state === 'running').length,
    failed: failed.map((one) => ({ ...one })),
  };
}

interface Announcement {
  readonly options: GatewayOptions;
  readonly server: RunningServer;
  readonly dataDir: string;
  readonly created: boolean;
  readonly started: Stoppable[];
  readonly log: GatewayLog;
}

/** Tells the person, and the command line on this machine, where the gateway is. */
async function announce({ options, server, dataDir, created, started, log }: Announcement): Promise<void> {
  const { url } = server;
  const own = await ownAddress(url);
  const other = await publishAddress(dataDir, own);
  started.push({ stop: () => withdrawAddress(dataDir, own) });
  options.print(`Tappet listens on ${url}`);
  options.print(
    `Data, logs and the API token are in ${dataDir}${created ? ' (the token was made just now)' : ''}.`,
  );
  if (other !== undefined) {
    options.print(
      `Another gateway (pid ${other.pid}, ${other.url}) uses this data folder too: commands go to that one, and to this one with --url ${url}.`,
    );
  }
  log.info('started', { url, config: resolve(options.configPath), pid: process.pid });
}

async function stopAll(started: Stoppable[]): Promise<void> {
  const failures: unknown[] = [];
  for (const one of started.reverse()) {
    try {
      await one.stop();
    } catch (error) {
      failures.push(error);
    }
  }
  started.length = 0;
  if (failures.length > 0)
    throw new TappetError(
      'INTERNAL',
      `Not everything stopped cleanly: ${failures.map(errorText).join('; ')}`,
    );
}

function once<T>(fn: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => (result ??= fn());
}
