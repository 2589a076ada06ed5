import { describe, expect, test } from 'vitest';
import { claimsProblem } from '../../src/auth/claims.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { AUDIENCE, ISSUER, issuerSpec } from '../support/issuer-spec.ts';

const SKEW = 30_000;
const LIFETIME = 3_600_000;
const rules = {
  issuer: issuerSpec({ skewMs: SKEW, maxLifetimeMs: LIFETIME }),
  audiences: new Set([AUDIENCE, 'other']),
};
/** Seconds. */
const T = 1_780_000_000;
const GOOD: JsonObject = { iss: ISSUER, aud: AUDIENCE, iat: T, exp: T + 600 };
/** At `ms` after T. */
const problem = (change: Record<string, unknown>, ms = 0): string | undefined =>
  claimsProblem({ ...GOOD, ...(change as JsonObject) }, rules, T * 1000 + ms);

test('nothing is wrong with good claims', () => {
  expect(problem({})).toBeUndefined();
});

describe('the times of a token', () => {
  test('it has expired when exp and the skew are over, to the millisecond', () => {
    expect(problem({}, 600_000 + SKEW - 1)).toBeUndefined();
    expect(problem({}, 600_000 + SKEW)).toMatch(/expired/);
  });
  test('iat may lie ahead by the skew, and no further', () => {
    expect(problem({}, -SKEW)).toBeUndefined();
    expect(problem({}, -SKEW - 1)).toMatch(/iat .*future/);
  });
  test('so may nbf', () => {
    const nbf = T + 100;
    expect(problem({ nbf }, 100_000 - SKEW)).toBeUndefined();
    expect(problem({ nbf }, 100_000 - SKEW - 1)).toMatch(/not valid yet/);
  });
  test('exp lies after iat', () => {
    expect(problem({ exp: T + 0.001 })).toBeUndefined();
    expect(problem({ exp: T })).toMatch(/exp is not after iat/);
    expect(problem({ exp: T - 1 })).toMatch(/exp is not after iat/);
  });
  test('it may live as long as maxLifetime, and no longer', () => {
    expect(problem({ exp: T + LIFETIME / 1000 })).toBeUndefined();
    expect(problem({ exp: T + LIFETIME / 1000 + 1 })).toMatch(/longer than maxLifetime/);
  });

  const NO_TIMES = ['1780000000', null, true, {}, [], -1, NaN];
  test.each(NO_TIMES)('%j is no time', (value) => {
    expect(problem({ exp: value })).toBe('exp is missing or not a time');
    expect(problem({ iat: value })).toBe('iat is missing or not a time');
    expect(problem({ nbf: value })).toBe('nbf is not a time');
  });
  test('none lasts for ever', () => {
    for (const name of ['exp', 'iat', 'nbf']) expect(problem({ [name]: Infinity })).toBeDefined();
  });
  test('exp and iat must be there, nbf need not', () => {
    expect(problem({ exp: undefined })).toBe('exp is missing or not a time');
    expect(problem({ iat: undefined })).toBe('iat is missing or not a time');
    expect(problem({ nbf: undefined })).toBeUndefined();
  });
  test('1970 is a time', () => {
    const claims = { ...GOOD, iat: 0, nbf: 0, exp: 60 };
    expect(claimsProblem(claims, rules, 0)).toBeUndefined();
  });
});

describe('the audience of a token', () => {
  test.each([AUDIENCE, 'other', [AUDIENCE], ['x', 'other']])('%j names one of ours', (aud) => {
    expect(problem({ aud })).toBeUndefined();
  });
  test.each([undefined, null, 1, {}, '', [], ['x'], [AUDIENCE, 1], [[AUDIENCE]], AUDIENCE.toUpperCase()])(
    '%j does not',
    (aud) => {
      expect(problem({ aud })).toMatch(/aud names none/);
    },
  );
});

test.each([undefined, null, '', `${ISSUER}/`, [ISSUER]])('iss %j is not the issuer', (iss) => {
  expect(problem({ iss })).toMatch(/iss is not the issuer's/);
});
