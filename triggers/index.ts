import type { SourceSpec } from '../src/core/config.ts';
import type { Source } from '../src/core/source.ts';
import { createCronSource } from './cron/source.ts';
import { createFilesSource } from './files/source.ts';
import { createWebhookSource } from './webhook/source.ts';

export { createStorageSource as createConnectionSource } from './storage/source.ts';

/** Storage triggers share the source of their connection, `createConnectionSource`. */
type OwnSourceSpec = Exclude<SourceSpec, { kind: 'storage' }>;

/** The source of a trigger: every kind that the configuration knows has its line here, but the shared ones. */
export function createSource(name: string, spec: OwnSourceSpec): Source {
  switch (spec.kind) {
    case 'cron':
      return createCronSource({ name, spec });
    case 'files':
      return createFilesSource({ name, spec });
    case 'webhook':
      return createWebhookSource({ name, spec });
    default:
      return unknownKind(spec);
  }
}

/** Unreachable while the switch is total: a new kind without a line above does not compile. */
function unknownKind(spec: never): never {
  throw new TypeError(`no source for ${JSON.stringify(spec)}`);
}
