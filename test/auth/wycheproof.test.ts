import { describe, expect, test } from 'vitest';
import { knownAlgorithms, signatureHolds } from '../../src/auth/algorithms.ts';
import { importKeys } from '../../src/auth/jwk-set.ts';
import { parseJws } from '../../src/auth/jws.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { readVectors, type Vector } from '../support/wycheproof.ts';

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

/** What the token itself and its one key say, read by nothing of ours. */
function isOfPublicKey({ token, keys: [key, ...more] }: Vector): boolean {
  const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as JsonObject;
  // An empty payload holds no claims.
  if (token.includes('..')) return false;
  return (
    more.length === 0 && key?.['kty'] !== 'oct' && key?.['alg'] === header['alg'] && header['alg'] !== 'ES521'
  );
}

const invalid = vectors.filter(({ valid }) => !valid);
const acceptable = vectors.filter((vector) => vector.valid && isOfPublicKey(vector));

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
