import type { Registries, RegistrySpec } from '../core/registry.ts';
import type { Secrets } from '../core/secrets.ts';
import { readDockerConfig } from './docker-config.ts';

export interface RegistriesOptions {
  /** As they are now. */
  specs(): Readonly<Record<string, RegistrySpec>>;
  readonly secrets: Secrets;
}

/** Reads each account anew at each call, so that a changed password counts with the next pull. */
export function createRegistries(options: RegistriesOptions): Registries {
  const { secrets } = options;
  return {
    async account(host) {
      const all = options.specs();
      const spec = Object.hasOwn(all, host) ? all[host] : undefined;
      if (spec === undefined) return undefined;
      if ('dockerConfig' in spec) return readDockerConfig(spec.dockerConfig, host);
      const { username, password } = spec;
      const name = typeof username === 'string' ? username : (await secrets.resolve(username)).reveal();
      return { username: name, password: await secrets.resolve(password) };
    },
  };
}
