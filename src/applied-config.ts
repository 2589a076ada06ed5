import type { Config, JobDefinition, ServerSettings, TriggerDefinition } from './core/config.ts';
import { tellsOfFailures } from './core/notify.ts';
import type { DefinitionKey, DefinitionRow, DefinitionStore } from './core/store.ts';
import { etagOf } from './config/etag.ts';
import type { LoadedConfig } from './config/load.ts';
import type { RoutedJob } from './routing/decide-event.ts';

/** A configuration with what the store says of its definitions. */
export interface Applied {
  readonly config: LoadedConfig;
  /** Of the whole. */
  readonly etag: string;
  /** Epoch ms. */
  readonly time: number;
  /** By `job/<name>` and `trigger/<name>`. */
  readonly definitions: ReadonlyMap<string, DefinitionRow>;
  readonly jobs: ReadonlyMap<string, RoutedJob>;
}

/**
 * Tells the store of the definitions; nothing else changes. A repeat gives the same.
 * Errors: STORE_UNAVAILABLE, with nothing stored unless it says that it is not known.
 */
export async function syncDefinitions(
  store: DefinitionStore,
  config: LoadedConfig,
  time: number,
): Promise<Applied> {
  const keys = [
    ...[...config.jobs.values()].map(jobKey),
    ...[...config.triggers.values()].map(({ name, etag }) => ({ kind: 'trigger', name, etag }) as const),
  ];
  const rows = await store.syncDefinitions(keys);
  return applied(config, new Map(rows.map((row) => [`${row.kind}/${row.name}`, row])), time);
}

function jobKey({ name, etag, spec: { maxConcurrentExecutions, notify } }: JobDefinition): DefinitionKey {
  const limit = maxConcurrentExecutions === undefined ? {} : { maxConcurrentExecutions };
  const tells = notify !== undefined && tellsOfFailures(notify);
  return { kind: 'job', name, etag, ...limit, ...(tells ? { tellsOfFailures: true } : {}) };
}

/** The same where the store knows the definitions already. */
export function applied(config: LoadedConfig, definitions: Applied['definitions'], time: number): Applied {
  const jobs = new Map<string, RoutedJob>();
  for (const [name, job] of config.jobs) {
    jobs.set(name, { ...job, generation: definitions.get(`job/${name}`)?.generation ?? 1 });
  }
  return { config, etag: etagOfAll(config), time, definitions, jobs };
}

function etagOfAll({ server, issuers, connections, notifications, jobs, triggers }: Config): string {
  const etags = (all: ReadonlyMap<string, { readonly etag: string }>) =>
    Object.fromEntries([...all].map(([name, { etag }]) => [name, etag]));
  return etagOf({
    server,
    issuers: Object.fromEntries(issuers),
    connections: Object.fromEntries(connections),
    notifications: Object.fromEntries(notifications),
    jobs: etags(jobs),
    triggers: etags(triggers),
  });
}

/** The configuration that counts now. Everybody asks here at each use: a reload replaces it as a whole, in one turn. */
export class CurrentConfig {
  #applied: Applied;

  constructor(first: Applied) {
    this.#applied = first;
  }

  get applied(): Applied {
    return this.#applied;
  }
  get config(): LoadedConfig {
    return this.#applied.config;
  }
  get server(): ServerSettings {
    return this.#applied.config.server;
  }
  get triggers(): ReadonlyMap<string, TriggerDefinition> {
    return this.#applied.config.triggers;
  }
  get jobs(): ReadonlyMap<string, RoutedJob> {
    return this.#applied.jobs;
  }

  /** By job, how many of its ended executions are kept; without those that keep any number. */
  retentionCounts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const [name, { spec }] of this.jobs)
      if (spec.retentionCount !== undefined) counts.set(name, spec.retentionCount);
    return counts;
  }

  /** The images of jobs whose `pullPolicy` is Never. */
  imagesNeverPulled(): string[] {
    const specs = Array.from(this.jobs.values(), ({ spec }) => spec);
    return specs.filter(({ pullPolicy }) => pullPolicy === 'Never').map(({ image }) => image);
  }

  definition(kind: 'job' | 'trigger', name: string): DefinitionRow | undefined {
    return this.#applied.definitions.get(`${kind}/${name}`);
  }

  replace(next: Applied): void {
    this.#applied = next;
  }
}
