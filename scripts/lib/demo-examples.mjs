// @ts-check
// The examples of config.example.json as the demo sets them off: the clock by itself, the two calls over HTTP.
import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * @typedef {import('./demo-gateway.mjs').DemoGateway} DemoGateway
 * @typedef {{ trigger: string, title: string, tell: string, setOff: (gateway: DemoGateway) => Promise<string> }} Example
 * `setOff` resolves with the uid of the event.
 */

/** @type {readonly Example[]} */
export const EXAMPLES = [
  {
    trigger: 'call',
    title: 'another system calls, with a token of its identity provider',
    tell: 'The token is fetched from the demo issuer; the gateway checks it against the issuer’s published keys.',
    setOff: async (gateway) => {
      const body = JSON.stringify({ customer: 'Ada', amount: 42 });
      const token = await fetchToken(gateway);
      await expectRefusal(gateway, body);
      return callHook(gateway, 'call', body, { authorization: `Bearer ${token}` });
    },
  },
  {
    trigger: 'build-hook',
    title: 'a webhook signed with a shared secret, as GitHub sends it',
    tell: 'The signature is HMAC-SHA256 over the raw bytes of the body.',
    setOff: async (gateway) => {
      const body = JSON.stringify({
        ref: 'refs/heads/main',
        after: '0f3c9a1',
        repository: { name: 'tappet', full_name: 'demo/tappet' },
        pusher: { name: 'ada' },
      });
      const digest = createHmac('sha256', gateway.secrets.hmac).update(body).digest('hex');
      return callHook(gateway, 'build-hook', body, { 'x-hub-signature-256': `sha256=${digest}` });
    },
  },
  {
    trigger: 'every-10-seconds',
    title: 'the clock: a schedule falls due every ten seconds',
    tell: 'Nobody sets this one off: the demo only waits for the next slot.',
    setOff: (gateway) => nextEvent(gateway, 'every-10-seconds', new Set()),
  },
];

/**
 * The first event of a trigger since the demo began, or since those in `seen`.
 * @param {DemoGateway} gateway
 * @param {string} trigger
 * @param {ReadonlySet<string>} seen
 * @returns {Promise<string>}
 */
export async function nextEvent(gateway, trigger, seen, since = startTime) {
  for (;;) {
    const { events } = await gateway.get(`/events?trigger=${trigger}&pageSize=20`);
    for (const { uid, receiveTime } of events.reverse()) {
      if (Date.parse(receiveTime) >= since && !seen.has(uid)) return uid;
    }
    await sleep(200);
  }
}

const startTime = Date.now();

/** @param {DemoGateway} gateway */
async function fetchToken({ config, issuer, secrets }) {
  const audience = [config.triggers.call.source.auth.oidc.audience].flat()[0];
  const form = {
    grant_type: 'client_credentials',
    client_id: 'demo',
    client_secret: secrets.client,
    audience,
  };
  const response = await fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams(form) });
  const answer = /** @type {Record<string, unknown>} */ (await response.json());
  if (!response.ok) throw new Error(`the demo issuer gave no token: ${JSON.stringify(answer)}`);
  return String(answer.access_token);
}

/**
 * The same call without a token must not get in.
 * @param {DemoGateway} gateway
 * @param {string} body
 */
async function expectRefusal(gateway, body) {
  const { status } = await send(gateway, 'call', body, {});
  if (status !== 401) throw new Error(`a call without a token was answered with ${status} instead of 401`);
}

/**
 * @param {DemoGateway} gateway
 * @param {string} trigger
 * @param {string} body
 * @param {Record<string, string>} headers
 */
async function callHook(gateway, trigger, body, headers) {
  const response = await send(gateway, trigger, body, headers);
  const text = await response.text();
  if (response.status !== 202)
    throw new Error(`POST /hooks/${trigger} was answered with ${response.status}: ${text}`);
  return String(JSON.parse(text).event);
}

/**
 * @param {DemoGateway} gateway
 * @param {string} trigger
 * @param {string} body
 * @param {Record<string, string>} headers
 */
function send({ url }, trigger, body, headers) {
  return fetch(`${url}/hooks/${trigger}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID(), ...headers },
    body,
    signal: AbortSignal.timeout(15_000),
  });
}
