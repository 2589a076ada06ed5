import { createHmac } from 'node:crypto';

/** Shorter keys can be guessed; longer ones add nothing. Both numbers are the specification's. */
const MIN_BYTES = 24;
const MAX_BYTES = 64;

export const SECRET_RULE = `must be "whsec_" and ${MIN_BYTES} to ${MAX_BYTES} bytes in base64; make one with: echo "whsec_$(openssl rand -base64 32)"`;

/** The key in a secret as Standard Webhooks writes it, or undefined where it is none. */
export function signingKey(secret: string): Buffer | undefined {
  const [, base64] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret) ?? [];
  const key = Buffer.from(base64 ?? '', 'base64');
  return key.length >= MIN_BYTES && key.length <= MAX_BYTES ? key : undefined;
}

/** Headers of a signed message, as of `now` (epoch ms): a receiver refuses what was signed minutes ago. */
export function signedHeaders(id: string, body: string, key: Buffer, now: number): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000));
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}
