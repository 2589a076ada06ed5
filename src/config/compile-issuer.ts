import { knownAlgorithms } from '../auth/algorithms.ts';
import type { IssuerSpec } from '../core/auth.ts';
import { suggest } from '../lib/nearest.ts';
import { parsePart } from './context.ts';
import type { Problems } from './problems.ts';
import type { IssuerInput } from './schema.ts';
import { issuerSchema } from './schema.ts';

const DEFAULT_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

const PRESETS = {
  // accounts.google.com/.well-known/openid-configuration
  google: {
    issuer: 'https://accounts.google.com',
    jwks: { url: 'https://www.googleapis.com/oauth2/v3/certs' },
    algorithms: ['RS256'],
  },
} as const;

/** The issuer under `name`, or undefined where it has errors, which are reported. */
export function compileIssuer(name: string, value: unknown, problems: Problems): IssuerSpec | undefined {
  const path = ['issuers', name];
  const input = parsePart(issuerSchema, value, path, problems);
  if (input === undefined) return undefined;
  const common = { skewMs: input.clockSkew, maxLifetimeMs: input.maxLifetime, allowHttp: input.allowHttp };
  if (input.preset !== undefined) {
    for (const key of ['issuer', 'jwks', 'algorithms'] as const) {
      if (input[key] !== undefined)
        problems.add([...path, key], `comes with the preset "${input.preset}": leave it out`);
    }
    return { ...PRESETS[input.preset], ...common };
  }
  if (input.issuer === undefined) {
    problems.add(path, 'needs an "issuer" (the iss of its tokens) or a "preset"');
    return undefined;
  }
  checkUrls(input, path, problems);
  checkAlgorithms(input, path, problems);
  checkKeys(input, path, problems);
  const jwks = typeof input.jwks === 'string' ? { url: input.jwks } : input.jwks;
  const algorithms = input.algorithms ?? DEFAULT_ALGORITHMS;
  return { issuer: input.issuer, ...(jwks === undefined ? {} : { jwks }), algorithms, ...common };
}

function checkUrls(input: IssuerInput, path: readonly string[], problems: Problems): void {
  if (input.allowHttp) return;
  for (const key of ['issuer', 'jwks'] as const) {
    const url = input[key];
    // Whoever stands between could put their own keys in. With pinned keys nothing is fetched from the issuer.
    const fetched = key === 'jwks' || typeof input.jwks !== 'object';
    if (fetched && typeof url === 'string' && url.startsWith('http://')) {
      problems.add(
        [...path, key],
        'must be https, as its keys decide who may call; "allowHttp": true is for loopback and closed networks',
      );
    }
  }
}

function checkAlgorithms(input: IssuerInput, path: readonly string[], problems: Problems): void {
  for (const [i, name] of (input.algorithms ?? []).entries()) {
    if (knownAlgorithms().includes(name)) continue;
    problems.add([...path, 'algorithms', i], refusedAlgorithm(name));
  }
}

function refusedAlgorithm(name: string): string {
  if (/^none$/i.test(name)) return '"none" is no signature: anyone could write such a token';
  if (/^HS/i.test(name)) {
    return `"${name}" is refused: its key both checks and makes tokens, and a public key could be passed off as one; use RS256 or ES256`;
  }
  return `"${name}" is not known: ${suggest(name, knownAlgorithms())}`;
}

function checkKeys(input: IssuerInput, path: readonly string[], problems: Problems): void {
  if (typeof input.jwks !== 'object') return;
  for (const [i, key] of input.jwks.keys.entries()) {
    const at = [...path, 'jwks', 'keys', i];
    if (key['kty'] === 'oct')
      problems.add(at, 'is a shared secret (kty "oct"): only public keys belong here');
    else if ('d' in key)
      problems.add(at, 'is a private key (it has "d"): put the public key here, and replace this one');
    else if (typeof key['kty'] !== 'string') problems.add(at, 'is no JSON Web Key: "kty" is missing');
  }
}
