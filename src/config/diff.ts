import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../core/config.ts';

/** Names, each list in the order of its configuration. */
export interface NameChanges {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

export interface ConfigChanges {
  /** Names of settings whose value is another. */
  readonly server: readonly string[];
  readonly issuers: NameChanges;
  readonly jobs: NameChanges;
  readonly triggers: NameChanges;
}

/**
 * What leads from one configuration to another. A trigger is changed when it is written differently (a default written
 * out counts), a job when it does something different; a change of a job does not change the triggers that run it.
 * What a secret reference leads to is no part of a configuration.
 */
export function diffConfigs(before: Config, after: Config): ConfigChanges {
  const sameEtag = (a: { readonly etag: string }, b: { readonly etag: string }): boolean => a.etag === b.etag;
  const old = new Map(Object.entries(before.server));
  const settings = Object.entries(after.server);
  return {
    server: settings.flatMap(([key, value]) => (isDeepStrictEqual(old.get(key), value) ? [] : key)),
    issuers: diffMaps(before.issuers, after.issuers, isDeepStrictEqual),
    jobs: diffMaps(before.jobs, after.jobs, sameEtag),
    triggers: diffMaps(before.triggers, after.triggers, sameEtag),
  };
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
