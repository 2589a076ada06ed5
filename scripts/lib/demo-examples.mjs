// @ts-check
// The examples of config.example.json as the demo sets them off: the clock by itself, the two calls over HTTP.
import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * @typedef {import('./demo-gateway.mjs').DemoGateway} DemoGateway
 * @typedef {object} Example
 * @property {string} trigger
 * @property {string} title
 * @property {string} tell what to know about it, in a sentence
 * @property {(gateway: DemoGateway) => Promise<string>} setOff resolves with the uid of the event
 * @property {true} [filtered] it shows why something does not run
 */

/** The trigger that nobody has to set off. */
export const CLOCK = 'every-10-seconds';

/** @type {readonly Example[]} */
export const EXAMPLES = [
  {
    trigger: 'call',
    title: 'another system calls, with a token of its identity provider',
    tell: 'The gateway checked the token against its issuer’s keys; the same call without one got 401.',
    setOff: async (gateway) => {
      const body = JSON.stringify({ name: 'Ada' });
      const token = await fetchToken(gateway);
      await expectRefusal(gateway, body);
      return callHook(gateway, 'call', body, { authorization: `Bearer ${token}` });
    },
  },
  {
    trigger: 'build-hook',
    title: 'a webhook signed with a shared secret, as GitHub signs',
    tell: 'The signature is HMAC-SHA256 over the raw bytes of the body.',
    setOff: (gateway) => callBuildHook(gateway, 'success'),
  },
  {
    trigger: 'build-hook',
    title: 'the same webhook for a build that failed: why nothing ran',
    tell: 'Its trigger says: when the build is completed and its conclusion is success.',
    filtered: true,
    setOff: (gateway) => callBuildHook(gateway, 'failure'),
  },
  {
    trigger: CLOCK,
    title: 'the clock: a schedule falls due every ten seconds',
    tell: 'Nobody sets this one off: the demo only waits for the next slot.',
    setOff: (gateway) => nextEvent(gateway, CLOCK, new Set()),
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

/**
 * @param {DemoGateway} gateway
 * @param {'success' | 'failure'} conclusion
 */
function callBuildHook(gateway, conclusion) {
  const body = JSON.stringify({ action: 'completed', conclusion, number: 42, repository: 'tappet' });
  const digest = createHmac('sha256', gateway.secrets.hmac).update(body).digest('hex');
  return callHook(gateway, 'build-hook', body, { 'x-hub-signature-256': `sha256=${digest}` });
}

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
  return String(answer['access_token']);
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
