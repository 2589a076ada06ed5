import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { TappetError } from '../../src/core/errors.ts';
import { ConfigFolder } from '../support/config-folder.ts';

let folder: ConfigFolder;
beforeEach(() => void (folder = new ConfigFolder()));
afterEach(() => folder.remove());

async function load(issuer: JsonObject, oidc: JsonObject = { anyone: true }): Promise<LoadedConfig> {
  const auth = { oidc: { issuer: 'main', audience: 'tappet', ...oidc } };
  const file = folder.write('tappet.json', {
    issuers: { main: issuer },
    jobs: { job: { image: 'busybox' } },
    triggers: { call: { source: { kind: 'webhook', auth }, run: { job: 'job' } } },
  });
  return loadConfig(file, { env: {} });
}

async function problems(issuer: JsonObject, oidc: JsonObject): Promise<string[]> {
  try {
    await load(issuer, oidc);
    return [];
  } catch (error) {
    if (!(error instanceof TappetError)) throw error;
    return error.message.split('\n');
  }
}

const GENERIC = { issuer: 'https://id.example' };
const GITHUB = { preset: 'github-actions' };
const KUBERNETES = { preset: 'kubernetes' };
const OWN_CLUSTER = { ...KUBERNETES, issuer: 'https://cluster.example' };
const GOOGLE = { preset: 'google' };

describe('presets', () => {
  it.each<[JsonObject, JsonObject]>([
    [
      GOOGLE,
      {
        issuer: 'https://accounts.google.com',
        jwks: { url: 'https://www.googleapis.com/oauth2/v3/certs' },
        algorithms: ['RS256'],
      },
    ],
    [GITHUB, { issuer: 'https://token.actions.githubusercontent.com', algorithms: ['RS256'] }],
    [
      { ...GITHUB, issuer: 'https://github.example/_services/token' },
      { issuer: 'https://github.example/_services/token', algorithms: ['RS256'] },
    ],
    [
      { ...KUBERNETES, allowPrivateAddresses: true },
      { issuer: 'https://kubernetes.default.svc.cluster.local', algorithms: ['RS256', 'ES256'] },
    ],
    [
      {
        ...KUBERNETES,
        algorithms: ['ES384'],
        jwks: 'https://10.0.0.1/openid/v1/jwks',
        allowPrivateAddresses: true,
      },
      { algorithms: ['ES384'], jwks: { url: 'https://10.0.0.1/openid/v1/jwks' } },
    ],
    [GENERIC, { issuer: 'https://id.example', algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'] }],
    [{ ...GENERIC, preset: 'generic' }, { issuer: 'https://id.example' }],
  ])('%j fills in what is known', async (issuer, spec) => {
    const main = (await load(issuer)).issuers.get('main');
    expect(main).toMatchObject(spec);
    if (!('jwks' in spec)) expect(main).not.toHaveProperty('jwks');
  });

  it('keys are read from public addresses alone, unless http is allowed or it is said', async () => {
    const of = async (issuer: JsonObject) => (await load(issuer)).issuers.get('main')?.allowPrivateAddresses;
    expect(await of(GENERIC)).toBe(false);
    expect(await of({ ...GENERIC, allowPrivateAddresses: true })).toBe(true);
    expect(await of({ issuer: 'http://127.0.0.1:1', allowHttp: true })).toBe(true);
    expect(await of({ issuer: 'http://id.example', allowHttp: true, allowPrivateAddresses: false })).toBe(
      false,
    );
  });

  const literal = (host: string) =>
    `reads its keys from ${host}, which is not on the public Internet: "allowPrivateAddresses": true permits that; or write the keys themselves under "jwks"`;
  it.each<[JsonObject, string]>([
    [KUBERNETES, `issuers.main: ${literal('kubernetes.default.svc.cluster.local')}`],
    [{ ...KUBERNETES, issuer: 'https://10.96.0.1' }, `issuers.main.issuer: ${literal('10.96.0.1')}`],
    [{ issuer: 'https://[fd00::1]:8443' }, `issuers.main.issuer: ${literal('fd00::1')}`],
    [{ issuer: 'https://[::ffff:127.0.0.1]' }, `issuers.main.issuer: ${literal('::ffff:7f00:1')}`],
    [{ issuer: 'https://localhost:8443' }, `issuers.main.issuer: ${literal('localhost')}`],
    [
      { ...GENERIC, jwks: 'https://169.254.169.254/keys' },
      `issuers.main.jwks: ${literal('169.254.169.254')}`,
    ],
    [
      { issuer: 'http://127.0.0.1:1', allowHttp: true, allowPrivateAddresses: false },
      `issuers.main.issuer: ${literal('127.0.0.1')}`,
    ],
  ])('%j could never be read: it is refused, and what to do is said', async (issuer, line) => {
    expect((await problems(issuer, { anyone: true })).join('\n')).toContain(line);
  });

  it.each<[JsonObject]>([
    [{ ...KUBERNETES, jwks: 'https://keys.example/jwks' }],
    [{ issuer: 'https://10.0.0.1', jwks: 'https://keys.example/jwks' }],
    [{ issuer: 'https://10.0.0.1', allowPrivateAddresses: true }],
    [{ issuer: 'https://8.8.8.8' }],
    [{ ...KUBERNETES, jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AAAA' }] } }],
  ])('%j is taken', async (issuer) => {
    expect(await problems(issuer, { anyone: true })).toEqual([]);
  });

  it('known keys go on for 24 h, or as long as it says', async () => {
    const of = async (issuer: JsonObject) => (await load(issuer)).issuers.get('main')?.maxKeyAgeMs;
    expect(await of(GENERIC)).toBe(24 * 60 * 60_000);
    expect(await of({ ...GENERIC, maxKeyAge: '1h' })).toBe(60 * 60_000);
  });
});

describe('who may call', () => {
  it.each<[JsonObject, JsonObject]>([
    [GOOGLE, { emails: ['robot@project.iam.gserviceaccount.com'] }],
    [GOOGLE, { subjects: ['107517467455664443766'] }],
    [GOOGLE, { require: "claims.email == 'a@b.example' && claims.email_verified == true" }],
    [GITHUB, { repositoryIds: [74], refs: ['refs/heads/main'], environments: ['prod'], events: ['push'] }],
    [GITHUB, { repositoryOwnerIds: ['65'] }],
    [GITHUB, { subjects: ['repo:octo/app:ref:refs/heads/main'] }],
    [GITHUB, { refs: ['refs/heads/main'], require: "claims.repository == 'octo/app'" }],
    [OWN_CLUSTER, { serviceAccounts: ['build/runner'] }],
    [OWN_CLUSTER, { namespaces: ['build'] }],
    [OWN_CLUSTER, { require: 'claims["kubernetes.io"].namespace == "build"' }],
    [GENERIC, { emails: ['a@b.example'] }],
    [GENERIC, { require: "claims.sub == 'builder'" }],
    [GENERIC, { subjects: ['a'], require: "claims.email == 'a@b.example'" }],
    [GENERIC, { anyone: true }],
  ])('%j takes %j', async (issuer, oidc) => {
    expect(await problems(issuer, oidc)).toEqual([]);
  });

  it('a trigger knows of which issuers it takes tokens, in whatever place that stands', async () => {
    const oidc = (issuer: string): JsonObject => ({ oidc: { issuer, audience: 'a', anyone: true } });
    const hook = (auth: JsonObject): JsonObject => ({
      source: { kind: 'webhook', auth },
      run: { job: 'job' },
    });
    const file = folder.write('tappet.json', {
      issuers: { g: GOOGLE, actions: GITHUB, own: OWN_CLUSTER, id: GENERIC },
      jobs: { job: { image: 'busybox' } },
      triggers: {
        one: hook(oidc('own')),
        several: hook({ anyOf: [oidc('g'), { addresses: ['192.0.2.1'] }, oidc('actions'), oidc('id')] }),
        none: hook({ bearer: { token: { env: 'T' } } }),
        nightly: { source: { kind: 'cron', cron: '0 3 * * *' }, run: { job: 'job' } },
      },
    });
    const { triggers } = await loadConfig(file, { env: { T: 'a-token-of-sixteen-bytes' } });
    expect(Object.fromEntries(Array.from(triggers, ([name, { issuers }]) => [name, issuers]))).toEqual({
      one: { own: 'kubernetes' },
      several: { g: 'google', actions: 'github-actions', id: 'generic' },
      none: undefined,
      nightly: undefined,
    });
  });

  it('GitHub’s numbers may stand without quotes', async () => {
    const config = await load(GITHUB, { repositoryIds: [74, '75'] });
    expect(config.triggers.get('call')?.source).toMatchObject({
      auth: { oidc: { repositoryIds: ['74', '75'] } },
    });
  });

  it.each<[JsonObject, JsonObject, string]>([
    [GOOGLE, {}, 'auth.oidc: must say who may call, by "emails", "subjects" or a claim in "require"'],
    [GITHUB, {}, 'by "subjects", "repositoryIds", "repositoryOwnerIds" or a claim in "require"'],
    [OWN_CLUSTER, {}, 'by "subjects", "serviceAccounts", "namespaces" or a claim in "require"'],
    [GITHUB, { refs: ['refs/heads/main'] }, "must say who may call (refs alone may be anyone's)"],
    [
      GITHUB,
      { environments: ['prod'], events: ['push'] },
      'must say who may call (environments, events alone',
    ],
    [GITHUB, { workflows: ['o/a/.github/workflows/x.yml@refs/heads/main'] }, 'must say who may call'],
    [GITHUB, { require: "claims.ref == 'refs/heads/main'" }, 'auth.oidc.require: must say who may call'],
    [GITHUB, { require: "claims.event_name == 'push' && claims.aud == 'x'" }, 'must say who may call'],
    [
      GOOGLE,
      { require: "claims.email == 'a@b.example'" },
      'require: reads claims.email, which anyone may claim',
    ],
    [GENERIC, { require: "claims.email.endsWith('@b.example')" }, 'list it under "emails"'],
    [
      GOOGLE,
      { repositoryIds: [74] },
      'repositoryIds: is for issuers with the preset github-actions; this one is google',
    ],
    [
      GITHUB,
      { repositoryIds: [74], emails: ['a@b.example'] },
      'emails: is for issuers with the preset google or generic',
    ],
    [GENERIC, { serviceAccounts: ['a/b'] }, 'is for issuers with the preset kubernetes; this one is generic'],
    [
      GOOGLE,
      { anyone: true, emails: ['a@b.example'] },
      'anyone: lets anyone in, so that "emails" would say nothing',
    ],
    [
      GENERIC,
      { anyone: true, require: 'true' },
      'anyone: lets anyone in, so that "require" would say nothing',
    ],
    [GENERIC, { anyone: false }, 'auth.oidc.anyone: must be true'],
    [GOOGLE, { emails: [] }, 'auth.oidc.emails: must not be empty'],
    [GOOGLE, { emails: ['robot'] }, 'emails[0]: is no email address'],
    [GITHUB, { repositoryIds: ['octo/app'] }, 'repositoryIds[0]: must be the number that GitHub knows it by'],
    [GITHUB, { subjects: ['repo:octo/*'] }, 'subjects[0]: is compared to the letter, and knows no patterns'],
    [
      OWN_CLUSTER,
      { serviceAccounts: ['runner'] },
      'serviceAccounts[0]: must be "<namespace>/<name of the service',
    ],
    [OWN_CLUSTER, { namespaces: ['Build'] }, 'namespaces[0]: is no name of a namespace'],
  ])('%j refuses %j', async (issuer, oidc, line) => {
    expect((await problems(issuer, oidc)).join('\n')).toContain(line);
  });
});
