import { createHmac, createSecretKey } from 'node:crypto';
import type {
  GenericHmac,
  HmacScheme,
  StandardWebhooksHmac,
  TimedHmac,
  Verify,
  VerifyResult,
} from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import type { SecretValue } from '../core/secrets.ts';
import { anyEqual, exactBytes } from './comparisons.ts';
import { timeProblem } from './replay-window.ts';

const DIGEST_BYTES = 32;
/** While a secret is exchanged a sender signs with two; each one more is work for us. */
export const MAX_SIGNATURES = 8;

/** What the headers of a call say: what stands before the body in the signed text, and the digests. */
interface Signed {
  readonly ok: true;
  readonly before: string;
  readonly digests: readonly Buffer[];
}
type Refusal = Extract<VerifyResult, { ok: false }>;
type ReadHeaders = (headers: Headers, now: number) => Signed | Refusal;

/** Every scheme but `standard-webhooks`, whose keys have a form of their own. */
export type BodyHmac = Exclude<HmacScheme, StandardWebhooksHmac>;

const GITHUB: GenericHmac = { header: 'x-hub-signature-256', prefix: 'sha256=', encoding: 'hex' };
const slack = ({ toleranceMs }: TimedHmac): GenericHmac => ({
  header: 'x-slack-signature',
  prefix: 'v0=',
  encoding: 'hex',
  timestamp: { header: 'x-slack-request-timestamp', signed: 'v0:{timestamp}:{body}', toleranceMs },
});

/** Checks an HMAC-SHA256 over the raw body by one of several secrets, the text of each being the key. */
export function hmacVerifier(spec: BodyHmac, secrets: readonly SecretValue[], clock: Clock): Verify {
  const keys = secrets.map((secret) => createSecretKey(Buffer.from(secret.reveal())));
  const read = readerOf(spec);
  return async ({ headers, body }) => {
    const signed = read(headers, clock.now());
    if (!signed.ok) return signed;
    const expected = keys.map((key) => createHmac('sha256', key).update(signed.before).update(body).digest());
    return anyEqual(expected, signed.digests)
      ? { ok: true, claims: {}, covers: 'body' }
      : refuse('wrong signature');
  };
}

function readerOf(spec: BodyHmac): ReadHeaders {
  if ('header' in spec) return genericReader(spec);
  if (spec.scheme === 'github') return genericReader(GITHUB);
  if (spec.scheme === 'slack') return genericReader(slack(spec));
  const { toleranceMs } = spec;
  return (headers, now) => readStripe(headers.get('stripe-signature'), toleranceMs, now);
}

function genericReader({ header, prefix, encoding, timestamp }: GenericHmac): ReadHeaders {
  return (headers, now) => {
    const value = headers.get(header);
    if (value === null) return refuse(`no ${header} header`);
    const digest = value.startsWith(prefix)
      ? exactBytes(value.slice(prefix.length), encoding, DIGEST_BYTES)
      : undefined;
    if (digest === undefined) return refuse(`${header} does not hold ${prefix}<${encoding} digest>`);
    if (timestamp === undefined) return { ok: true, before: '', digests: [digest] };
    const time = headers.get(timestamp.header);
    if (time === null) return refuse(`no ${timestamp.header} header`);
    const problem = timeProblem(time, timestamp.toleranceMs, now);
    if (problem !== undefined) return refuse(problem);
    const before = timestamp.signed.replace('{body}', '').replace('{timestamp}', time);
    return { ok: true, before, digests: [digest] };
  };
}

/** `t=<seconds>,v1=<hex>`, with a `v1` for each secret in use, and parts of other names that do not count. */
function readStripe(value: string | null, toleranceMs: number, now: number): Signed | Refusal {
  if (value === null) return refuse('no stripe-signature header');
  const parts = value.split(',');
  const named = (name: string): string[] =>
    parts.flatMap((part) => (part.startsWith(`${name}=`) ? [part.slice(name.length + 1)] : []));
  const [time, ...others] = named('t');
  if (time === undefined || others.length > 0) return refuse('stripe-signature does not hold one t=');
  const problem = timeProblem(time, toleranceMs, now);
  if (problem !== undefined) return refuse(problem);
  const signatures = named('v1');
  if (signatures.length > MAX_SIGNATURES) return refuse('too many signatures');
  const digests = signatures.flatMap((text) => exactBytes(text, 'hex', DIGEST_BYTES) ?? []);
  if (digests.length === 0) return refuse('stripe-signature holds no v1=<hex digest>');
  return { ok: true, before: `${time}.`, digests };
}

const refuse = (reason: string): Refusal => ({ ok: false, reason });
