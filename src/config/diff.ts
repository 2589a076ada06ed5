import { isDeepStrictEqual } from 'node:util';
import type { Config, ServerSettings } from '../core/config.ts';

/** Names, each list in the order of its configuration. */
export interface NameChanges {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

export interface ConfigChanges {
  /** Names of settings whose value is another. */
  readonly server: readonly (keyof ServerSettings)[];
  readonly issuers: NameChanges;
  readonly connections: NameChanges;
  readonly notifications: NameChanges;
  readonly jobs: NameChanges;
  readonly triggers: NameChanges;
}

/**
 * What leads from one configuration to another. A trigger is changed when it is written differently (a default written
 * out counts), a job when it does something different; a change of a job or of a connection does not change the triggers
 * that name it. What a secret reference leads to is no part of a configuration.
 */
export function diffConfigs(before: Config, after: Config): ConfigChanges {
  const sameEtag = (a: { readonly etag: string }, b: { readonly etag: string }): boolean => a.etag === b.etag;
  return {
    server: diffSettings(before.server, after.server),
    issuers: diffMaps(before.issuers, after.issuers, isDeepStrictEqual),
    connections: diffMaps(before.connections, after.connections, isDeepStrictEqual),
    notifications: diffMaps(before.notifications, after.notifications, isDeepStrictEqual),
    jobs: diffMaps(before.jobs, after.jobs, sameEtag),
    triggers: diffMaps(before.triggers, after.triggers, sameEtag),
  };
}

/** Names of the settings that differ. */
export function diffSettings(before: ServerSettings, after: ServerSettings): (keyof ServerSettings)[] {
  const keys = Object.keys(after) as (keyof ServerSettings)[];
  return keys.filter((key) => !isDeepStrictEqual(before[key], after[key]));
}

function diffMaps<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  isSame: (a: T, b: T) => boolean,
): NameChanges {
  const added: string[] = [];
  const changed: string[] = [];
  for (const [name, value] of after) {
    const old = before.get(name);
    if (old === undefined) added.push(name);
    else if (!isSame(old, value)) changed.push(name);
  }
  return { added, changed, removed: [...before.keys()].filter((name) => !after.has(name)) };
}
