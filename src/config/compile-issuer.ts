import { isIP } from 'node:net';
import { knownAlgorithms } from '../auth/algorithms.ts';
import type { IssuerSpec, Preset } from '../core/auth.ts';
import type { JsonObject } from '../core/json.ts';
import { isPublicAddress } from '../lib/addresses.ts';
import { suggest } from '../lib/nearest.ts';
import { parsePart } from './context.ts';
import type { PathSegment } from './positions.ts';
import type { Report } from './problems.ts';
import { isMap, listOf, mapOf, textOf } from './raw.ts';
import { issuerSchema } from './schema.ts';

type Path = readonly PathSegment[];

const DEFAULT_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

interface Known {
  readonly issuer: string;
  readonly jwks?: { readonly url: string };
  readonly algorithms: readonly string[];
}

/** What is known of an issuer, in the words of its discovery document. */
const PRESETS: Readonly<Record<Preset, Known | undefined>> = {
  google: {
    issuer: 'https://accounts.google.com',
    jwks: { url: 'https://www.googleapis.com/oauth2/v3/certs' },
    algorithms: ['RS256'],
  },
  'github-actions': {
    issuer: 'https://token.actions.githubusercontent.com',
    algorithms: ['RS256'],
  },
  // What kubeadm, kind and k3s call themselves; managed clusters have an address of their own.
  kubernetes: {
    issuer: 'https://kubernetes.default.svc.cluster.local',
    algorithms: ['RS256', 'ES256'],
  },
  generic: undefined,
};
/** There is one of these; of the others, servers and clusters have their own. */
const FIXED: ReadonlySet<Preset> = new Set(['google']);

/** The preset of an issuer as written; `generic` where there is none, or one that is not known. */
export function presetOf(value: JsonObject): Preset {
  const preset = textOf(value['preset']);
  if (preset !== undefined && isPreset(preset)) return preset;
  // Its tokens are what they are, however the issuer is written.
  return textOf(value['issuer']) === PRESETS['github-actions']?.issuer ? 'github-actions' : 'generic';
}

const isPreset = (text: string): text is Preset => Object.hasOwn(PRESETS, text);

/** The issuer under `name`, or undefined where it has errors, which are reported. */
export function compileIssuer(name: string, value: JsonObject, report: Report): IssuerSpec | undefined {
  const path = ['issuers', name];
  const input = parsePart(issuerSchema, value, path, report);
  checkOrigin(value, path, report);
  if (input === undefined) return undefined;
  const known = PRESETS[input.preset ?? 'generic'];
  const issuer = input.issuer ?? known?.issuer;
  if (issuer === undefined) return undefined;
  const written = typeof input.jwks === 'string' ? { url: input.jwks } : input.jwks;
  // Another issuer than the known one has other keys.
  const jwks = written ?? (input.issuer === undefined ? known?.jwks : undefined);
  return {
    issuer,
    ...(jwks === undefined ? {} : { jwks }),
    algorithms: input.algorithms ?? known?.algorithms ?? DEFAULT_ALGORITHMS,
    skewMs: input.clockSkew,
    maxLifetimeMs: input.maxLifetime,
    maxKeyAgeMs: input.maxKeyAge,
    allowHttp: input.allowHttp,
    allowPrivateAddresses: input.allowPrivateAddresses ?? input.allowHttp,
  };
}

function checkOrigin(value: JsonObject, path: Path, report: Report): void {
  const preset = presetOf(value);
  if (FIXED.has(preset)) {
    for (const key of ['issuer', 'jwks', 'algorithms']) {
      if (value[key] !== undefined)
        report.add([...path, key], `comes with the preset "${preset}": leave it out`);
    }
    return;
  }
  const mayLack = PRESETS[preset] !== undefined || (textOf(value['preset']) ?? preset) !== preset;
  if (!mayLack && value['issuer'] === undefined)
    report.add(path, 'needs an "issuer" (the iss of its tokens) or a "preset"');
  checkUrls(value, path, report);
  checkReach(value, path, report);
  checkAlgorithms(value, path, report);
  checkKeys(value, path, report);
}

function checkUrls(value: JsonObject, path: Path, report: Report): void {
  if (value['allowHttp'] === true) return;
  for (const key of ['issuer', 'jwks'] as const) {
    const url = textOf(value[key]);
    // Whoever stands between could put their own keys in. With pinned keys nothing is fetched from the issuer.
    const fetched = key === 'jwks' || !isMap(value['jwks']);
    if (fetched && url?.startsWith('http://') === true) {
      report.add(
        [...path, key],
        'must be https, as its keys decide who may call; "allowHttp": true is for loopback and closed networks',
      );
    }
  }
}

/** What could never be read is told of now, not at each call; what a name leads to is judged when it is connected to. */
function checkReach(value: JsonObject, path: Path, report: Report): void {
  const { jwks, allowHttp, allowPrivateAddresses = allowHttp } = value;
  if (allowPrivateAddresses === true) return;
  const key = jwks === undefined ? 'issuer' : 'jwks';
  const url = textOf(value[key]) ?? (jwks === undefined ? PRESETS[presetOf(value)]?.issuer : undefined);
  if (url === undefined || !URL.canParse(url)) return;
  const { protocol, hostname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  // The other protocol has been told of.
  if ((protocol !== 'https:' && allowHttp !== true) || !isInside(host)) return;
  report.add(
    value[key] === undefined ? path : [...path, key],
    `reads its keys from ${host}, which is not on the public Internet: "allowPrivateAddresses": true permits that; or write the keys themselves under "jwks"`,
  );
}

/** On this machine, in a private network or in a cluster, whoever is asked. */
const isInside = (host: string): boolean =>
  isIP(host) === 0 ? /(?:^|\.)localhost\.?$|\.cluster\.local\.?$/.test(host) : !isPublicAddress(host);

function checkAlgorithms(value: JsonObject, path: Path, report: Report): void {
  for (const [i, item] of listOf(value['algorithms']).entries()) {
    const name = textOf(item);
    if (name === undefined || knownAlgorithms().includes(name)) continue;
    report.add([...path, 'algorithms', i], refusedAlgorithm(name));
  }
}

function refusedAlgorithm(name: string): string {
  if (/^none$/i.test(name)) return '"none" is no signature: anyone could write such a token';
  if (/^HS/i.test(name)) {
    return `"${name}" is refused: its key both checks and makes tokens, and a public key could be passed off as one; use RS256 or ES256`;
  }
  return `"${name}" is not known: ${suggest(name, knownAlgorithms())}`;
}

function checkKeys(value: JsonObject, path: Path, report: Report): void {
  for (const [i, key] of listOf(mapOf(value['jwks'])['keys']).entries()) {
    const at = [...path, 'jwks', 'keys', i];
    if (!isMap(key)) continue;
    if (key['kty'] === 'oct') report.add(at, 'is a shared secret (kty "oct"): only public keys belong here');
    else if ('d' in key)
      report.add(at, 'is a private key (it has "d"): put the public key here, and replace this one');
    else if (typeof key['kty'] !== 'string') report.add(at, 'is no JSON Web Key: "kty" is missing');
  }
}
