import { createHmac } from 'node:crypto';
import { sign as signLikeGitHub } from '@octokit/webhooks-methods';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import { compileVerify } from '../../src/auth/verify.ts';
import type { AuthSpec, HmacScheme } from '../../src/core/auth.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { nameIsValue } from '../support/issuer-spec.ts';
import { ManualClock } from '../support/manual-clock.ts';

const clock = new ManualClock('2026-06-01T12:00:00Z');
const NOW = Math.floor(clock.now() / 1000);
const issuers = { get: () => Promise.reject(new Error('no issuers here')) };
const deps = { issuers, secrets: nameIsValue, clock, expressions: createExpressions() };
const TOLERANCE = 300;
const toleranceMs = TOLERANCE * 1000;

type Bytes = string | Uint8Array;
type Sent = Record<string, string>;
interface Sender {
  readonly scheme: HmacScheme;
  readonly secrets: readonly [string, string];
  /** Carries the signature. */
  readonly header: string;
  /** As the sender makes them, by its own library where there is one. */
  readonly sign: (secret: string, body: Bytes, time?: number) => Promise<Sent>;
  /** The same call with both signatures, by the scheme's own way to have two. */
  readonly both: (one: Sent, other: Sent) => Sent;
  readonly timed: boolean;
}

const hex = (secret: Bytes, ...parts: Bytes[]): string => {
  const hmac = createHmac('sha256', secret);
  for (const part of parts) hmac.update(part);
  return hmac.digest('hex');
};
const merged = (header: string, by: string) => (one: Sent, other: Sent) => ({
  ...one,
  [header]: `${one[header]}${by}${other[header]}`,
});

const SENDERS: Record<string, Sender> = {
  'standard-webhooks': {
    scheme: { scheme: 'standard-webhooks', toleranceMs },
    secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', `whsec_${Buffer.alloc(32, 7).toString('base64')}`],
    header: 'webhook-signature',
    sign: async (secret, body, time = NOW) => ({
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(time),
      'webhook-signature': standardSignature(secret, 'msg_1', time, body),
    }),
    both: merged('webhook-signature', ' '),
    timed: true,
  },
  github: {
    scheme: { scheme: 'github' },
    secrets: ["It's a Secret to Everybody", 'another one'],
    header: 'x-hub-signature-256',
    // Its library signs texts that are not empty.
    sign: async (secret, body) => ({
      'x-hub-signature-256':
        typeof body === 'string' && body !== '' && secret !== ''
          ? await signLikeGitHub(secret, body)
          : `sha256=${hex(secret, body)}`,
    }),
    both: merged('x-hub-signature-256', ', '),
    timed: false,
  },
  stripe: {
    scheme: { scheme: 'stripe', toleranceMs },
    secrets: ['whsec_test_secret', 'whsec_test_other'],
    header: 'stripe-signature',
    sign: async (secret, body, time = NOW) => ({
      'stripe-signature': `t=${time},v1=${hex(secret, `${time}.`, body)},v0=${'0'.repeat(64)}`,
    }),
    both: (one, other) => ({
      'stripe-signature': `${one['stripe-signature']},${other['stripe-signature']?.replace(/^t=\d+,/, '')}`,
    }),
    timed: true,
  },
  slack: {
    scheme: { scheme: 'slack', toleranceMs },
    secrets: ['8f742231b10e8888abcd99yyyzzz85a5', 'b10e8888abcd99yyyzzz85a58f742231'],
    header: 'x-slack-signature',
    sign: async (secret, body, time = NOW) => ({
      'x-slack-request-timestamp': String(time),
      'x-slack-signature': `v0=${hex(secret, `v0:${time}:`, body)}`,
    }),
    both: merged('x-slack-signature', ', '),
    timed: true,
  },
};

/** By the standard's own library; bytes that are no text, and an empty secret, it does not take. */
function standardSignature(secret: string, id: string, time: number, body: Bytes): string {
  if (typeof body === 'string' && secret !== '') {
    return new Webhook(secret).sign(id, new Date(time * 1000), body);
  }
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  return `v1,${createHmac('sha256', key).update(`${id}.${time}.`).update(body).digest('base64')}`;
}

async function accepts(
  scheme: HmacScheme,
  secrets: readonly string[],
  sent: Sent,
  body: Bytes,
): Promise<boolean> {
  const auth: AuthSpec = { hmac: { ...scheme, secrets: secrets.map((env) => ({ env })) } };
  const verify = await compileVerify(auth, deps);
  const result = await verify({ headers: new Headers(sent), body: Buffer.from(body) });
  expect(result).toEqual(
    result.ok === true
      ? { ok: true, claims: {}, covers: 'body', ...(sent['webhook-id'] === undefined ? {} : { id: 'msg_1' }) }
      : { ok: false, reason: expect.any(String) },
  );
  return result.ok === true;
}

const BODY = '{"action":"opened","number":1}';
const LATIN = Uint8Array.of(0xff, 0xfe, 0x00, 0x80);
const changed = (sent: Sent, header: string, change: (value: string) => string): Sent => ({
  ...sent,
  [header]: change(sent[header] ?? ''),
});
const without = (sent: Sent, header: string): Sent =>
  Object.fromEntries(Object.entries(sent).filter(([name]) => name !== header));

type Case = (sender: Sender) => Promise<boolean>;
const sentAs =
  (signed: Bytes, delivered: Bytes = signed): Case =>
  async ({ scheme, secrets: [secret], sign }) =>
    accepts(scheme, [secret], await sign(secret, signed), delivered);
const atTime =
  (time: number): Case =>
  async ({ scheme, secrets: [secret], sign }) =>
    accepts(scheme, [secret], await sign(secret, BODY, NOW + time), BODY);
const mangled =
  (change: (value: string) => string): Case =>
  async ({ scheme, header, secrets: [secret], sign }) =>
    accepts(scheme, [secret], changed(await sign(secret, BODY), header, change), BODY);

const ACCEPTED: Record<string, Case> = {
  'a body as it is usual': sentAs(BODY),
  'a body with white space, byte by byte': sentAs(' { "a" : 1 }\r\n\t'),
  'a body in Unicode': sentAs('{"name":"Zoë 🚀 \u0000 ﷽"}'),
  'an empty body': sentAs(''),
  'a body that is no UTF-8': sentAs(LATIN),
  'the old secret while there are two': async ({ scheme, secrets: [old, next], sign }) =>
    accepts(scheme, [next, old], await sign(old, BODY), BODY),
  'the new secret while there are two': async ({ scheme, secrets: [old, next], sign }) =>
    accepts(scheme, [next, old], await sign(next, BODY), BODY),
};

const REFUSED: Record<string, Case> = {
  'a body with other white space': sentAs('{"a":1}', '{"a": 1}'),
  'a body with one more line feed': sentAs(BODY, `${BODY}\n`),
  'a body in the other normal form of Unicode': sentAs('Zoë'.normalize('NFC'), 'Zoë'.normalize('NFD')),
  'an empty body under the signature of another': sentAs(BODY, ''),
  'a secret that is no longer configured': async ({ scheme, secrets: [old, next], sign }) =>
    accepts(scheme, [next], await sign(old, BODY), BODY),
  'a signature by an empty secret': async ({ scheme, secrets: [secret], sign }) =>
    accepts(scheme, [secret], await sign('', BODY), BODY),
  'no signature': async ({ scheme, header, secrets: [secret], sign }) =>
    accepts(scheme, [secret], without(await sign(secret, BODY), header), BODY),
  'an empty signature': mangled(() => ''),
};

const TIMED: Record<string, readonly [boolean, Case]> = {
  'a time as old as is allowed': [true, atTime(-TOLERANCE)],
  'a time a second older': [false, atTime(-TOLERANCE - 1)],
  'a time as far ahead as is allowed': [true, atTime(TOLERANCE)],
  'a time a second further': [false, atTime(TOLERANCE + 1)],
};

const HEX: Record<string, readonly [boolean, Case]> = {
  'hex in upper case': [
    true,
    mangled((value) => value.replace(/[0-9a-f]{64}/, (digest) => digest.toUpperCase())),
  ],
  'hex that is one digit short': [false, mangled((value) => value.replace(/([0-9a-f]{63})[0-9a-f]/, '$1'))],
};
const two: Case = async ({ scheme, secrets: [one, other], sign, both }) =>
  accepts(scheme, [other], both(await sign(one, BODY), await sign(other, BODY)), BODY);

/** So many other signatures before the right one. */
const padded = (count: number): Case =>
  mangled((value) => value.replace(',v1=', `${`,v1=${'0'.repeat(64)}`.repeat(count)},v1=`));

/** What each scheme has of its own. */
const OWN: Record<string, Record<string, readonly [boolean, Case]>> = {
  'standard-webhooks': {
    ...TIMED,
    'two signatures, the second by our secret': [true, two],
    'base64 that is cut short': [false, mangled((value) => value.slice(0, -5))],
    'base64 in upper case': [false, mangled((value) => `v1,${value.slice(3).toUpperCase()}`)],
    'base64 without its padding': [false, mangled((value) => value.replace('=', ''))],
  },
  github: {
    ...HEX,
    'two signatures': [false, two],
    'a prefix in upper case': [false, mangled((value) => value.toUpperCase())],
    'no prefix': [false, mangled((value) => value.slice(7))],
    'the signature of SHA-1': [false, mangled((value) => `sha1=${value.slice(7, 47)}`)],
    base64: [false, mangled((value) => `sha256=${Buffer.from(value.slice(7), 'hex').toString('base64')}`)],
    'a signature in the header of SHA-1': [
      false,
      async ({ scheme, secrets: [secret], sign }) => {
        const { 'x-hub-signature-256': value = '' } = await sign(secret, BODY);
        return accepts(scheme, [secret], { 'x-hub-signature': value }, BODY);
      },
    ],
  },
  stripe: {
    ...TIMED,
    ...HEX,
    'two signatures, the second by our secret': [true, two],
    'eight signatures, the last by our secret': [true, padded(7)],
    'nine signatures, the last by our secret': [false, padded(8)],
    'two times': [false, mangled((value) => `t=${NOW},${value}`)],
    'a signature under v0 alone': [
      false,
      mangled((value) => value.replace('v1=', 'v2=').replace(/v0=.*/, '')),
    ],
  },
  slack: {
    ...TIMED,
    ...HEX,
    'two signatures': [false, two],
    'the prefix of another version': [false, mangled((value) => value.replace('v0', 'v1'))],
    'no time': [
      false,
      async ({ scheme, secrets: [secret], sign }) =>
        accepts(scheme, [secret], without(await sign(secret, BODY), 'x-slack-request-timestamp'), BODY),
    ],
  },
};

describe.each(Object.entries(SENDERS))('%s', (name, sender) => {
  const own = Object.entries(OWN[name] ?? {});
  const cases: [string, boolean, Case][] = [
    ...Object.entries(ACCEPTED).map(([what, run]): [string, boolean, Case] => [what, true, run]),
    ...Object.entries(REFUSED).map(([what, run]): [string, boolean, Case] => [what, false, run]),
    ...own.map(([what, [ok, run]]): [string, boolean, Case] => [what, ok, run]),
  ];

  test('is tried in 20 ways or more', () => {
    expect(cases.length).toBeGreaterThanOrEqual(20);
  });

  test.each(cases)('%s: let in is %s', async (_what, ok, run) => {
    expect(await run(sender)).toBe(ok);
  });
});

/** What the senders print in their own documentation, or what OpenSSL's command makes of Stripe's formula. */
describe('a published example', () => {
  const at = async (time: number, scheme: HmacScheme, secret: string, sent: Sent, body: string) => {
    const own = { ...deps, clock: new ManualClock(new Date(time * 1000).toISOString()) };
    const verify = await compileVerify({ hmac: { ...scheme, secret: { env: secret } } }, own);
    return (await verify({ headers: new Headers(sent), body: Buffer.from(body) })).ok;
  };

  test("Slack's", async () => {
    const body =
      'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
    const sent = {
      'X-Slack-Request-Timestamp': '1531420618',
      'X-Slack-Signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
    };
    const secret = '8f742231b10e8888abcd99yyyzzz85a5';
    const scheme = { scheme: 'slack', toleranceMs } as const;
    expect(await at(1531420618, scheme, secret, sent, body)).toBe(true);
    expect(await at(1531420618, scheme, secret, sent, body.replace('foobar', 'foobaz'))).toBe(false);
  });

  test('of Standard Webhooks, under both names of the headers', async () => {
    const scheme = { scheme: 'standard-webhooks', toleranceMs } as const;
    const body = '{"event_type":"ping","data":{"success":true}}';
    const secret = 'whsec_plJ3nmyCDGBKInavdOK15jsl';
    for (const prefix of ['webhook', 'svix']) {
      const sent = {
        [`${prefix}-id`]: 'msg_loFOjxBNrRLzqYUf',
        [`${prefix}-timestamp`]: '1731705121',
        [`${prefix}-signature`]: 'v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=',
      };
      expect(await at(1731705121, scheme, secret, sent, body)).toBe(true);
      expect(await at(1731705121, scheme, secret, sent, `${body} `)).toBe(false);
    }
  });

  test("by Stripe's formula", async () => {
    // printf '1492774577.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_example
    const sent = {
      'Stripe-Signature': 't=1492774577,v1=dab00c4c03611d901b9927891a819396694839cb0029a848f742f14a29ac6409',
    };
    const scheme = { scheme: 'stripe', toleranceMs } as const;
    expect(await at(1492774577, scheme, 'whsec_example', sent, '{"id":"evt_1"}')).toBe(true);
    expect(await at(1492774577, scheme, 'whsec_example', sent, '{"id":"evt_2"}')).toBe(false);
  });
});
