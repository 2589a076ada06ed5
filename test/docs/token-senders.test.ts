import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { AuthSpec, OidcSpec } from '../../src/core/auth.ts';
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

/** Of a page, those in one language: `yaml` is our configuration, the others are the sender's. */
function blocksOf(page: string, language: 'yaml' | 'yml' | 'sh'): string[] {
  const text = readFileSync(new URL(`../../docs/webhooks/${page}.md`, import.meta.url), 'utf8');
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, of, body = '']) =>
    of === language ? [body] : [],
  );
}

async function start(page: string, block = 0, change = (text: string): string => text): Promise<ReloadRig> {
  const blocks = blocksOf(page, 'yaml');
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

describe('docs/webhooks/eventarc.md', () => {
  const type = 'google.cloud.dataflow.job.v1beta3.statusChanged';
  const source = '//dataflow.googleapis.com/projects/my-project/locations/europe-west1/jobs/job-1';
  const sender: Sender = {
    trigger: 'on-dataflow',
    claims: {
      iss: 'https://accounts.google.com',
      aud: 'https://tappet.example.com/hooks/on-dataflow',
      sub: '107517467455664443766',
      email: 'eventarc-caller@my-project.iam.gserviceaccount.com',
      email_verified: true,
    },
    data: { payload: { id: 'job-1', name: 'nightly-sales', currentState: 'JOB_STATE_DONE' } },
    headers: {
      'ce-specversion': '1.0',
      'ce-id': '9f8e-1',
      'ce-source': source,
      'ce-type': type,
      'ce-time': '2026-01-01T00:00:00Z',
      'ce-dataflowjobname': 'nightly-sales',
    },
  };
  const events = async (rig: ReloadRig) => (await rig.store.listEvents({}, { size: 10 })).items;

  it('starts the job once for a CloudEvent in binary mode, however often it is sent, and for nobody else', async () => {
    const rig = await start('eventarc');
    await refuses(rig, sender, [
      { email: 'other@my-project.iam.gserviceaccount.com' },
      { email_verified: false },
      { aud: 'https://tappet.example.com' },
    ]);
    expect(await events(rig)).toEqual([]);
    const answer = await call(rig, sender);
    expect(answer).toMatchObject({ status: 202, executions: [expect.stringMatching(/^report-/)] });
    expect(await envOf(rig, answer)).toMatchObject({ TYPE: type, JOB: 'nightly-sales' });
    expect(await call(rig, sender)).toEqual(answer);
    const stored = { event: { id: '9f8e-1', type, source, data: sender.data }, duplicates: 1 };
    expect(await events(rig)).toMatchObject([stored]);
    expect((await rig.store.listExecutions({}, { size: 10 })).items).toHaveLength(1);
  });

  it('takes what else its bus has, and starts nothing for it', async () => {
    const rig = await start('eventarc');
    const finalized = 'google.cloud.storage.object.v1.finalized';
    const headers = { ...sender.headers, 'ce-type': finalized, 'ce-subject': 'objects/a.csv' };
    const answer = await call(rig, { ...sender, headers, data: { bucket: 'b', name: 'a.csv' } });
    expect(answer).toMatchObject({ status: 202, outcome: 'filtered', executions: [] });
    expect(await events(rig)).toMatchObject([{ event: { type: finalized, subject: 'objects/a.csv' } }]);
  });
});

/** What a shell makes of a page's commands: the arguments of each program that they call. */
function argumentsOf(script: string, env: Record<string, string> = {}): string[] {
  const programs = ['gcloud', 'curl', 'kubectl', 'gh'].map(
    (name) => `${name}() { printf '%s\\n' "$@" >&2; }`,
  );
  const others = 'jq() { echo a-token; }; cat() { echo "what is in $1"; }';
  const text = [...programs, others, script].join('\n');
  const { status, stderr } = spawnSync('/bin/sh', ['-euc', text], { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stderr.split('\n');
}
/** The value of the one argument that begins so. */
function valueOf(all: readonly string[], begin: string): string {
  const found = all.filter((one) => one.startsWith(begin));
  if (found.length !== 1) throw new Error(`${found.length} of ${begin} in ${all.join('\n')}`);
  return String(found[0]).slice(begin.length);
}

interface Half {
  readonly address: string;
  readonly audience: string | readonly string[];
  /** Whose token it is, in the words of the trigger's condition. */
  readonly caller: string | undefined;
}

function scheduler(): Half {
  const all = argumentsOf(blocksOf('cloud-scheduler', 'sh').join(''));
  const caller = valueOf(all, '--oidc-service-account-email=');
  return { address: valueOf(all, '--uri='), audience: valueOf(all, '--oidc-token-audience='), caller };
}
function pubsub(): Half {
  const all = argumentsOf(blocksOf('pubsub', 'sh').join(''));
  const audience = valueOf(all, '--push-auth-token-audience=');
  const caller = valueOf(all, '--push-auth-service-account=');
  return { address: valueOf(all, '--push-endpoint='), audience, caller };
}
function eventarc(): Half {
  const all = argumentsOf(blocksOf('eventarc', 'sh').join(''));
  const settings = valueOf(all, '--destinations=').split(',');
  const caller = valueOf(settings, 'google_oidc_authentication_service_account=');
  const audience = valueOf(settings, 'google_oidc_authentication_audience=');
  return { address: valueOf(settings, 'http_endpoint_uri='), audience, caller };
}
function githubActions(): Half {
  const [workflow] = blocksOf('github-actions', 'yml').map((text) => parse(text) as Workflow);
  const { deploy } = workflow?.jobs ?? {};
  const [step] = deploy?.steps ?? [];
  const runner = Object.fromEntries(
    ['ACTIONS_ID_TOKEN_REQUEST_TOKEN', 'GITHUB_RUN_ID', 'GITHUB_RUN_ATTEMPT', 'GITHUB_SHA'].map((name) => [
      name,
      '1',
    ]),
  );
  const asked = 'https://runner.example/token';
  const all = argumentsOf(step?.run ?? '', { ...runner, ACTIONS_ID_TOKEN_REQUEST_URL: asked, ...step?.env });
  expect(all).toContain('Authorization: Bearer a-token');
  const address = `https:${valueOf(
    all.filter((one) => one !== asked),
    'https:',
  )}`;
  return { address, audience: valueOf(all, 'audience='), caller: deploy?.environment };
}
interface Workflow {
  readonly jobs: Record<
    string,
    {
      readonly environment: string;
      readonly steps: readonly { readonly env: Record<string, string>; readonly run: string }[];
    }
  >;
}
function kubernetes(part: 'account' | 'namespace'): Half {
  const [cron] = blocksOf('kubernetes', 'yml').map((text) => parse(text) as CronJob);
  if (cron === undefined) throw new TypeError('the page has a CronJob');
  const { serviceAccountName, containers, volumes } = cron.spec.jobTemplate.spec.template.spec;
  const [container] = containers;
  const { path, audience } = volumes[0]?.projected.sources[0]?.serviceAccountToken ?? {};
  const all = argumentsOf(container?.args[0] ?? '');
  expect(all).toContain(`Authorization: Bearer what is in ${container?.volumeMounts[0]?.mountPath}/${path}`);
  const { namespace } = cron.metadata;
  const caller = part === 'account' ? `${namespace}/${serviceAccountName}` : namespace;
  return { address: `https:${valueOf(all, 'https:')}`, audience: audience ?? '', caller };
}
interface CronJob {
  readonly metadata: { readonly namespace: string };
  readonly spec: { readonly jobTemplate: { readonly spec: { readonly template: { readonly spec: Pod } } } };
}
interface Pod {
  readonly serviceAccountName: string;
  readonly containers: readonly {
    readonly args: readonly string[];
    readonly volumeMounts: readonly { readonly mountPath: string }[];
  }[];
  readonly volumes: readonly {
    readonly projected: {
      readonly sources: readonly {
        readonly serviceAccountToken: { readonly path: string; readonly audience: string };
      }[];
    };
  }[];
}

function oidcOf(auth: AuthSpec | undefined): OidcSpec {
  if (typeof auth !== 'object' || !('oidc' in auth)) throw new TypeError('the trigger takes tokens');
  return auth.oidc;
}
function callerOf(oidc: OidcSpec): string | undefined {
  const { emails, serviceAccounts, namespaces, environments, require = '' } = oidc;
  const [listed] = emails ?? serviceAccounts ?? namespaces ?? environments ?? [];
  return listed ?? /claims\.email == '([^']+)'/.exec(require)?.[1];
}

describe("the sender's settings", () => {
  it.each<[string, number, () => Half]>([
    ['github-actions', 0, githubActions],
    ['cloud-scheduler', 0, scheduler],
    ['pubsub', 0, pubsub],
    ['eventarc', 0, eventarc],
    ['kubernetes', 0, () => kubernetes('account')],
    ['kubernetes', 1, () => kubernetes('namespace')],
  ])(
    'docs/webhooks/%s.md (%i): the address of the trigger, its audience, and whom it lets in',
    async (page, block, theirs) => {
      const rig = await start(page, block);
      const ours = Array.from(rig.current.triggers.values(), ({ name, source }): Half => {
        const oidc = oidcOf(source.kind === 'webhook' ? source.auth : undefined);
        const address = `https://tappet.example.com/hooks/${name}`;
        return { address, audience: oidc.audience, caller: callerOf(oidc) };
      });
      expect(ours).toEqual([theirs()]);
      expect(ours[0]?.caller).toMatch(/./);
    },
  );
});
