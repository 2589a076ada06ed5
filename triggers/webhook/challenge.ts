import type { Verify } from '../../src/core/auth.ts';
import type { WebhookSourceSpec } from '../../src/core/config.ts';
import { parseJson } from './json.ts';
import { NOT_KEPT } from './problem.ts';

/** Longer ones nobody sends. */
const MAX_LENGTH = 2_048;

type Challenge = NonNullable<WebhookSourceSpec['challenge']>;

/**
 * What senders ask before they send events, to see that the address is meant to get them. undefined = an ordinary call.
 *
 * | challenge   | the question                                       | who may ask                          | the answer   |
 * |-------------|----------------------------------------------------|--------------------------------------|--------------|
 * | `slack`     | POST `{ type: url_verification, challenge }`        | who signs as for events: `verified`  | the challenge|
 * | `meta`      | GET `hub.mode=subscribe`, `hub.verify_token`, `hub.challenge` | who has the token       | the challenge|
 * | `microsoft` | POST with `?validationToken=`                      | anyone: it is asked without proof    | the token    |
 *
 * Answered as plain text, so that no browser takes it for a page. Nothing is stored.
 */
export async function answerChallenge(
  { url, method }: Request,
  challenge: Challenge,
  verifyToken: Verify | undefined,
): Promise<Response | undefined> {
  // Only its signature tells that it is Slack who asks.
  if (challenge === 'slack') return undefined;
  const query = new URL(url).searchParams;
  if (challenge === 'microsoft') {
    const token = query.get('validationToken');
    return token === null || method !== 'POST' ? undefined : echo(token);
  }
  if (method !== 'GET' || query.get('hub.mode') !== 'subscribe') return undefined;
  const token = query.get('hub.verify_token');
  const text = query.get('hub.challenge');
  if (token === null || text === null || verifyToken === undefined) return undefined;
  const headers = new Headers();
  try {
    headers.set('authorization', `Bearer ${token}`);
  } catch {
    // No token that could be configured holds such characters.
    return undefined;
  }
  const known = await verifyToken({ headers, body: new Uint8Array() });
  return known.ok === true ? echo(text) : undefined;
}

/** Slack's question, where it is one, of a sender that has been verified by now. */
export function answerSlack({ method }: Request, body: Uint8Array): Response | undefined {
  if (method !== 'POST') return undefined;
  const json = parseJson(body);
  if (!json.ok || typeof json.value !== 'object' || json.value === null || Array.isArray(json.value))
    return undefined;
  const { type, challenge: token } = json.value;
  return type === 'url_verification' && typeof token === 'string' ? echo(token) : undefined;
}

function echo(text: string): Response {
  return new Response(text.slice(0, MAX_LENGTH), {
    headers: { 'content-type': 'text/plain; charset=utf-8', ...NOT_KEPT },
  });
}
