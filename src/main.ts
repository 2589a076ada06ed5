import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { BodyFiles } from './bodies/body-files.ts';
import { connectionOrigin, triggerOrigin } from './core/event.ts';
import { TappetError, errorText } from './core/errors.ts';
import type { Expressions } from './core/expression.ts';
import type { Secrets } from './core/secrets.ts';
import type { Store } from './core/store.ts';
import { CurrentConfig, syncDefinitions } from './applied-config.ts';
import { ensureToken, TokenAuth } from './auth/api-tokens.ts';
import { loadConfig } from './config/load.ts';
import { ConfigWatch, configSignature } from './config/watch.ts';
import { EngineLink, engineName } from './engine-link.ts';
import { countsNow, sourceSummary } from './gateway-status.ts';
import { Health } from './health.ts';
import { DeadlineWatch } from './executor/deadline-watch.ts';
import { Executor } from './executor/executor.ts';
import { createExpressions } from './expr/expressions.ts';
import { createApp } from './http/app.ts';
import { listen, type RunningServer } from './http/server.ts';
import { Sessions } from './http/session.ts';
import { fireTrigger, type FireDeps } from './inbox/fire.ts';
import type { SourceHost } from './inbox/source-host.ts';
import { isPublicAddress } from './lib/addresses.ts';
import { filteredFetch } from './lib/filtered-fetch.ts';
import { ownAddress, publishAddress, withdrawAddress } from './lib/gateway-address.ts';
import { createLog, type GatewayLog } from './lib/gateway-log.ts';
import { pageLink } from './lib/page-link.ts';
import { releaseStartUpMemory } from './lib/release-memory.ts';
import { SystemFiles } from './lib/local-files.ts';
import { SystemClock } from './lib/system-clock.ts';
import { SystemIds } from './lib/system-ids.ts';
import { SystemRandom } from './lib/system-random.ts';
import { FileLogSink } from './logs/file-log-sink.ts';
import { Maintenance } from './maintenance/maintenance.ts';
import { createObjects, type ConfiguredObjects } from './objects/objects.ts';
import { NotificationSender } from './notify/sender.ts';
import { planExecution } from './routing/plan-execution.ts';
import { createRegistries } from './secrets/registry-accounts.ts';
import { createSecrets } from './secrets/secret-reader.ts';
import { SecretStore } from './secrets/secret-store.ts';
import { PATIENCE_MS } from './stores/sqlite/commit-queue.ts';
import { SqliteStore } from './stores/sqlite/store.ts';
import { notWrapped, type WrapPort } from './port-wrap.ts';
import { Reload } from './reload.ts';
import { wayOfEvents, type WayOfEvents } from './way-of-events.ts';

export { diagnose } from './diagnose.ts';

export interface GatewayOptions {
  readonly configPath: string;
  readonly host?: string;
  readonly port?: number;
  readonly dataDir?: string;
  readonly env: NodeJS.ProcessEnv;
  /** One line for the person who started it. */
  print(line: string): void;
  readonly wrap?: WrapPort;
}
export interface RunningGateway {
  readonly url: string;
  /** Has the configuration read again now, and with it the secrets of webhooks; never throws, the log tells what came of it. */
  reload(): void;
  /**
   * Starts no task any more; what comes in is still accepted, stored and decided, and `/readyz` says no. Resolves when
   * nothing runs here any more, or with `stop`.
   */
  drain(): Promise<void>;
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
    return { ...(await compose(options, started)), stop };
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
  readonly current: CurrentConfig;
  readonly dataDir: string;
  readonly store: Store;
  readonly logs: FileLogSink;
  readonly health: Health;
  readonly expressions: Expressions;
  readonly secrets: Secrets;
  readonly objects: ConfiguredObjects;
  readonly bodies: BodyFiles;
  readonly sessions: Sessions;
  /** Aborts when nothing more is to start: whoever may go elsewhere should. */
  readonly draining: AbortController;
}

async function compose(options: GatewayOptions, started: Stoppable[]): Promise<Omit<RunningGateway, 'stop'>> {
  const clock = new SystemClock();
  const ids = new SystemIds();
  const log = createLog(process.stderr.isTTY ? 'text' : 'json');
  const { configPath, env, wrap = notWrapped } = options;
  const seen = await configSignature(configPath);
  // With the flags: what jobs may bind, and what is open to all, is judged by where the data and the gateway really are.
  const config = await loadConfig(configPath, options);
  for (const warning of config.warnings) log.warn(warning);
  const { dataDir } = config.server;
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const { token, created } = await ensureToken(dataDir);
  const health: Health = new Health({
    clock,
    log,
    probes: { database: () => sqlite.probe(), logs: () => logs.probe(), bodies: () => bodies.probe() },
  });
  const files = (name: 'logs' | 'bodies') => ({ dir: join(dataDir, name), clock, watch: health.watch(name) });
  const logs = wrap('logs', new FileLogSink(files('logs')));
  const bodies = wrap('bodies', new BodyFiles(files('bodies')));
  const sqlite: SqliteStore = new SqliteStore({
    path: join(dataDir, 'tappet.db'),
    clock,
    ids,
    patienceMs: PATIENCE_MS,
    watch: health.watch('database'),
  });
  await sqlite.open();
  started.push({ stop: () => sqlite.close() }, { stop: async () => health.stop() });
  const store = wrap<Store>('store', sqlite);
  const current = new CurrentConfig(await syncDefinitions(store, config, clock.now()));
  const expressions = createExpressions();
  const secretStore = new SecretStore({ dataDir, env });
  const secrets = wrap('secrets', createSecrets({ env, baseDir: config.folder, store: secretStore }));
  const objects = wrap('objects', createObjects({ connections: config.connections, secrets, clock, log }));
  started.push({ stop: async () => objects.close() });
  const parts = { options, clock, ids, log, current, dataDir, store, logs, health, expressions };
  const sessions = new Sessions({ clock, ids });
  const base = { ...parts, secrets, objects, bodies, sessions, draining: new AbortController() };
  const engine = engineLink(base);
  const network = {
    fetch: filteredFetch({ allowed: isPublicAddress }),
    fetchAnywhere: filteredFetch({ allowed: () => true }),
  };
  const way = await wayOfEvents({ ...base, ...network, onExecutions: () => engine.wake() });
  const receivers = () => current.config.notifications;
  const sender = new NotificationSender({ ...base, ...network, receivers, random: new SystemRandom() });
  const maintenance = new Maintenance({
    store,
    logs,
    bodies,
    clock,
    log,
    eventRetentionMs: () => current.server.eventRetentionMs,
    imagePrune: () => current.server.imagePrune,
    neverPulled: () => current.imagesNeverPulled(),
    retentionCounts: () => current.retentionCounts(),
    runner: () => engine.runner,
  });
  const deadlines = new DeadlineWatch({ store, clock, log, onHalted: () => engine.wakeStops() });
  for (const service of [way.router, engine, deadlines, maintenance, sender, way.issuers, way.sources]) {
    await service.start();
    started.push(service);
  }
  const reload = reloadOf(base, engine, way);
  const served = { ...way, engine, reload, sender };
  const server = await serve(base, served, new TokenAuth(token), started);
  const cancelRelease = clock.setTimer(SETTLED_MS, releaseStartUpMemory);
  started.push({ stop: async () => cancelRelease() });
  await announce({ ...base, server, created, started });
  const watch = new ConfigWatch({ path: configPath, seen, clock, reload: () => reload.run() });
  await watch.start();
  started.push(watch);
  const drain = async (): Promise<void> => {
    base.draining.abort();
    await engine.drain();
  };
  return { url: server.url, reload: () => watch.ask(), drain };
}

function reloadOf(base: Base, engine: EngineLink, { issuers, sources, verifier }: WayOfEvents): Reload {
  const { options, current, dataDir, store, objects, clock, log } = base;
  const { configPath } = options;
  return new Reload({
    // The data stay where they are until a restart.
    load: () => loadConfig(configPath, { ...options, dataDir }),
    current,
    store,
    objects,
    issuers,
    verifier,
    sources,
    flags: (['host', 'port', 'dataDir'] as const).filter((flag) => options[flag] !== undefined),
    onApplied: () => engine.wake(),
    clock,
    log,
  });
}

function engineLink(base: Base): EngineLink {
  const { options, clock, ids, log, current, store, logs, expressions, secrets, objects, bodies } = base;
  const { wrap = notWrapped } = options;
  return new EngineLink({
    env: options.env,
    clock,
    log,
    store,
    makeRunner: async ({ endpoint }) => {
      // The engine's client is a quarter of all modules: without an engine neither time nor memory is spent on it.
      const { DockerRunner } = await import('./runners/docker/docker-runner.ts');
      const instance = store.instance();
      const engine = engineName(endpoint);
      const runner = new DockerRunner({
        endpoint,
        engine,
        instance,
        network: instance,
        clock,
        log,
        registries: createRegistries({ specs: () => current.server.registries, secrets }),
        pullLimits: () => current.server.pulls,
        engineLimits: () => current.server.engine,
      });
      return wrap('runner', runner);
    },
    makeExecutor: (runner) => {
      const settings = () => {
        const { maxRunningTasks: max, admission, limits } = current.server;
        return { maxRunningTasks: max ?? Infinity, admission, maxParallelism: limits.maxParallelism };
      };
      const localFiles = wrap('localFiles', new SystemFiles());
      const staging = { objects, secrets, localFiles, bodies, random: new SystemRandom() };
      return new Executor({ store, runner, logs, clock, ids, settings, expressions, log, ...staging });
    },
  });
}

interface Served extends WayOfEvents {
  readonly engine: EngineLink;
  readonly reload: Reload;
  readonly sender: NotificationSender;
}

async function serve(
  base: Base,
  { router, inbox, sources, waits, engine, reload, sender }: Served,
  auth: TokenAuth,
  started: Stoppable[],
): Promise<RunningServer> {
  const { options, clock, ids, log, current, store, logs } = base;
  let ready = true;
  const app = createApp({
    store,
    auth,
    sessions: base.sessions,
    logs,
    clock,
    ids,
    log,
    config: () => current.config,
    definitions: (kind, name) => current.definition(kind, name),
    hooks: {
      handle: async (name, request, info) => sources.handle(triggerOrigin(name), request, info),
      takesFiles: (name) => sources.takesFiles(triggerOrigin(name)),
      receive: (name, request, info) => sources.receive(triggerOrigin(name), request, info),
    },
    notifications: {
      handle: async (name, request, info) => sources.handle(connectionOrigin(name), request, info),
    },
    preview: (trigger, from, count) => sources.preview(triggerOrigin(trigger), from, count) ?? [],
    triggerStatus: ({ origin, name }) => sources.status(origin, name),
    fire: (trigger, { principal, ...rest }) =>
      fireTrigger(
        {
          inbox,
          sources: manualOf(current, sources),
          waitDecided: router.waitDecided.bind(router),
          store,
          clock,
          ids,
        },
        { trigger, ...rest, principal: principal.name },
      ),
    status: async () => ({
      instance: store.instance(),
      config: reload.status(),
      engine: engine.status(),
      sources: sourceSummary(sources),
      health: base.health.status(),
      ...(await countsNow(store, sender.off())),
    }),
    engines: { list: () => store.enginesInUse(), forget: (name, by) => engine.forget(name, by) },
    ready: () => ready && base.health.canStore && !base.draining.signal.aborted,
    onWork: () => engine.wake(),
    onStop: () => {
      engine.wakeStops();
      // What has never started ends at once, and may have kept others waiting.
      engine.wake();
    },
    admission: () => engine.admission(),
    planExecution,
  });
  const host = options.host ?? current.server.host;
  const server = await listen({ app, host, port: options.port ?? current.server.port, clock });
  started.push({ stop: () => server.close() });
  started.push({
    stop: async () => {
      ready = false;
      waits.stop();
      // Beside the answers in flight, which take their time too; who waits for its end hears what went wrong.
      engine.stop().catch(() => undefined);
    },
  });
  return server;
}

/** A trigger's event by hand comes from the source that it listens to. */
function manualOf(current: CurrentConfig, sources: SourceHost): FireDeps['sources'] {
  return {
    manual: (trigger, time, data) => {
      const origin = current.triggers.get(trigger)?.origin;
      return origin === undefined ? undefined : sources.manual(origin, { trigger, time, data });
    },
  };
}

interface Announcement {
  readonly options: GatewayOptions;
  readonly server: RunningServer;
  readonly dataDir: string;
  readonly created: boolean;
  readonly started: Stoppable[];
  readonly log: GatewayLog;
  readonly sessions: Sessions;
}

/** Tells the person, and the command line on this machine, where the gateway is. */
async function announce(parts: Announcement): Promise<void> {
  const { options, server, dataDir, created, started, log, sessions } = parts;
  const { url } = server;
  const own = await ownAddress(url);
  const other = await publishAddress(dataDir, own);
  started.push({ stop: () => withdrawAddress(dataDir, own) });
  options.print(`Tappet listens on ${url}`);
  options.print(
    `Look at it in a browser: ${pageLink(url, sessions.newCode().code)} (works once, for ten minutes)`,
  );
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
