import type { AnswerTemplates, SourceSpec } from '../src/core/config.ts';
import type { Template } from '../src/core/expression.ts';
import type { Source } from '../src/core/source.ts';
import { createCronSource } from './cron/source.ts';
import { createFilesSource } from './files/source.ts';
import { createWebhookSource } from './webhook/source.ts';

export { createStorageSource as createConnectionSource } from './storage/source.ts';

/** Storage triggers share the source of their connection, `createConnectionSource`. */
type OwnSourceSpec = Exclude<SourceSpec, { kind: 'storage' }>;

/** The source of a trigger; `identify` and `answer` are a webhook's. Every kind that the configuration knows has its line here, but the shared ones. */
export function createSource(
  name: string,
  spec: OwnSourceSpec,
  { identify, answer }: { readonly identify?: Template; readonly answer?: AnswerTemplates } = {},
): Source {
  switch (spec.kind) {
    case 'cron':
      return createCronSource({ name, spec });
    case 'files':
      return createFilesSource({ name, spec });
    case 'webhook':
      return createWebhookSource({
        name,
        spec,
        ...(identify === undefined ? {} : { identify }),
        ...(answer === undefined ? {} : { answer }),
      });
    default:
      return unknownKind(spec);
  }
}

/** Unreachable while the switch is total: a new kind without a line above does not compile. */
function unknownKind(spec: never): never {
  throw new TypeError(`no source for ${JSON.stringify(spec)}`);
}
