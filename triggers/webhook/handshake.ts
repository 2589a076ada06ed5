import type { WebhookSourceSpec } from '../../src/core/config.ts';

const MINUTE = 60_000;

/**
 * CloudEvents' "HTTP 1.1 Web Hooks" §4: a sender asks with OPTIONS whether it may send here, before it has anything to
 * prove itself with. Answered only for the origins that the trigger names; undefined = an ordinary call, which has to be
 * verified. The answer is in the answer: `WebHook-Request-Callback` is an address that any stranger could choose.
 */
export function answerHandshake(
  { method, headers }: Request,
  { allowedOrigins, rateLimit }: WebhookSourceSpec,
): Response | undefined {
  const origin = method === 'OPTIONS' ? headers.get('webhook-request-origin') : null;
  if (origin === null || allowedOrigins === undefined) return undefined;
  if (!allowedOrigins.includes('*') && !allowedOrigins.includes(origin.toLowerCase())) return undefined;
  const answer = new Headers({
    allow: 'POST',
    'webhook-allowed-origin': origin,
    'cache-control': 'no-store',
  });
  if (headers.has('webhook-request-rate')) {
    const perMinute =
      rateLimit === undefined
        ? '*'
        : String(Math.max(1, Math.floor((rateLimit.requests * MINUTE) / rateLimit.perMs)));
    answer.set('webhook-allowed-rate', perMinute);
  }
  return new Response(null, { status: 200, headers: answer });
}
