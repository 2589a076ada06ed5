import { z } from 'zod';
import { PULL_DEFAULTS } from '../core/registry.ts';
import type { RegistrySpec } from '../core/registry.ts';
import { formatDuration } from '../lib/duration.ts';
import { patternProblem, registryHost } from '../lib/image-pattern.ts';
import { secretRef } from '../lib/secret-ref.ts';
import { strictObject } from '../lib/strict-object.ts';
import { duration } from '../lib/unit-fields.ts';

const DAY = 24 * 60 * 60 * 1000;

const REGISTRY_RULE =
  'write the account as { "username": …, "password": where its secret stands }, or { "dockerConfig": "./config.json" }';

const registry = strictObject(
  {
    username: z
      .union([z.string().min(1), secretRef], { error: () => 'must be a text, or where a secret stands' })
      .optional(),
    password: secretRef.optional().describe('Or a token, as most registries have them.'),
    dockerConfig: z
      .string()
      .min(1)
      .optional()
      .describe('A config.json as docker login writes it; relative to the configuration.'),
  },
  REGISTRY_RULE,
)
  .transform(({ username, password, dockerConfig }, context): RegistrySpec => {
    if (context.issues.length > 0) return z.NEVER;
    const any = username !== undefined || password !== undefined;
    if (dockerConfig !== undefined && !any) return { dockerConfig };
    if (dockerConfig === undefined && username !== undefined && password !== undefined)
      return { username, password };
    context.addIssue({ code: 'custom', message: REGISTRY_RULE });
    return z.NEVER;
  })
  .describe('The account at a registry.');

const REGISTRY_HOST = /^(?:localhost|[a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::\d{1,5})?$/;

const HOST_RULE =
  'must be a host, with its port if it has one, such as "registry.example.com:5000"; Docker Hub is "docker.io"';

const pulls = strictObject({
  timeout: duration({ min: 1000, max: DAY })
    .prefault(formatDuration(PULL_DEFAULTS.timeoutMs))
    .describe('For one pull.'),
  idle: duration({ min: 1000, max: DAY })
    .prefault(formatDuration(PULL_DEFAULTS.idleMs))
    .describe('Without any progress.'),
});

const imagePrune = strictObject({
  unusedFor: duration({ min: 60 * 60 * 1000, max: 3650 * DAY })
    .prefault('7d')
    .describe('An image that nothing has used for so long is removed.'),
}).describe('Removes images that Tappet pulled itself; absent = they are kept.');

const imagePattern = z.string().superRefine((pattern, context) => {
  const problem = patternProblem(pattern);
  if (problem !== null) context.addIssue({ code: 'custom', message: problem });
});

/** Docker Hub has more names than one: which account counts must not depend on their order. */
function refuseTwice(registries: object, context: z.RefinementCtx): void {
  const hosts = new Map<string, string>();
  for (const written of Object.keys(registries)) {
    const host = registryHost(written);
    const other = hosts.get(host);
    hosts.set(host, written);
    if (other === undefined) continue;
    const message = `is the same registry as "${other}", which has an account too: keep one of them`;
    context.addIssue({ code: 'custom', path: [written], message });
  }
}

/** Fields of `server` about images. */
export const imageSettings = {
  pulls: pulls.prefault({}).describe('How long pulling an image may take.'),
  registries: z
    .record(z.string().regex(REGISTRY_HOST), registry, {
      error: ({ code }) => (code === 'invalid_key' ? HOST_RULE : undefined),
    })
    .superRefine(refuseTwice)
    .default({})
    .describe('Accounts at registries, by host.'),
  allowedImages: z
    .array(imagePattern)
    .optional()
    .describe('Which images jobs may run, such as "registry.example.com/team/**"; absent = every one.'),
  imagePrune: imagePrune.optional(),
};
