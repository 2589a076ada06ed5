import { describe, expect, test } from 'vitest';
import { knownAlgorithms, signatureHolds } from '../../src/auth/algorithms.ts';
import { importKeys, KeySet } from '../../src/auth/jwk-set.ts';
import { parseJws } from '../../src/auth/jws.ts';
import { PinnedKeys } from '../../src/auth/keys.ts';
import { oidcVerifier } from '../../src/auth/oidc.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { AUDIENCE, ISSUER, issuerSpec } from '../support/issuer-spec.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { encode } from '../support/tokens.ts';
import { isOfPublicKey, readVectors, signedAnew, withPayload, type Vector } from '../support/wycheproof.ts';

// All that an issuer may list, so that nothing is refused only because it is not on the list.
const ALL = knownAlgorithms();
const vectors = [...readVectors('signature'), ...readVectors('key'), ...readVectors('crypto')];

async function accepts({ token, keys }: Vector): Promise<boolean> {
  const parsed = parseJws(token, new Set(ALL));
  if (!parsed.ok) return false;
  const { kid, alg, signed, signature } = parsed.jws;
  const imported = await importKeys(keys, ALL);
  const key = imported.ok ? imported.set.find(kid, alg) : undefined;
  return key !== undefined && signatureHolds(alg, key.key, signed, signature);
}

const invalid = vectors.filter(({ valid }) => !valid);
const acceptable = vectors.filter(isOfPublicKey);

test('none of the invalid vectors of Wycheproof is accepted', async () => {
  const accepted: string[] = [];
  for (const vector of invalid) if (await accepts(vector)) accepted.push(vector.name);
  expect(accepted).toEqual([]);
  // 355 of signatures, 21 of keys, 45 of both, and the 34 of encryption.
  expect(invalid).toHaveLength(455);
});

describe('valid vectors with a public key are accepted', () => {
  test.each(acceptable.map((vector) => [vector.name, vector] as const))('%s', async (_name, vector) => {
    expect(await accepts(vector)).toBe(true);
  });
  test('which are most of the valid ones', () => {
    expect(acceptable.length).toBeGreaterThanOrEqual(25);
  });
});

test('no key of a shared secret is taken, whatever it is for', async () => {
  const secrets = vectors.flatMap(({ keys }) => keys).filter((key) => key['kty'] === 'oct');
  expect(secrets.length).toBeGreaterThan(20);
  expect(await importKeys(secrets.slice(0, 100), ALL)).toMatchObject({ ok: false });
});

describe('by the whole check of a token', () => {
  const clock = new ManualClock('2026-06-01T12:00:00Z');
  const now = clock.now() / 1000;
  const claims = encode({ iss: ISSUER, aud: AUDIENCE, sub: 'caller', iat: now, exp: now + 600 });
  const spec = { issuer: 'main', audience: AUDIENCE, subjects: ['caller'] };

  /** Why the token is refused, for the log; undefined where it is taken. */
  async function refusal(token: string, { keys }: Vector): Promise<string | undefined> {
    const imported = await importKeys(keys, ALL);
    const set = imported.ok ? imported.set : new KeySet([]);
    const issuer = { spec: issuerSpec({ algorithms: ALL }), keys: new PinnedKeys(set) };
    const verify = oidcVerifier(spec, { issuer, clock, expressions: createExpressions() });
    const headers = new Headers({ authorization: `Bearer ${token}` });
    const result = await verify({ headers, body: Buffer.from('{}') });
    return result.ok === true ? undefined : result.reason;
  }
  const reasonsOf = async (of: readonly Vector[], tokenOf: (vector: Vector) => string): Promise<string[]> => {
    const reasons = await Promise.all(of.map((vector) => refusal(tokenOf(vector), vector)));
    return [...new Set(reasons.map((reason) => reason ?? 'it is taken'))].sort();
  };

  test('an invalid one with the claims of a caller is refused for its form, its key or its signature', async () => {
    expect(await reasonsOf(invalid, (vector) => withPayload(vector, claims))).toEqual([
      'no bearer token',
      'no key of the issuer fits the token',
      'the token is not a compact JWS of three base64url parts',
      "the token's alg is not one of the issuer's",
      'wrong signature',
    ]);
  });
  test('a valid one is refused for its claims alone, and taken with those of a caller', async () => {
    expect(await reasonsOf(acceptable, ({ token }) => token)).toEqual([
      "the token's payload is not a strict JSON object",
    ]);
    expect(await reasonsOf(acceptable, (vector) => signedAnew(vector, claims) ?? '')).toEqual([
      'it is taken',
    ]);
  });
});
