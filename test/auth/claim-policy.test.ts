import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Issuers } from '../../src/auth/issuers.ts';
import { compileVerify } from '../../src/auth/verify.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { OidcSpec, Verify } from '../../src/core/auth.ts';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import { ConfigFolder } from '../support/config-folder.ts';
import { FakeLog } from '../support/fake-log.ts';
import { issuerSpec, nameIsValue } from '../support/issuer-spec.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { makeKey, signRaw } from '../support/tokens.ts';

const clock = new ManualClock('2026-06-01T12:00:00Z');
const NOW = clock.now() / 1000;
const AUDIENCE = 'https://gateway.example/hooks/call';
const key = makeKey('RS256', 'one');
const folder = new ConfigFolder();
afterAll(() => folder.remove());

/** What a real token of this issuer says, and the trigger that it is for. */
interface Case {
  readonly issuer: JsonObject;
  readonly oidc: Omit<OidcSpec, 'issuer' | 'audience'>;
  readonly claims: JsonObject;
}

/** Through the configuration as a user writes it; only the keys stand in for those of the real issuer. */
async function verifierOf({ issuer, oidc }: Case): Promise<Verify> {
  const auth = { oidc: { issuer: 'main', audience: AUDIENCE, ...oidc } as unknown as JsonObject };
  const file = folder.write('tappet.json', {
    issuers: { main: issuer },
    jobs: { job: { image: 'busybox' } },
    triggers: { call: { source: { kind: 'webhook', auth }, run: { job: 'job' } } },
  });
  const config = await loadConfig(file, { env: {} });
  const source = config.triggers.get('call')?.source;
  const spec = config.issuers.get('main');
  if (source?.kind !== 'webhook' || spec === undefined) throw new TypeError('the configuration has both');
  const issuers = new Issuers({
    specs: new Map([['main', { ...spec, jwks: { keys: [key.jwk] } }]]),
    fetch: () => Promise.reject(new Error('no network here')),
    clock,
    log: new FakeLog(),
  });
  const deps = { issuers, secrets: nameIsValue, clock, expressions: createExpressions() };
  return compileVerify(source.auth, deps);
}

type Change = Readonly<Record<string, Json | undefined>>;

interface Policy {
  readonly name: string;
  readonly of: Case;
  /** Changes to real claims, by what they are. */
  readonly refused: Readonly<Record<string, Change>>;
}
const POLICIES: Policy[] = [];
const policy = (name: string, of: Case, refused: Policy['refused']): void =>
  void POLICIES.push({ name, of, refused });

const EMAIL = 'scheduler@project.iam.gserviceaccount.com';
policy(
  'Google: claims that are not those of the service account',
  {
    issuer: { preset: 'google' },
    oidc: { emails: [EMAIL] },
    claims: {
      iss: 'https://accounts.google.com',
      aud: AUDIENCE,
      azp: '107517467455664443766',
      sub: '107517467455664443766',
      email: EMAIL,
      email_verified: true,
    },
  },
  {
    'iss missing': { iss: undefined },
    'iss without https (as old tokens of people have it)': { iss: 'accounts.google.com' },
    'iss with a slash': { iss: 'https://accounts.google.com/' },
    'iss of Firebase': { iss: 'https://securetoken.google.com/project' },
    'aud missing': { aud: undefined },
    'aud another trigger': { aud: 'https://gateway.example/hooks/other' },
    'aud the host alone': { aud: 'https://gateway.example' },
    'aud with a query': { aud: `${AUDIENCE}?a=b` },
    'email missing': { email: undefined },
    'email another account of the project': { email: 'other@project.iam.gserviceaccount.com' },
    'email of another project': { email: 'scheduler@evil.iam.gserviceaccount.com' },
    'email in upper case': { email: EMAIL.toUpperCase() },
    'email a list': { email: [EMAIL] },
    'email_verified missing': { email_verified: undefined },
    'email_verified false': { email_verified: false },
    'email_verified a text': { email_verified: 'true' },
  },
);

const OCTO = {
  iss: 'https://token.actions.githubusercontent.com',
  aud: AUDIENCE,
  sub: 'repo:octo/app:environment:prod',
  repository: 'octo/app',
  repository_id: '74',
  repository_owner: 'octo',
  repository_owner_id: '65',
  ref: 'refs/heads/main',
  environment: 'prod',
  event_name: 'push',
  job_workflow_ref: 'octo/app/.github/workflows/deploy.yml@refs/heads/main',
};
policy(
  'GitHub: claims that are not those of the repository',
  {
    issuer: { preset: 'github-actions' },
    oidc: {
      repositoryIds: ['74'],
      repositoryOwnerIds: ['65'],
      refs: ['refs/heads/main'],
      environments: ['prod'],
      events: ['push'],
      workflows: ['octo/app/.github/workflows/deploy.yml@refs/heads/main'],
    },
    claims: OCTO,
  },
  {
    'iss missing': { iss: undefined },
    'iss of an enterprise': { iss: 'https://token.actions.githubusercontent.com/octo' },
    'aud the default of the owner': { aud: 'https://github.com/octo' },
    'aud a list without ours': { aud: ['https://github.com/octo', 'sts.amazonaws.com'] },
    'repository_id missing': { repository_id: undefined },
    'repository_id of another': { repository_id: '75' },
    'repository_id with a prefix of it': { repository_id: '740' },
    'repository_id a number': { repository_id: 74 },
    'repository_id another, the name the same': { repository_id: '99', repository: 'octo/app' },
    'repository_owner_id missing': { repository_owner_id: undefined },
    'repository_owner_id of another': { repository_owner_id: '66' },
    'repository_owner_id with a zero in front': { repository_owner_id: '065' },
    'ref missing': { ref: undefined },
    'ref of a pull request': { ref: 'refs/pull/1/merge' },
    'ref with the branch as a prefix': { ref: 'refs/heads/main-2' },
    'ref in upper case': { ref: 'refs/heads/MAIN' },
    'environment missing': { environment: undefined },
    'environment another': { environment: 'staging' },
    'event_name of a pull request from a fork': { event_name: 'pull_request_target' },
    'job_workflow_ref on another branch': {
      job_workflow_ref: 'octo/app/.github/workflows/deploy.yml@refs/heads/x',
    },
  },
);

policy(
  'Kubernetes: claims that are not those of the service account',
  {
    issuer: { preset: 'kubernetes', allowPrivateAddresses: true },
    oidc: { serviceAccounts: ['build/runner'], namespaces: ['build'] },
    claims: {
      iss: 'https://kubernetes.default.svc.cluster.local',
      aud: [AUDIENCE],
      sub: 'system:serviceaccount:build:runner',
      'kubernetes.io': { namespace: 'build', serviceaccount: { name: 'runner', uid: 'u' } },
    },
  },
  {
    'iss of another cluster': { iss: 'https://oidc.other.example' },
    'aud of the API server': { aud: ['https://kubernetes.default.svc.cluster.local'] },
    'aud missing': { aud: undefined },
    'sub missing': { sub: undefined },
    'sub of another account': { sub: 'system:serviceaccount:build:default' },
    'sub of another namespace': { sub: 'system:serviceaccount:other:runner' },
    'sub longer': { sub: 'system:serviceaccount:build:runner:x' },
    'sub with a prefix of the name': { sub: 'system:serviceaccount:build:runner2' },
    'sub without the system prefix': { sub: 'build:runner' },
    'sub of a person': { sub: 'system:user:build:runner' },
    'sub with a slash': { sub: 'system:serviceaccount:build/runner' },
    'sub a list': { sub: ['system:serviceaccount:build:runner'] },
  },
);

policy(
  'generic: claims that are not those of the caller',
  {
    issuer: { issuer: 'https://id.example/realms/main' },
    oidc: { subjects: ['builder'], require: "claims.groups.exists(g, g == 'ops') && claims.mfa == true" },
    claims: {
      iss: 'https://id.example/realms/main',
      aud: AUDIENCE,
      sub: 'builder',
      groups: ['dev', 'ops'],
      mfa: true,
    },
  },
  {
    'iss of another realm': { iss: 'https://id.example/realms/other' },
    'iss of the host': { iss: 'https://id.example' },
    'iss in upper case': { iss: 'https://ID.example/realms/main' },
    'sub missing': { sub: undefined },
    'sub null': { sub: null },
    'sub longer': { sub: 'builder2' },
    'sub in upper case': { sub: 'Builder' },
    'groups missing': { groups: undefined },
    'groups without it': { groups: ['dev', 'ops2'] },
    'groups a number': { groups: 1 },
    'mfa a text': { mfa: 'true' },
    'mfa missing': { mfa: undefined },
  },
);

describe.each(POLICIES)('$name', ({ of, refused }) => {
  let verify: Verify;
  beforeAll(async () => void (verify = await verifierOf(of)));

  const present = async (change: Change): Promise<unknown> => {
    const claims = JSON.stringify({ ...of.claims, iat: NOW - 5, exp: NOW + 300, ...change });
    const token = signRaw('{"alg":"RS256","kid":"one","typ":"JWT"}', claims, 'RS256', key.privateKey);
    const headers = new Headers({ authorization: `Bearer ${token}` });
    return (await verify({ headers, body: new Uint8Array(0) })).ok;
  };

  test('the real claims pass', async () => {
    expect(await present({})).toBe(true);
  });
  test.each(Object.entries(refused))('refuses: %s', async (_name, change) => {
    expect(await present(change)).toBe(false);
  });
});

test('of Google 16, of GitHub 20, of Kubernetes and others 12 each', () => {
  expect(POLICIES.map(({ refused }) => Object.keys(refused).length)).toEqual([16, 20, 12, 12]);
});

test('anyone: every token of the issuer for the audience, and no other', async () => {
  const issuer = { issuer: 'https://id.example' };
  const claims = { iss: 'https://id.example', aud: AUDIENCE };
  const verify = await verifierOf({ issuer, oidc: { anyone: true }, claims });
  const present = async (change: JsonObject) => {
    const text = JSON.stringify({ ...claims, iat: NOW, exp: NOW + 60, ...change });
    const token = signRaw('{"alg":"RS256","kid":"one"}', text, 'RS256', key.privateKey);
    return (
      await verify({ headers: new Headers({ authorization: `Bearer ${token}` }), body: new Uint8Array(0) })
    ).ok;
  };
  expect(await present({})).toBe(true);
  expect(await present({ aud: 'x' })).toBe(false);
});

/** As repositories had it, as those made or renamed since July 2026 have it, and as an owner may compose it. */
const SUBJECTS = [
  'repo:octo/app:environment:prod',
  'repo:octo@65/app@74:environment:prod',
  'repository_owner_id:65:job_workflow_ref:octo/app/.github/workflows/deploy.yml@refs/heads/main',
];
describe.each(SUBJECTS)('GitHub, where the subject of a token is %s', (sub) => {
  const present = async (oidc: Case['oidc']) => {
    const verify = await verifierOf({ issuer: { preset: 'github-actions' }, oidc, claims: OCTO });
    const text = JSON.stringify({ ...OCTO, sub, iat: NOW, exp: NOW + 60 });
    const token = signRaw('{"alg":"RS256","kid":"one"}', text, 'RS256', key.privateKey);
    const headers = new Headers({ authorization: `Bearer ${token}` });
    return (await verify({ headers, body: new Uint8Array(0) })).ok;
  };
  test('the numbers of the repository and its owner decide all the same', async () => {
    expect(await present({ repositoryIds: ['74'], environments: ['prod'] })).toBe(true);
    expect(await present({ repositoryOwnerIds: ['65'] })).toBe(true);
    expect(await present({ repositoryIds: ['75'] })).toBe(false);
  });
  test('subjects must list it as it is', async () => {
    expect(await present({ subjects: [sub] })).toBe(true);
    expect(await present({ subjects: SUBJECTS.filter((other) => other !== sub) })).toBe(false);
  });
});

test('a check without any condition is not made, whoever wrote it', async () => {
  const specs = new Map([['main', issuerSpec({ jwks: { keys: [key.jwk] } })]]);
  const fetch = () => Promise.reject(new Error('no network here'));
  const issuers = new Issuers({ specs, fetch, clock, log: new FakeLog() });
  const deps = { issuers, secrets: nameIsValue, clock, expressions: createExpressions() };
  const made = compileVerify({ oidc: { issuer: 'main', audience: AUDIENCE } }, deps);
  await expect(made).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});
