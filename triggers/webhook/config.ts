import { z } from 'zod';
import { secretRef } from '../../src/lib/secret-ref.ts';
import { strictObject } from '../../src/lib/strict-object.ts';

const oidc = strictObject({
  issuer: z.string().min(1).describe('A name under "issuers".'),
  audience: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .describe("The token's audience must be one of these, to the letter."),
  require: z
    .string()
    .describe('CEL over "claims" that says who may call: "claims.email == \'robot@example.com\'".'),
}).describe('A signed token of an issuer, as Cloud Scheduler, GitHub Actions and Kubernetes send them.');

const hmac = strictObject({
  secret: secretRef,
  header: z
    .string()
    .regex(/^[A-Za-z0-9-]+$/, 'is no name of a header')
    .default('x-hub-signature-256')
    .describe('Header that carries the digest.'),
  prefix: z.string().default('sha256=').describe('What stands before the digest in the header.'),
  encoding: z.enum(['hex', 'base64']).default('hex').describe('How the digest is written.'),
}).describe('HMAC-SHA256 over the raw body with a shared secret, as GitHub signs.');

const bearer = strictObject({ token: secretRef }).describe('A fixed token in the Authorization header.');

const CHOICES =
  'choose one: { "oidc": … }, { "hmac": { "secret": … } }, { "bearer": { "token": … } }, or "none" to let anyone in';

const authObject = strictObject({ oidc: oidc.optional(), hmac: hmac.optional(), bearer: bearer.optional() })
  .transform((auth, context) => {
    // What is unknown has been told by name.
    if (context.issues.length > 0) return z.NEVER;
    const named = Object.keys(auth);
    if (named.length === 1 && auth.oidc !== undefined) return { oidc: auth.oidc };
    if (named.length === 1 && auth.hmac !== undefined) return { hmac: auth.hmac };
    if (named.length === 1 && auth.bearer !== undefined) return { bearer: auth.bearer };
    const found = named.length === 0 ? 'nothing is chosen' : `${named.join(' and ')} cannot stand together`;
    context.addIssue({ code: 'custom', message: `${found}: ${CHOICES}` });
    return z.NEVER;
  })
  .meta({ minProperties: 1, maxProperties: 1 });

/** Who may call; there is no default. */
const authSchema = z
  .union([z.literal('none'), authObject], {
    error: ({ input }) =>
      input === undefined ? `is missing; a webhook must say who may call: ${CHOICES}` : CHOICES,
  })
  .describe('Who may call. "none" lets anyone in who can reach the address.');

/** `source` of a trigger of kind `webhook`. */
export const schema = strictObject({ kind: z.literal('webhook'), auth: authSchema }).describe(
  'Takes calls at /hooks/<name of the trigger>.',
);
