import { z } from 'zod';
import { plainFingerprint } from '../../src/core/auth.ts';
import type {
  BasicSpec,
  CallerSpec,
  ClientCertificateSpec,
  CredentialSpec,
  TokenSpec,
} from '../../src/core/auth.ts';
import { networkField } from '../../src/lib/network-field.ts';
import { strictObject } from '../../src/lib/strict-object.ts';
import { hmac } from './hmac-config.ts';
import { oidc } from './oidc-config.ts';
import { oneOrSeveral, secretFields } from './secret-fields.ts';

const token = strictObject(secretFields('token', 'tokens')).transform((given, context): TokenSpec => {
  if (context.issues.length > 0) return z.NEVER;
  return oneOrSeveral(given, 'token', 'tokens', context) ?? z.NEVER;
});

const basic = strictObject({
  user: z
    .string()
    .min(1)
    .regex(/^[^:]*$/, 'must not hold a colon, which ends the name of a user'),
  ...secretFields('password', 'passwords'),
})
  .transform(({ user, ...given }, context): BasicSpec => {
    if (context.issues.length > 0) return z.NEVER;
    const secrets = oneOrSeveral(given, 'password', 'passwords', context);
    return secrets === undefined ? z.NEVER : { user, ...secrets };
  })
  .describe('User and password in the Authorization header (HTTP Basic).');

const addresses = z
  .array(networkField)
  .min(1)
  .meta({ examples: [['192.0.2.7', '198.51.100.0/24', '2001:db8::/32']] });

const fingerprint = z
  .string()
  .transform(plainFingerprint)
  .refine((text) => /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text), {
    error: 'is no fingerprint: 40 (SHA-1) or 64 (SHA-256) hex digits, with or without colons',
  });

const clientCertificate = strictObject({
  header: z
    .string()
    .regex(/^[A-Za-z0-9-]+$/, 'is no name of a header')
    .describe('Header in which the proxy names the certificate.'),
  proxies: addresses.describe(
    'Addresses and networks of the proxy: a header from anywhere else does not count.',
  ),
  subjects: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('The header must hold one of these, to the letter.'),
  fingerprints: z
    .array(fingerprint)
    .min(1)
    .optional()
    .describe('The header must hold one of these; colons and case do not matter.'),
})
  .transform(({ header, proxies, subjects, fingerprints }, context): ClientCertificateSpec => {
    if (context.issues.length > 0) return z.NEVER;
    if (subjects !== undefined && fingerprints === undefined) return { header, proxies, subjects };
    if (subjects === undefined && fingerprints !== undefined) return { header, proxies, fingerprints };
    const message = 'name "subjects" or "fingerprints", whichever the header holds';
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  })
  .describe("The caller's TLS certificate, as the proxy that checks it tells of it in a header.");

const caller = {
  oidc: oidc.optional(),
  hmac: hmac.optional(),
  gitlab: token.optional().describe("A fixed token in GitLab's X-Gitlab-Token header."),
  bearer: token.optional().describe('A fixed token in the Authorization header.'),
  basic: basic.optional(),
  clientCertificate: clientCertificate.optional(),
  addresses: addresses
    .optional()
    .describe(
      'Calls must come from one of these addresses and networks; beside another way, both must hold.',
    ),
};

const WAYS = '"oidc", "hmac", "gitlab", "bearer", "basic", "clientCertificate"';
const CHOICES = `choose one of ${WAYS}, several under "anyOf", "addresses" alone or beside one of these, or "none" to let anyone in`;
const CALLER_CHOICES = `choose one of ${WAYS}, or "addresses" alone or beside one of these`;

type Given = { [K in keyof typeof caller]?: z.output<(typeof caller)[K]> | undefined };

function toCaller(given: Given, context: z.core.$RefinementCtx, choices: string): CallerSpec {
  const { addresses: from, ...ways } = given;
  const named = Object.keys(ways);
  const way = oneWay(ways);
  if (way !== undefined && named.length === 1) return from === undefined ? way : { ...way, addresses: from };
  if (named.length === 0 && from !== undefined) return { addresses: from };
  const found = named.length === 0 ? 'nothing is chosen' : `${named.join(' and ')} cannot stand together`;
  context.addIssue({ code: 'custom', message: `${found}: ${choices}` });
  return z.NEVER;
}

function oneWay(given: Omit<Given, 'addresses'>): CredentialSpec | undefined {
  if (given.oidc !== undefined) return { oidc: given.oidc };
  if (given.hmac !== undefined) return { hmac: given.hmac };
  if (given.gitlab !== undefined) return { gitlab: given.gitlab };
  if (given.bearer !== undefined) return { bearer: given.bearer };
  if (given.basic !== undefined) return { basic: given.basic };
  if (given.clientCertificate !== undefined) return { clientCertificate: given.clientCertificate };
  return undefined;
}

const callerObject = strictObject(caller, CALLER_CHOICES)
  // What is unknown has been told by name.
  .transform((given, context) =>
    context.issues.length > 0 ? z.NEVER : toCaller(given, context, CALLER_CHOICES),
  )
  .meta({ minProperties: 1, maxProperties: 2 });

const authObject = strictObject({
  ...caller,
  anyOf: z
    .array(callerObject)
    .min(1)
    .optional()
    .describe('Whoever one of these lets in; each is as "auth" itself.'),
})
  .transform(({ anyOf, ...given }, context) => {
    if (context.issues.length > 0) return z.NEVER;
    if (anyOf === undefined) return toCaller(given, context, CHOICES);
    const { addresses: from, ...others } = given;
    const named = Object.keys(others);
    if (named.length === 0) return from === undefined ? { anyOf } : { anyOf, addresses: from };
    const message = `${named.join(' and ')} cannot stand beside "anyOf": put it into the list`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  })
  .meta({ minProperties: 1, maxProperties: 2 });

/** `auth` of a webhook; there is no default. */
export const auth = z
  .union([z.literal('none'), authObject], {
    error: ({ input }) =>
      input === undefined ? `is missing; a webhook must say who may call: ${CHOICES}` : CHOICES,
  })
  .describe('Who may call. "none" lets anyone in who can reach the address.');
