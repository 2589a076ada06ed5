import { z } from 'zod';
import { strictObject } from '../../src/lib/strict-object.ts';

const list = <T extends z.ZodType>(item: T) => z.array(item).min(1).optional();

/** Compared to the letter, so that a star would wait for a claim that has one. */
const exact = z
  .string()
  .min(1)
  .regex(/^[^*]*$/, 'is compared to the letter, and knows no patterns: write those into "require"');

const email = exact.regex(/^[^\s@]+@[^\s@]+$/, 'is no email address');

const NO_NUMBER =
  'must be the number that GitHub knows it by, not its name: gh api repos/OWNER/NAME --jq .id';

/** Issuers write these as text; in a configuration a bare number is natural. */
const numericId = z
  .union([z.int().positive(), z.string().regex(/^[1-9]\d*$/, NO_NUMBER)], {
    error: () => NO_NUMBER,
  })
  .transform(String);

const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
export const NAMESPACE = new RegExp(`^${label}$`);
export const SERVICE_ACCOUNT = new RegExp(`^${label}/${label}(?:\\.${label})*$`);
const namespace = z.string().regex(NAMESPACE, 'is no name of a namespace');
const serviceAccount = z
  .string()
  .regex(SERVICE_ACCOUNT, 'must be "<namespace>/<name of the service account>"');

export const oidc = strictObject({
  issuer: z.string().min(1).describe('A name under "issuers".'),
  audience: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .describe("The token's audience must be one of these, to the letter."),
  emails: list(email).describe('google, generic: email is one of these, and email_verified is true.'),
  subjects: list(exact).describe('sub is one of these.'),
  repositoryIds: list(numericId).describe('github-actions: repository_id is one of these.'),
  repositoryOwnerIds: list(numericId).describe('github-actions: repository_owner_id is one of these.'),
  workflows: list(exact).describe(
    'github-actions: job_workflow_ref is one of these. Narrows down only: any repository may call a public workflow.',
  ),
  refs: list(exact).describe(
    'github-actions: ref is one of these, such as refs/heads/main. Narrows down only.',
  ),
  environments: list(exact).describe('github-actions: environment is one of these. Narrows down only.'),
  events: list(exact).describe(
    'github-actions: event_name is one of these, such as push. Narrows down only.',
  ),
  serviceAccounts: list(serviceAccount).describe('kubernetes: sub is one of these, as "<namespace>/<name>".'),
  namespaces: list(namespace).describe('kubernetes: any service account of one of these namespaces.'),
  require: z
    .string()
    .optional()
    .describe(
      'CEL over "claims" that must be true too: "claims.sub == \'builder\' && \'admin\' in claims.groups".',
    ),
  anyone: z
    .literal(true)
    .optional()
    .describe('Let in whoever has a token of the issuer for the audience. Instead of all conditions.'),
}).describe(
  'A signed token of an issuer, as Cloud Scheduler, GitHub Actions and Kubernetes send them. Says who may call by at least one condition.',
);
