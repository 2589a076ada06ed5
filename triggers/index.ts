import type { SourceSpec } from '../src/core/config.ts';
import type { Source } from '../src/core/source.ts';
import { createCronSource } from './cron/source.ts';
import { createWebhookSource } from './webhook/source.ts';

/** The source of a trigger: every kind that the configuration knows has its line here. */
export function createSource(name: string, spec: SourceSpec): Source {
  switch (spec.kind) {
    case 'cron':
      return createCronSource({ name, spec });
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
