import type { AuthSpec, Verify } from './core/auth.ts';
import type { Clock } from './core/clock.ts';
import type { Config, ServerSettings } from './core/config.ts';
import { TappetError, errorText, isTappetError } from './core/errors.ts';
import type { JsonObject } from './core/json.ts';
import type { Log } from './core/log.ts';
import type { DefinitionStore } from './core/store.ts';
import { applied, syncDefinitions, type CurrentConfig } from './applied-config.ts';
import type { Issuers, PreparedIssuers } from './auth/issuers.ts';
import { changeLines, settingName } from './config/change-words.ts';
import { diffConfigs, diffSettings, type ConfigChanges } from './config/diff.ts';
import type { LoadedConfig } from './config/load.ts';
import { hostedSources } from './hosted-sources.ts';
import type { HostedSource, SourceHost } from './inbox/source-host.ts';
import type { ConfiguredObjects, PreparedObjects } from './objects/objects.ts';

export interface ReloadDeps {
  /** As at the start, but with the data folder that is in use. Errors: CONFIG_INVALID. */
  load(): Promise<LoadedConfig>;
  readonly current: CurrentConfig;
  readonly store: DefinitionStore;
  readonly objects: ConfiguredObjects;
  readonly issuers: Issuers;
  /** Errors: those of `compileVerify`. */
  verifier(auth: AuthSpec, issuers: PreparedIssuers): Promise<Verify>;
  readonly sources: Pick<SourceHost, 'replace'>;
  /** Settings that a flag decides instead. */
  readonly flags: readonly (keyof ServerSettings)[];
  /** Another configuration counts: what waits may have room now. */
  onApplied(): void;
  readonly clock: Clock;
  readonly log: Log;
}

/** A secret or a file that the configuration names may turn up without any change of the configuration. */
const AGAIN_INVALID_MS = 30_000;
const AGAIN_STORE_MS = 1_000;
/** What is bound once, at the start. */
const AT_START: readonly (keyof ServerSettings)[] = ['host', 'port', 'dataDir'];

interface Prepared {
  readonly config: LoadedConfig;
  readonly objects: PreparedObjects;
  readonly issuers: PreparedIssuers;
  readonly sources: readonly HostedSource[];
}

/**
 * Puts a changed configuration in the place of the one that counts, as a whole or not at all.
 *
 * | state     | what counts                     | goes on                                                             |
 * |-----------|---------------------------------|---------------------------------------------------------------------|
 * | `applied` | what was read last              | read again: right → applied; mistakes → invalid; no store → waiting |
 * | `invalid` | the last good one               | read again when it changes, when asked, and after 30 s              |
 * | `waiting` | the last good one               | read again when it changes, when asked, and after 1 s               |
 *
 * The steps, and what a crash after each leaves:
 *
 * 1. load, compile the checks of callers, make the sources: everything that can fail. Nothing has changed.
 * 2. tell the store of the definitions, in one transaction. A crash here, or a process that goes on with the old
 *    configuration for the moment until 3: the next start reads the file and tells the store the same, which changes
 *    no generation twice. Where the file is back as it was by then, the definitions get another generation.
 * 3. exchange, in one turn of the event loop: stores, issuers, definitions, sources. Nothing in it can fail. An event
 *    that was accepted before and is decided after it is decided by the new definitions, as after a restart.
 * 4. old sources stop, new ones start. A crash here is a crash of running sources: their rows tell the rest.
 *
 * Executions go on with what was frozen into them. What is deleted keeps its executions.
 */
export class Reload {
  readonly #deps: ReloadDeps;
  readonly #started: LoadedConfig;
  #problem:
    | { readonly state: 'invalid' | 'waiting'; readonly message: string; readonly since: number }
    | undefined;

  constructor(deps: ReloadDeps) {
    this.#deps = deps;
    this.#started = deps.current.config;
  }

  /** Never rejects. Gives the ms after which to try again though nothing has changed. One at a time. */
  async run(): Promise<number | undefined> {
    try {
      await this.#apply(await this.#prepare());
      return undefined;
    } catch (error) {
      return this.#refused(error);
    }
  }

  status(): JsonObject {
    const { etag, time, config } = this.#deps.current.applied;
    const { state, message, since } = this.#problem ?? { state: 'applied' };
    const problem = message === undefined ? {} : { message, since: new Date(since ?? time).toISOString() };
    const waiting = this.#waiting(config).map(settingName);
    return { state, etag, time: new Date(time).toISOString(), ...problem, waitingForRestart: waiting };
  }

  async #prepare(): Promise<Prepared> {
    const config = await this.#deps.load();
    if (config.folder !== this.#started.folder) {
      const message = `the configuration is in another folder now (${config.folder}): restart the gateway`;
      throw new TappetError('CONFIG_INVALID', message);
    }
    const objects = this.#deps.objects.prepare(config.connections);
    const issuers = this.#deps.issuers.prepare(config.issuers);
    // Those of sources that go on too: the secret that a reference leads to may be another.
    const verifier = (auth: AuthSpec): Promise<Verify> => this.#deps.verifier(auth, issuers);
    return { config, objects, issuers, sources: await hostedSources(config, { objects, verifier }) };
  }

  async #apply({ config, objects, issuers, sources }: Prepared): Promise<void> {
    const { current, store, clock, log } = this.#deps;
    const before = current.applied;
    const changes = diffConfigs(asWritten(before.config), asWritten(config));
    const lines = changeLines(changes);
    const next = hasDefinitions(changes)
      ? await syncDefinitions(store, config, clock.now())
      : applied(config, before.definitions, lines.length === 0 ? before.time : clock.now());
    objects.apply();
    current.replace(next);
    const exchanged = Promise.all([issuers.apply(), this.#deps.sources.replace(sources)]);
    this.#problem = undefined;
    this.#tell(before.config, config, lines);
    if (lines.length > 0) log.info('configuration applied', { etag: next.etag });
    else log.info('configuration read again: nothing in it has changed');
    this.#deps.onApplied();
    await exchanged;
  }

  #tell(before: LoadedConfig, config: LoadedConfig, lines: readonly string[]): void {
    const { log } = this.#deps;
    for (const line of lines) log.info(line);
    for (const warning of config.warnings) if (!before.warnings.includes(warning)) log.warn(warning);
    const waiting = this.#waiting(config);
    if (waiting.length === 0 || waiting.join() === this.#waiting(before).join()) return;
    log.warn(`settings that wait for a restart: ${waiting.map(settingName).join(', ')}`);
  }

  /** Settings that are others in the files than in this process. */
  #waiting(config: LoadedConfig): (keyof ServerSettings)[] {
    const changed = diffSettings(asWritten(this.#started).server, asWritten(config).server);
    return changed.filter((key) => AT_START.includes(key) && !this.#deps.flags.includes(key));
  }

  #refused(error: unknown): number {
    const { clock, log } = this.#deps;
    const isStore = isTappetError(error, 'STORE_UNAVAILABLE');
    const message = isStore ? `the store refuses: ${errorText(error)}` : errorText(error);
    const state = isStore ? 'waiting' : 'invalid';
    // Once: it is tried again and again.
    if (message !== this.#problem?.message) {
      for (const line of message.split('\n')) log.error(`configuration not applied: ${line}`);
      if (!isTappetError(error)) log.error('the reload failed unexpectedly', { error });
    }
    this.#problem = { state, message, since: this.#problem?.since ?? clock.now() };
    return isStore ? AGAIN_STORE_MS : AGAIN_INVALID_MS;
  }
}

/** With the data folder that the files name, not the one in use. */
function asWritten(config: LoadedConfig): Config {
  return { ...config, server: { ...config.server, dataDir: config.writtenDataDir } };
}

function hasDefinitions({ jobs, triggers }: ConfigChanges): boolean {
  return [jobs, triggers].some(
    ({ added, changed, removed }) => added.length + changed.length + removed.length > 0,
  );
}
