import { z } from 'zod';
import { GENERIC_HMAC } from '../../src/core/auth.ts';
import type { HmacScheme, HmacSpec } from '../../src/core/auth.ts';
import { strictObject } from '../../src/lib/strict-object.ts';
import { duration } from '../../src/lib/unit-fields.ts';
import { oneOrSeveral, secretFields } from './secret-fields.ts';

/** What Standard Webhooks, Stripe and Slack recommend. */
const TOLERANCE_MS = 5 * 60_000;
const SECOND = 1_000;
const DAY = 24 * 60 * 60_000;

const headerName = z.string().regex(/^[A-Za-z0-9-]+$/, 'is no name of a header');

const timestamp = strictObject({
  header: headerName.describe('Header that carries the time, in whole seconds since 1970.'),
  signed: z
    .string()
    .regex(/^[^{}]*\{timestamp\}[^{}]*\{body\}$/, 'must hold {timestamp} once and end with {body}')
    .default(GENERIC_HMAC.signed)
    .describe('What the sender signs: text around {timestamp}, with {body} at its end.'),
}).describe(
  'Where the sender signs a time with the body: calls that are older than "tolerance" are refused.',
);

const fields = strictObject({
  scheme: z
    .enum(['generic', 'github', 'standard-webhooks', 'stripe', 'slack'])
    .default('generic')
    .describe('How the sender signs; "generic" is a digest in a header of your choice.'),
  ...secretFields('secret', 'secrets'),
  header: headerName
    .optional()
    .describe('Of "generic": header that carries the digest; x-hub-signature-256 if absent.'),
  prefix: z
    .string()
    .optional()
    .describe('Of "generic": what stands before the digest in the header; sha256= if absent.'),
  encoding: z
    .enum(['hex', 'base64'])
    .optional()
    .describe('Of "generic": how the digest is written; hex if absent.'),
  timestamp: timestamp.optional(),
  tolerance: duration({ min: SECOND, max: DAY }, ['5m', '30s'])
    .optional()
    .describe('How far the signed time may lie from the clock of the gateway, to either side; 5m if absent.'),
});
type Fields = z.output<typeof fields>;

const GENERIC_ONLY = ['header', 'prefix', 'encoding', 'timestamp'] as const;

/** `hmac` of a webhook's `auth`. */
export const hmac = fields
  .transform((given, context): HmacSpec => {
    if (context.issues.length > 0) return z.NEVER;
    const secrets = oneOrSeveral(given, 'secret', 'secrets', context);
    for (const [path, message] of misplaced(given))
      context.addIssue({ code: 'custom', path: [path], message });
    if (secrets === undefined || context.issues.length > 0) return z.NEVER;
    return { ...schemeOf(given), ...secrets };
  })
  .describe(
    'HMAC-SHA256 over the raw body with a shared secret, as GitHub, Stripe, Slack and many others sign.',
  );

function misplaced(given: Fields): [string, string][] {
  const { scheme } = given;
  const found: [string, string][] = [];
  if (scheme !== 'generic') {
    for (const name of GENERIC_ONLY) {
      if (given[name] !== undefined) found.push([name, `"${scheme}" settles this itself: leave it out`]);
    }
  }
  const untimed = scheme === 'github' || (scheme === 'generic' && given.timestamp === undefined);
  if (given.tolerance !== undefined && untimed) {
    const what = scheme === 'github' ? 'GitHub signs no time' : 'without "timestamp" no time is signed';
    found.push(['tolerance', `${what}: leave it out`]);
  }
  return found;
}

function schemeOf(given: Fields): HmacScheme {
  const {
    scheme,
    header = GENERIC_HMAC.header,
    prefix = GENERIC_HMAC.prefix,
    encoding = GENERIC_HMAC.encoding,
    tolerance: toleranceMs = TOLERANCE_MS,
  } = given;
  if (scheme === 'github') return { scheme };
  if (scheme === 'standard-webhooks') return { scheme, toleranceMs };
  if (scheme !== 'generic') return { scheme, toleranceMs };
  const timed = given.timestamp === undefined ? {} : { timestamp: { ...given.timestamp, toleranceMs } };
  return { header, prefix, encoding, ...timed };
}
