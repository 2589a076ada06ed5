import { createHmac } from 'node:crypto';
import type { JsonObject } from '../../src/core/json.ts';
import { encode, makeKeys, signature, signRaw, type TestKey } from './tokens.ts';

/** Whom the good tokens are for, and what the forged ones want. */
export interface Target {
  readonly issuer: string;
  readonly audience: string;
  /** Seconds since 1970. */
  readonly now: number;
  /** An address that nobody may ask for keys. */
  readonly canary: string;
}

export interface Parts {
  header: JsonObject;
  claims: JsonObject;
}
export type Forge = (key: TestKey, parts: Parts) => string;

/** Signs correctly what `change` made of a good token. */
export function signed(change: (parts: Parts, key: TestKey) => void): Forge {
  return (key, parts) => {
    change(parts, key);
    return signRaw(JSON.stringify(parts.header), JSON.stringify(parts.claims), key.alg, key.privateKey);
  };
}
export const good: Forge = signed(() => {});
export const header = (change: JsonObject): Forge =>
  signed((parts) => void Object.assign(parts.header, change));
export const claims = (change: JsonObject): Forge =>
  signed((parts) => void Object.assign(parts.claims, change));
const without = (name: string): Forge => signed((parts) => void delete parts.claims[name]);
const rewritten = (change: (header: string, payload: string) => [string, string]): Forge =>
  function forge(key, parts) {
    const [head, payload] = change(JSON.stringify(parts.header), JSON.stringify(parts.claims));
    return signRaw(head, payload, key.alg, key.privateKey);
  };
const altered =
  (change: (token: string, key: TestKey) => string): Forge =>
  (key, parts) =>
    change(good(key, parts), key);
const part = (token: string, index: number): string => token.split('.')[index] ?? '';

function hs256(secret: string | Buffer): Forge {
  return (_key, parts) => {
    const text = `${encode({ ...parts.header, alg: 'HS256' })}.${encode(parts.claims)}`;
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  };
}
const publicPem = (key: TestKey): string => key.publicKey.export({ type: 'spki', format: 'pem' }).toString();

/** Good claims for the target, of ten minutes. */
export const goodClaims = ({ issuer, audience, now }: Target) => ({
  iss: issuer,
  aud: audience,
  sub: 'caller',
  email: 'a@b.example',
  iat: now - 10,
  exp: now + 600,
});

/** What a good token with this key is made of. */
export const partsOf = (key: TestKey, target: Target): Parts => ({
  header: { alg: key.alg, kid: key.kid, typ: 'JWT' },
  claims: { ...goodClaims(target) },
});

const stranger = makeKeys();

/** Each makes a token that nobody may take for a good one, by name. */
export function attacksOn(target: Target): Readonly<Record<string, Forge>> {
  const { issuer: ISSUER, audience: AUDIENCE, now: NOW, canary } = target;
  return {
    'alg none without signature': (_, p) => `${encode({ ...p.header, alg: 'none' })}.${encode(p.claims)}.`,
    'alg none with a signature': header({ alg: 'none' }),
    'alg None with a signature': header({ alg: 'None' }),
    'alg nOnE': header({ alg: 'nOnE' }),
    'alg NONE without a dot': (_, p) => `${encode({ ...p.header, alg: 'NONE' })}.${encode(p.claims)}`,
    'alg empty': header({ alg: '' }),
    'alg missing': signed((p) => void delete p.header['alg']),
    'alg as a list': signed((p, key) => void (p.header['alg'] = [key.alg])),
    'alg null': header({ alg: null }),
    'alg in lower case': signed((p, key) => void (p.header['alg'] = key.alg.toLowerCase())),
    'alg with a space': signed((p, key) => void (p.header['alg'] = `${key.alg} `)),
    'alg of the prototype': header({ alg: '__proto__' }),
    'alg of another family': signed(
      (p, key) => void (p.header['alg'] = key.alg === 'ES256' ? 'RS256' : 'ES256'),
    ),
    'alg outside the list': signed((p) => void (p.header['alg'] = 'RS512')),
    'HS256 with the public key as PEM': (key, p) => hs256(publicPem(key))(key, p),
    'HS256 with the public key as DER': (key, p) =>
      hs256(key.publicKey.export({ type: 'spki', format: 'der' }))(key, p),
    'HS256 with the JWK': (key, p) => hs256(JSON.stringify(key.jwk))(key, p),
    'HS256 with an empty secret': hs256(''),
    'HS256 with n or x': (key, p) => hs256(JSON.stringify(key.jwk['n'] ?? key.jwk['x']).slice(1, -1))(key, p),
    'another key under the same kid': (key, p) => good(stranger.get(key.alg) ?? key, p),
    'an embedded jwk': (key, p) =>
      header({ jwk: stranger.get(key.alg)?.jwk ?? {} })(stranger.get(key.alg) ?? key, p),
    'a jku': (key, p) => header({ jku: `${canary}/jwks` })(stranger.get(key.alg) ?? key, p),
    'an x5u': (key, p) => header({ x5u: `${canary}/cert` })(stranger.get(key.alg) ?? key, p),
    'kid unknown': header({ kid: 'other' }),
    'kid as a list': signed((p, key) => void (p.header['kid'] = [key.kid])),
    'kid a path': header({ kid: '../../../../dev/null' }),
    'kid of the prototype': header({ kid: '__proto__' }),
    'kid empty': header({ kid: '' }),
    'kid of another algorithm': signed(
      (p, key) => void (p.header['kid'] = key.alg === 'ES256' ? 'key-RS256' : 'key-ES256'),
    ),
    crit: header({ crit: ['exp'] }),
    'crit empty': header({ crit: [] }),
    'b64 false': header({ b64: false, crit: ['b64'] }),
    'typ of a logout token': header({ typ: 'logout+jwt' }),
    'typ of a DPoP proof': header({ typ: 'dpop+jwt' }),
    'typ not a string': header({ typ: ['JWT'] }),
    'header with a member twice': rewritten((h, p) => [h.replace('{', '{"alg":"none",'), p]),
    'header with an escaped member twice': rewritten((h, p) => [h.replace('{', '{"\\u0061lg":"none",'), p]),
    'header with a byte order mark': rewritten((h, p) => [`\uFEFF${h}`, p]),
    'header a list': rewritten((_, p) => ['[]', p]),
    'claims with a member twice': rewritten((h, p) => [h, p.replace('{', '{"iss":"https://evil.example",')]),
    'claims with a nested member twice': rewritten((h, p) => [h, p.replace('{', '{"x":{"a":1,"a":2},')]),
    'claims with a byte order mark': rewritten((h, p) => [h, `\uFEFF${p}`]),
    'claims a list': rewritten((h) => [h, '[]']),
    'claims null': rewritten((h) => [h, 'null']),
    'claims not JSON': rewritten((h) => [h, 'iss=x']),
    'claims deep': rewritten((h, p) => [h, p.replace('{', `{"x":${'['.repeat(40)}${']'.repeat(40)},`)]),
    'claims with a number beyond a double': rewritten((h, p) => [h, p.replace('{', '{"x":1e400,')]),
    'iss with a slash more': claims({ iss: `${ISSUER}/` }),
    'iss in upper case': claims({ iss: ISSUER.toUpperCase() }),
    'iss missing': without('iss'),
    'iss a list': claims({ iss: [ISSUER] }),
    'iss another': claims({ iss: 'https://issuer.example.evil.example' }),
    'aud missing': without('aud'),
    'aud another': claims({ aud: 'https://other.example' }),
    'aud a prefix': claims({ aud: AUDIENCE.slice(0, -1) }),
    'aud longer': claims({ aud: `${AUDIENCE}/` }),
    'aud in upper case': claims({ aud: AUDIENCE.toUpperCase() }),
    'aud an object': claims({ aud: { 0: AUDIENCE } }),
    'aud an empty list': claims({ aud: [] }),
    'aud a list in a list': claims({ aud: [[AUDIENCE]] }),
    'aud a list with a number': claims({ aud: [AUDIENCE, 1] }),
    'aud null': claims({ aud: null }),
    'exp missing': without('exp'),
    'exp past': claims({ exp: NOW - 31 }),
    'exp a string': claims({ exp: String(NOW + 600) }),
    'exp infinite': rewritten((h, p) => [h, p.replace(/"exp":\d+/, '"exp":1e400')]),
    'exp null': claims({ exp: null }),
    'exp negative': claims({ exp: -1 }),
    'exp in milliseconds': claims({ exp: (NOW + 600) * 1000 }),
    'exp in 2099': claims({ exp: 4_070_908_800 }),
    'exp before iat': claims({ exp: NOW - 15, iat: NOW - 10 }),
    'exp beyond the longest lifetime': claims({ iat: NOW, exp: NOW + 86_401 }),
    'iat missing': without('iat'),
    'iat in the future': claims({ iat: NOW + 31 }),
    'iat a string': claims({ iat: String(NOW) }),
    'nbf in the future': claims({ nbf: NOW + 31 }),
    'nbf a string': claims({ nbf: '0' }),
    'another sender': claims({ email: 'other@b.example' }),
    'sender in upper case': claims({ email: 'A@B.EXAMPLE' }),
    'sender missing': without('email'),
    'sender a list': claims({ email: ['a@b.example'] }),
    'payload changed after signing': altered(
      (t) => `${part(t, 0)}.${encode({ ...goodClaims(target), sub: 'x' })}.${part(t, 2)}`,
    ),
    'header changed after signing': altered(
      (t) => `${encode({ alg: 'RS256', x: 1 })}.${part(t, 1)}.${part(t, 2)}`,
    ),
    'no signature': altered((t) => `${part(t, 0)}.${part(t, 1)}.`),
    'no signature and no dot': altered((t) => `${part(t, 0)}.${part(t, 1)}`),
    'a zero signature': altered((t) => `${part(t, 0)}.${part(t, 1)}.${'A'.repeat(part(t, 2).length)}`),
    'a signature of one byte': altered((t) => `${part(t, 0)}.${part(t, 1)}.AA`),
    'a signature cut short': altered((t) => t.slice(0, -4)),
    'a signature with bytes more': altered((t) => `${t}AAAA`),
    'a signature with padding': altered((t) => `${t}==`),
    'a signature with stray bits': altered(strayBits),
    'a signature in plain base64': altered((t) => `${part(t, 0)}.${part(t, 1)}.${part(t, 2).slice(0, -1)}+`),
    'a line break in the signature': altered((t) => `${t.slice(0, -9)}%0A${t.slice(-9)}`),
    'padding in the header': altered((t) => t.replace('.', '=.')),
    'four parts': altered((t) => `${t}.AAAA`),
    'five parts, like a JWE': altered((t) => `${t}.AAAA.AAAA`),
    'the JSON form': altered((t) =>
      JSON.stringify({ payload: part(t, 1), protected: part(t, 0), signature: part(t, 2) }),
    ),
    'a DER signature': (key, p) => {
      const text = `${encode(p.header)}.${encode(p.claims)}`;
      const der = Buffer.concat([
        Buffer.from([0x30, 0x44]),
        signature(Buffer.from(text), key.alg, key.privateKey),
      ]);
      return `${text}.${der.toString('base64url')}`;
    },
    'longer than 8 KiB': claims({ filler: 'x'.repeat(8192) }),
  };
}

/** Another last character that lenient decoders read as the same bytes. */
function strayBits(token: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(token.at(-1) ?? '');
  return `${token.slice(0, -1)}${alphabet.charAt(last ^ 1)}`;
}
