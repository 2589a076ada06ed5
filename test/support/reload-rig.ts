import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { CurrentConfig, syncDefinitions } from '../../src/applied-config.ts';
import { BodyFiles } from '../../src/bodies/body-files.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { ServerSettings } from '../../src/core/config.ts';
import type { Fetch } from '../../src/core/fetch.ts';
import type { Store } from '../../src/core/store.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import type { SourceHost } from '../../src/inbox/source-host.ts';
import { createObjects, type ConfiguredObjects } from '../../src/objects/objects.ts';
import { Reload } from '../../src/reload.ts';
import { createSecrets } from '../../src/secrets/secret-reader.ts';
import { SqliteStore } from '../../src/stores/sqlite/store.ts';
import { wayOfEvents, type WayOfEvents } from '../../src/way-of-events.ts';
import { ConfigFolder } from './config-folder.ts';
import { FakeLog } from './fake-log.ts';
import { ManualClock } from './manual-clock.ts';
import { SeededIds } from './seeded-ids.ts';

export interface ReloadRigOptions {
  readonly flags?: readonly (keyof ServerSettings)[];
  /** As after a crash: the same folder and the same database. */
  readonly after?: ReloadRig;
  /** What answers in the place of issuers; absent = nobody does. */
  readonly fetch?: Fetch;
}

const noNetwork: Fetch = () => Promise.reject(new Error('there is no network'));

/** All that a reload exchanges, of real parts, on a configuration in a real folder. Only inside a test. */
export class ReloadRig {
  readonly folder: ConfigFolder;
  readonly clock = new ManualClock();
  readonly log = new FakeLog();
  readonly env: Record<string, string> = {};
  readonly store: SqliteStore;
  /** Asked before `syncDefinitions`; its answer after it. Throw for a fault. */
  beforeSync: () => void = () => undefined;
  afterSync: () => void = () => undefined;
  applied = 0;
  readonly #ids: SeededIds;
  readonly #options: ReloadRigOptions;
  #parts: Parts | undefined;

  private constructor(options: ReloadRigOptions) {
    this.#options = options;
    this.folder = options.after?.folder ?? new ConfigFolder();
    this.#ids = new SeededIds(options.after === undefined ? 1 : 2);
    const path = join(this.folder.path, 'data', 'tappet.db');
    this.store = new SqliteStore({ path, clock: this.clock, ids: this.#ids });
    onTestFinished(async () => {
      await this.end();
      if (options.after === undefined) this.folder.remove();
    });
  }

  /** `files`: by name; the configuration is the folder. */
  static async start(
    files: Readonly<Record<string, unknown>>,
    env: Readonly<Record<string, string>> = {},
    options: ReloadRigOptions = {},
  ): Promise<ReloadRig> {
    const rig = new ReloadRig(options);
    Object.assign(rig.env, env);
    for (const [name, content] of Object.entries(files)) rig.write(name, content);
    await rig.store.open();
    rig.#parts = await rig.#build();
    return rig;
  }

  get current(): CurrentConfig {
    return this.#made.current;
  }
  get objects(): ConfiguredObjects {
    return this.#made.objects;
  }
  get sources(): SourceHost {
    return this.#made.way.sources;
  }
  get reload(): Reload {
    return this.#made.reload;
  }

  write(name: string, content: unknown): void {
    this.folder.write(`etc/${name}`, content);
  }

  /** The lines of the log since the last call. */
  lines(): string[] {
    return this.log.lines.splice(0).map(({ message }) => message.replaceAll(`${this.folder.path}/etc/`, ''));
  }

  /** Calls a webhook; its status and what it answers. */
  async call(trigger: string, data: unknown = {}, headers: Readonly<Record<string, string>> = {}) {
    const request = new Request(`http://localhost/hooks/${trigger}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(data),
    });
    const response = await this.sources.handle(`trigger/${trigger}`, request, { remoteAddress: '::1' });
    if (response === undefined) return undefined;
    const body = (await response.json()) as { decisions?: { outcome: string }[]; executions?: string[] };
    return { status: response.status, outcome: body.decisions?.[0]?.outcome, executions: body.executions };
  }

  async end(): Promise<void> {
    await this.#parts?.way.sources.stop();
    await this.#parts?.way.issuers.stop();
    this.#parts?.objects.close();
    await this.store.close();
  }

  get #made(): Parts {
    if (this.#parts === undefined) throw new TypeError('the rig was not started');
    return this.#parts;
  }

  async #build(): Promise<Parts> {
    const { clock, log, env, folder } = this;
    const path = join(folder.path, 'etc');
    const config = await loadConfig(path, { env });
    const { dataDir } = config.server;
    const secrets = createSecrets({ env, baseDir: config.folder });
    const store = this.#faulty();
    const objects = createObjects({ connections: config.connections, secrets, clock, log });
    const current = new CurrentConfig(await syncDefinitions(this.store, config, clock.now()));
    const way = await wayOfEvents({
      store: this.store,
      current,
      objects,
      secrets,
      bodies: new BodyFiles({ dir: join(dataDir, 'bodies'), clock }),
      expressions: createExpressions(),
      fetch: this.#options.fetch ?? noNetwork,
      fetchAnywhere: this.#options.fetch ?? noNetwork,
      onExecutions: () => undefined,
      clock,
      ids: this.#ids,
      log,
    });
    await way.sources.start();
    const reload = new Reload({
      load: () => loadConfig(path, { env, dataDir }),
      current,
      store,
      objects,
      issuers: way.issuers,
      verifier: way.verifier,
      sources: way.sources,
      flags: this.#options.flags ?? [],
      onApplied: () => this.applied++,
      clock,
      log,
    });
    return { current, objects, way, reload };
  }

  /** Only what a reload asks of it. */
  #faulty(): Pick<Store, 'syncDefinitions'> {
    return {
      syncDefinitions: async (definitions) => {
        this.beforeSync();
        const rows = await this.store.syncDefinitions(definitions);
        this.afterSync();
        return rows;
      },
    };
  }
}

interface Parts {
  readonly current: CurrentConfig;
  readonly objects: ConfiguredObjects;
  readonly way: WayOfEvents;
  readonly reload: Reload;
}
