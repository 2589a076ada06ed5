import { describe, expect, test } from 'vitest';
import { MAX_TOKEN_BYTES, parseJws, parseToken } from '../../src/auth/jws.ts';
import { parseStrictObject } from '../../src/auth/strict-json.ts';
import { encode } from '../support/tokens.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const parsed = (text: string): unknown => parseStrictObject(bytes(text));

describe('strict JSON', () => {
  test.each([{}, { a: 1 }, { a: { b: [1, { c: null }, 'x', true, -1.5e3] } }, { 'ü 🚀': 'é' }])(
    'takes %j',
    (value) => {
      expect(parsed(JSON.stringify(value))).toEqual(value);
    },
  );
  test.each([
    'null',
    'true',
    '1',
    '"a"',
    '[]',
    '[{"a":1}]',
    '',
    '{',
    '{"a":1,}',
    "{'a':1}",
    '\ufeff{}',
    '{"a":1,"a":1}',
    '{"a":1,"\\u0061":2}',
    '{"b":{"a":1,"a":2}}',
    '{"b":[{"a":1,"a":2}]}',
    '{"a":1e400}',
    '{"a":[-1e400]}',
  ])('refuses %j', (text) => {
    expect(parsed(text)).toBeUndefined();
  });
  test('refuses what is no UTF-8', () => {
    expect(parseStrictObject(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d))).toBeUndefined();
  });
  test('is 32 deep at most', () => {
    const deep = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
    expect(parsed(deep(32))).toBeDefined();
    expect(parsed(deep(33))).toBeUndefined();
  });
  test('is 16 KiB long at most, or as long as it may be', () => {
    const long = (size: number): Uint8Array => bytes(`{"a":"${'x'.repeat(size - 8)}"}`);
    expect(parseStrictObject(long(16 * 1024))).toBeDefined();
    expect(parseStrictObject(long(16 * 1024 + 1))).toBeUndefined();
    expect(parseStrictObject(long(20), 20)).toBeDefined();
    expect(parseStrictObject(long(21), 20)).toBeUndefined();
  });
});

const ALGS = new Set(['ES256']);
const SIGNATURE = encode('signature');
const token = (header: string, payload = '{"iss":"x"}'): string =>
  `${encode(header)}.${encode(payload)}.${SIGNATURE}`;
const reasonOf = (text: string): string | undefined => {
  const result = parseToken(text, ALGS);
  return result.ok ? undefined : result.reason;
};

describe('a token', () => {
  test('in its parts', () => {
    const text = token('{"alg":"ES256","kid":"k"}');
    expect(parseToken(text, ALGS)).toEqual({
      ok: true,
      token: {
        alg: 'ES256',
        kid: 'k',
        payload: { iss: 'x' },
        signed: bytes(text.slice(0, -SIGNATURE.length - 1)),
        signature: bytes('signature'),
      },
    });
    const jws = parseJws(text, ALGS);
    expect(jws.ok && Buffer.from(jws.jws.payload).toString()).toBe('{"iss":"x"}');
  });

  test('is 8 KiB long at most', () => {
    const rest = token('{"alg":"ES256"}', '').length;
    /** The payload in base64url takes four letters for three bytes. */
    const filled = (length: number): string =>
      `${encode('{"alg":"ES256"}')}.${'A'.repeat(length - rest)}.${SIGNATURE}`;
    expect(reasonOf(filled(MAX_TOKEN_BYTES - ((MAX_TOKEN_BYTES - rest) % 4)))).toContain('payload');
    expect(reasonOf('x'.repeat(MAX_TOKEN_BYTES))).toContain('compact JWS');
    expect(reasonOf('x'.repeat(MAX_TOKEN_BYTES + 1))).toBe('the token is longer than 8192 bytes');
  });

  test.each(['', '.', '..', '...', 'a.b', 'YQ.YQ', '.YQ.YQ', 'YQ..YQ', 'YQ.YQ.', 'YQ.YQ.YQ.YQ', 'YQ.YQ.YQ.'])(
    'of other parts is none: %j',
    (text) => {
      expect(reasonOf(text)).toBe('the token is not a compact JWS of three base64url parts');
    },
  );
  test.each(['YQ==', 'YR', 'Y', 'Y Q', 'YQ\n', '+/8A'])('each part has one spelling, not %j', (part) => {
    const [header = '', payload = ''] = token('{"alg":"ES256"}').split('.');
    for (const text of [
      `${part}.${payload}.${SIGNATURE}`,
      `${header}.${part}.${SIGNATURE}`,
      `${header}.${payload}.${part}`,
    ]) {
      expect(reasonOf(text)).toContain('compact JWS');
    }
  });

  test.each<[string, string]>([
    ['[]', 'header is not a strict JSON object'],
    ['{"alg":"ES256","alg":"ES256"}', 'header is not a strict JSON object'],
    ['{}', "alg is not one of the issuer's"],
    ['{"alg":["ES256"]}', "alg is not one of the issuer's"],
    ['{"alg":"es256"}', "alg is not one of the issuer's"],
    ['{"alg":"none"}', "alg is not one of the issuer's"],
    // What it must be signed by comes first.
    ['{"alg":"HS256","typ":"x"}', "alg is not one of the issuer's"],
    ['{"alg":"ES256","typ":"JWE"}', 'typ is neither JWT nor at+jwt'],
    ['{"alg":"ES256","typ":1}', 'typ is neither JWT nor at+jwt'],
    ['{"alg":"ES256","typ":null}', 'typ is neither JWT nor at+jwt'],
    ['{"alg":"ES256","kid":1}', 'kid is not a string'],
    ['{"alg":"ES256","kid":null}', 'kid is not a string'],
    ['{"alg":"ES256","crit":[]}', 'demands extensions'],
    ['{"alg":"ES256","b64":true}', 'demands extensions'],
  ])('with the header %s is refused: %s', (header, why) => {
    expect(reasonOf(token(header))).toContain(why);
  });
  test.each(['JWT', 'jwt', 'AT+JWT', 'at+jwt', 'application/at+jwt'])('may be of typ %s', (typ) => {
    expect(reasonOf(token(JSON.stringify({ alg: 'ES256', typ })))).toBeUndefined();
  });
  test('whose claims are no strict JSON object is refused', () => {
    expect(reasonOf(token('{"alg":"ES256"}', '[]'))).toBe("the token's payload is not a strict JSON object");
  });
});
