import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Issuers } from '../../src/auth/issuers.ts';
import { compileVerify } from '../../src/auth/verify.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { FakeLog } from '../support/fake-log.ts';
import { AUDIENCE, ISSUER, issuerSpec, nameIsValue } from '../support/issuer-spec.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { good, partsOf } from '../support/token-attacks.ts';
import { makeKeys } from '../support/tokens.ts';

/** Of all algorithms. */
const RUNS = 20_000;

const clock = new ManualClock('2026-06-01T12:00:00Z');
const target = { issuer: ISSUER, audience: AUDIENCE, now: clock.now() / 1000, canary: 'http://127.0.0.1:1' };
const keys = [...makeKeys().values()];
const TOKENS = keys.map((key) => good(key, partsOf(key, target)));

const issuers = new Issuers({
  specs: new Map([['main', issuerSpec({ jwks: { keys: keys.map(({ jwk }) => jwk) } })]]),
  fetch: () => Promise.reject(new Error('no network here')),
  clock,
  log: new FakeLog(),
});
const verify = await compileVerify(
  { oidc: { issuer: 'main', audience: AUDIENCE, subjects: ['caller'] } },
  { issuers, secrets: nameIsValue, clock, expressions: createExpressions() },
);

/** undefined where it is no header at all, and could never have come in. */
async function accepted(token: string): Promise<boolean | undefined> {
  let headers: Headers;
  try {
    headers = new Headers({ authorization: `Bearer ${token}` });
  } catch {
    return undefined;
  }
  return (await verify({ headers, body: new Uint8Array(0) })).ok === true;
}

const toBytes = (part: string): Buffer => Buffer.from(part, 'base64url');

/** Replaces, adds or takes away a few characters of the text. */
const splice = fc
  .record({
    at: fc.nat(2000),
    cut: fc.nat(3),
    piece: fc.oneof(
      fc.string({ maxLength: 3 }),
      fc.constantFrom('=', '.', ' ', '\t', 'A', '-', '_', '+', '/', '%00', '..'),
    ),
  })
  .map(({ at, cut, piece }) => (token: string) => {
    const place = at % token.length;
    return token.slice(0, place) + piece + token.slice(place + cut);
  });

/** Changes one bit of what a part decodes to. */
const flip = fc.record({ part: fc.nat(2), at: fc.nat(2000), bit: fc.nat(7) }).map(({ part, at, bit }) => {
  return inPart(part, (text) => {
    const bytes = toBytes(text);
    const place = at % bytes.length;
    bytes[place] = (bytes[place] ?? 0) ^ (1 << bit);
    return bytes.toString('base64url');
  });
});

/** Writes the same bytes another way. */
const respell = fc
  .record({ part: fc.nat(2), how: fc.constantFrom('=', '==', 'base64', 'stray', 'space', 'hex') })
  .map(({ part, how }) =>
    inPart(part, (text) => {
      if (how === 'base64') return toBytes(text).toString('base64');
      if (how === 'hex') return toBytes(text).toString('hex');
      if (how === 'space') return `${text.slice(0, 5)} ${text.slice(5)}`;
      if (how === 'stray') return text.slice(0, -1) + nextLetter(text.at(-1) ?? 'A');
      return text + how;
    }),
  );

/** Says something else in the header or the claims, under the old signature. */
const reword = fc
  .record({
    part: fc.nat(1),
    name: fc.constantFrom('alg', 'kid', 'typ', 'iss', 'aud', 'sub', 'exp', 'iat', 'crit', 'jku', '__proto__'),
    value: fc.jsonValue({ maxDepth: 2 }),
    twice: fc.boolean(),
  })
  .map(({ part, name, value, twice }) =>
    inPart(part, (text) => {
      const json = toBytes(text).toString();
      const member = `${JSON.stringify(name)}:${JSON.stringify(value)}`;
      if (twice) return Buffer.from(json.replace('{', `{${member},`)).toString('base64url');
      const other = { ...(JSON.parse(json) as object), [name]: value };
      return Buffer.from(JSON.stringify(other)).toString('base64url');
    }),
  );

/** Puts the parts of two good tokens together, or one part in another's place. */
const shuffle = fc.tuple(fc.nat(3), fc.nat(2), fc.nat(2)).map(([other, from, to]) => (token: string) => {
  const part = TOKENS[other % TOKENS.length]?.split('.')[from] ?? '';
  return inPart(to, () => part)(token);
});

function inPart(index: number, change: (part: string) => string): (token: string) => string {
  return (token) =>
    token
      .split('.')
      .map((part, i) => (i === index ? change(part) : part))
      .join('.');
}

function nextLetter(letter: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return alphabet.charAt((alphabet.indexOf(letter) + 1) % alphabet.length);
}

test('the tokens are good', async () => {
  for (const token of TOKENS) expect(await accepted(token)).toBe(true);
});

test('whatever is done to a good token: accepted means the same bytes', async () => {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...TOKENS),
      fc.oneof(splice, flip, respell, reword, shuffle),
      async (token, mutate) => {
        const mutated = mutate(token);
        const result = await accepted(mutated);
        if (result === false) refused++;
        // Headers cut whitespace at their ends.
        if (result === true) expect(mutated.trim()).toBe(token);
      },
    ),
    { numRuns: RUNS },
  );
  expect(refused).toBeGreaterThan(RUNS / 2);
}, 120_000);
