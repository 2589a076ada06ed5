import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { ReloadRig } from '../support/reload-rig.ts';
import { makeKey, signRaw, type TestKey } from '../support/tokens.ts';

const RS256 = makeKey('RS256', 'rsa-key');
const ES256 = makeKey('ES256', 'ec-key');

/** The keys of a page's issuer, at the addresses at which the real one has them; everything else is not there. */
const SITES: Readonly<Record<string, JsonObject>> = {
  'https://www.googleapis.com/oauth2/v3/certs': { keys: [RS256.jwk] },
  ...discovered('https://token.actions.githubusercontent.com', '/.well-known/jwks'),
  ...discovered('https://oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF', '/keys'),
};

function discovered(issuer: string, path: string): Record<string, JsonObject> {
  const document = { issuer, jwks_uri: `${issuer}${path}` };
  return {
    [`${issuer}/.well-known/openid-configuration`]: document,
    [document.jwks_uri]: { keys: [RS256.jwk, ES256.jwk] },
  };
}

async function start(page: string, block = 0, change = (text: string): string => text): Promise<ReloadRig> {
  const text = readFileSync(new URL(`../../docs/webhooks/${page}.md`, import.meta.url), 'utf8');
  const blocks = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, body = '']) => body);
  const fetch = async (url: string): Promise<Response> => {
    const found = SITES[url];
    return found === undefined ? new Response(null, { status: 404 }) : Response.json(found);
  };
  return ReloadRig.start({ 'tappet.yaml': change(blocks[block] ?? '') }, {}, { fetch });
}

/** Who calls, with what, by a token of the page's issuer. */
interface Sender {
  readonly trigger: string;
  readonly claims: JsonObject;
  readonly data: JsonObject;
  readonly headers?: Record<string, string>;
  readonly key?: TestKey;
}

function call(
  rig: ReloadRig,
  { trigger, claims, data, headers, key = RS256 }: Sender,
  change: JsonObject = {},
) {
  const now = Math.floor(rig.clock.now() / 1000);
  const payload = JSON.stringify({ iat: now, nbf: now - 5, exp: now + 600, ...claims, ...change });
  const head = JSON.stringify({ alg: key.alg, kid: key.kid, typ: 'JWT' });
  const token = signRaw(head, payload, key.alg, key.privateKey);
  return rig.call(trigger, data, { authorization: `Bearer ${token}`, ...headers });
}

/** What the job of the only execution is given. */
async function envOf(rig: ReloadRig, answer: Awaited<ReturnType<typeof call>>): Promise<unknown> {
  const execution = await rig.store.getExecution(answer?.executions?.[0] ?? '');
  return execution?.spec.env;
}

async function refuses(rig: ReloadRig, sender: Sender, changes: readonly JsonObject[]): Promise<void> {
  for (const change of changes) expect((await call(rig, sender, change))?.status).toBe(401);
}

describe('docs/webhooks/github-actions.md', () => {
  const sender: Sender = {
    trigger: 'deploy',
    claims: {
      iss: 'https://token.actions.githubusercontent.com',
      aud: 'https://tappet.example.com/hooks/deploy',
      sub: 'repo:octo/app:environment:production',
      repository: 'octo/app',
      repository_id: '1296269',
      repository_owner_id: '583231',
      ref: 'refs/heads/main',
      environment: 'production',
      event_name: 'push',
      sha: '6113728f27ae82c7b1a177c8d03f9e96e0adf246',
      actor: 'octocat',
    },
    data: { image: 'ghcr.io/octo/app:6113728' },
    headers: { 'idempotency-key': '123-1' },
  };

  it('starts the job for a run of the repository, with what the token says, and for nobody else', async () => {
    const rig = await start('github-actions');
    const answer = await call(rig, sender);
    expect(answer).toMatchObject({ status: 202, executions: [expect.stringMatching(/^deploy-/)] });
    expect(await envOf(rig, answer)).toMatchObject({
      IMAGE: 'ghcr.io/octo/app:6113728',
      COMMIT: '6113728f27ae82c7b1a177c8d03f9e96e0adf246',
      ACTOR: 'octocat',
    });
    await refuses(rig, sender, [
      { repository_id: '1296270' },
      { ref: 'refs/heads/other' },
      { environment: 'staging' },
      { aud: 'https://github.com/octo' },
    ]);
    expect((await call(rig, { ...sender, headers: {} }, { event_name: 'schedule' }))?.outcome).toBe(
      'filtered',
    );
  });
});

describe('docs/webhooks/cloud-scheduler.md', () => {
  const sender: Sender = {
    trigger: 'nightly',
    claims: {
      iss: 'https://accounts.google.com',
      aud: 'https://tappet.example.com/hooks/nightly',
      azp: '107517467455664443766',
      sub: '107517467455664443766',
      email: 'tappet-caller@my-project.iam.gserviceaccount.com',
      email_verified: true,
    },
    data: { report: 'sales' },
    headers: { 'x-cloudscheduler': 'true', 'x-cloudscheduler-scheduletime': '2026-01-01T01:30:00Z' },
  };

  it('starts the job once a slot, for the service account, and for nobody else', async () => {
    const rig = await start('cloud-scheduler');
    const answer = await call(rig, sender);
    expect(answer).toMatchObject({ status: 202, executions: [expect.stringMatching(/^report-/)] });
    expect(await envOf(rig, answer)).toMatchObject({ REPORT: 'sales', DUE: '2026-01-01T01:30:00Z' });
    expect((await call(rig, sender))?.executions).toEqual(answer?.executions);
    const next = { ...sender.headers, 'x-cloudscheduler-scheduletime': '2026-01-02T01:30:00Z' };
    expect((await call(rig, { ...sender, headers: next }))?.executions).not.toEqual(answer?.executions);
    await refuses(rig, sender, [
      { email: 'other@my-project.iam.gserviceaccount.com' },
      { email_verified: false },
      { aud: 'https://tappet.example.com' },
    ]);
  });
});

describe('docs/webhooks/kubernetes.md', () => {
  const claims = {
    aud: ['https://tappet.example.com/hooks/import'],
    sub: 'system:serviceaccount:shop:orders',
    'kubernetes.io': { namespace: 'shop', serviceaccount: { name: 'orders' }, pod: { name: 'call-1' } },
  };

  it('starts the job for the service account of a managed cluster, and for nobody else', async () => {
    const rig = await start('kubernetes');
    const iss = 'https://oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF';
    const sender = { trigger: 'import', claims: { ...claims, iss }, data: { day: 'today' } };
    const answer = await call(rig, sender);
    expect(answer).toMatchObject({ status: 202, executions: [expect.stringMatching(/^import-/)] });
    expect(await envOf(rig, answer)).toMatchObject({ DAY: 'today', NAMESPACE: 'shop' });
    await refuses(rig, sender, [
      { sub: 'system:serviceaccount:shop:default' },
      { sub: 'system:serviceaccount:other:orders' },
      { aud: ['https://kubernetes.default.svc'] },
      { iss: 'https://oidc.eks.eu-central-1.amazonaws.com/id/FEDCBA9876543210' },
    ]);
  });

  it('with keys that are written down, starts it for any service account of the namespace', async () => {
    // As it stands there it can be used; for a token, the key has to be one that the test can sign with.
    await start('kubernetes', 1);
    const ours = (text: string) => text.replace(/jwks: .*/, `jwks: ${JSON.stringify({ keys: [ES256.jwk] })}`);
    const rig = await start('kubernetes', 1, ours);
    const iss = 'https://kubernetes.default.svc.cluster.local';
    const sender = { trigger: 'import', claims: { ...claims, iss }, data: { day: 'today' }, key: ES256 };
    expect(await call(rig, sender)).toMatchObject({ status: 202 });
    expect(await call(rig, sender, { sub: 'system:serviceaccount:shop:other' })).toMatchObject({
      status: 202,
    });
    await refuses(rig, sender, [{ sub: 'system:serviceaccount:shop2:orders' }, { sub: 'shop/orders' }]);
    expect((await call(rig, { ...sender, key: RS256 }))?.status).toBe(401);
  });
});
