import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { sign as signLikeGitHub } from '@octokit/webhooks-methods';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { ReloadRig } from '../support/reload-rig.ts';

/** The configurations of a page, loaded as they stand there and called as its sender calls. */
const pageOf = (name: string): string =>
  readFileSync(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8');
const blocksOf = (name: string): string[] =>
  [...pageOf(name).matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text);

const SECRET = 'the secret of both sides'.replaceAll(' ', '-');
const STANDARD = `whsec_${Buffer.alloc(32, 3).toString('base64')}`;
const ENV = {
  GITHUB_WEBHOOK_SECRET: SECRET,
  STRIPE_SIGNING_SECRET: SECRET,
  SLACK_SIGNING_SECRET: SECRET,
  GITLAB_WEBHOOK_TOKEN: SECRET,
  GITLAB_SIGNING_TOKEN: STANDARD,
  NEW_SECRET: 'new',
  OLD_SECRET: 'old',
  CI_PASSWORD: 'pass word',
  ZOOM_SECRET: SECRET,
  STANDARD_SECRET: STANDARD,
};
const start = (page: string, block = 0): Promise<ReloadRig> =>
  ReloadRig.start({ 'tappet.yaml': blocksOf(`webhooks/${page}`)[block] ?? '' }, ENV);

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly body: JsonObject;
}
async function post(
  rig: ReloadRig,
  trigger: string,
  headers: Record<string, string>,
  body: string,
  remoteAddress = '192.0.2.1',
): Promise<Answer> {
  const request = new Request(`https://tappet.example.com/hooks/${trigger}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
  const response = await rig.sources.handle(`trigger/${trigger}`, request, { remoteAddress });
  if (response === undefined) throw new TypeError(`there is no trigger ${trigger}`);
  const text = await response.text();
  return {
    status: response.status,
    text,
    body: text.startsWith('{') ? (JSON.parse(text) as JsonObject) : {},
  };
}
const started = (job: string) => ({
  status: 202,
  body: { duplicate: false, executions: [expect.stringMatching(new RegExp(`^${job}-`))] },
});
const hex = (text: string, secret = SECRET): string =>
  createHmac('sha256', secret).update(text).digest('hex');
const seconds = (rig: ReloadRig): string => String(Math.floor(rig.clock.now() / 1000));

/** Neither a wrong secret nor another body gets in. */
async function refusesStrangers(send: (secret: string, body?: string) => Promise<Answer>): Promise<void> {
  expect((await send('another secret')).status).toBe(401);
  expect((await send(SECRET, '{"not":"what was signed"}')).status).toBe(401);
}

describe('docs/webhooks/github.md', () => {
  const push = JSON.stringify({
    ref: 'refs/heads/main',
    after: '6113728f27ae82c7b1a177c8d03f9e96e0adf246',
    repository: { full_name: 'octo/hello' },
  });
  const send = async (rig: ReloadRig, body: string, secret = SECRET, delivered = body) =>
    post(
      rig,
      'on-push',
      {
        'x-github-event': 'push',
        'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
        'x-hub-signature-256': await signLikeGitHub(secret, body),
      },
      delivered,
    );

  it('starts the job for a push to main, once however often it is delivered, and for nobody else', async () => {
    const rig = await start('github');
    expect(await send(rig, push)).toMatchObject(started('build'));
    expect(await send(rig, push)).toMatchObject({ status: 202, body: { duplicate: true } });
    await refusesStrangers((secret, body) => send(rig, push, secret, body));
  });
  it('starts nothing for the ping', async () => {
    const answer = await send(await start('github'), '{"zen":"Keep it logically awesome.","hook_id":1}');
    expect(answer).toMatchObject({ status: 202, body: { decisions: [{ outcome: 'filtered' }] } });
  });
});

describe('docs/webhooks/stripe.md', () => {
  const session = { id: 'cs_1', payment_status: 'paid', amount_total: 4200 };
  const paid = JSON.stringify({
    id: 'evt_1',
    type: 'checkout.session.completed',
    data: { object: session },
  });
  const send = (rig: ReloadRig, secret = SECRET, delivered = paid) => {
    const time = seconds(rig);
    const signature = `t=${time},v1=${hex(`${time}.${paid}`, secret)},v0=${'0'.repeat(64)}`;
    return post(rig, 'paid', { 'stripe-signature': signature }, delivered);
  };

  it('starts the job once, however often and late the event is sent again, and for nobody else', async () => {
    const rig = await start('stripe');
    expect(await send(rig)).toMatchObject(started('ship'));
    await rig.clock.advance(3 * 24 * 60 * 60_000);
    expect(await send(rig)).toMatchObject({ status: 202, body: { duplicate: true } });
    await refusesStrangers((secret, body) => send(rig, secret, body));
  });
});

describe('docs/webhooks/slack.md', () => {
  const send = (
    rig: ReloadRig,
    trigger: string,
    body: string,
    { secret = SECRET, delivered = body, type = 'application/json' } = {},
  ) => {
    const time = seconds(rig);
    const signature = `v0=${hex(`v0:${time}:${body}`, secret)}`;
    const headers = {
      'x-slack-request-timestamp': time,
      'x-slack-signature': signature,
      'content-type': type,
    };
    return post(rig, trigger, headers, delivered);
  };

  it('answers what Slack asks of a new address, to Slack alone', async () => {
    const rig = await start('slack');
    const asked =
      '{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}';
    const answer = await send(rig, 'mention', asked);
    expect(answer).toMatchObject({
      status: 200,
      text: '3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P',
    });
    expect((await send(rig, 'mention', asked, { secret: 'another' })).status).toBe(401);
  });
  it('starts the job of a message once, and for nobody else', async () => {
    const rig = await start('slack');
    const mention = JSON.stringify({
      type: 'event_callback',
      event_id: 'Ev0PV52K21',
      event: { type: 'app_mention', user: 'U1', text: '<@U2> hi' },
    });
    expect(await send(rig, 'mention', mention)).toMatchObject(started('answer'));
    expect(await send(rig, 'mention', mention)).toMatchObject({ status: 202, body: { duplicate: true } });
    await refusesStrangers((secret, delivered) =>
      send(rig, 'mention', mention, { secret, ...(delivered === undefined ? {} : { delivered }) }),
    );
  });
  it('answers a command with 200 and starts its job, for nobody else', async () => {
    const rig = await start('slack');
    const type = 'application/x-www-form-urlencoded';
    const command = 'command=%2Fdeploy&text=staging&user_id=U1&trigger_id=13345224609.738474920';
    expect(await send(rig, 'deploy-command', command, { type })).toMatchObject({
      status: 200,
      text: 'On it: staging',
    });
    const { items } = await rig.store.listExecutions({}, { size: 10 });
    expect(items).toMatchObject([{ job: 'deploy' }]);
    await refusesStrangers((secret, delivered) =>
      send(rig, 'deploy-command', command, {
        type,
        secret,
        ...(delivered === undefined ? {} : { delivered }),
      }),
    );
  });
});

describe('docs/webhooks/gitlab.md', () => {
  const push = JSON.stringify({
    object_kind: 'push',
    ref: 'refs/heads/main',
    after: 'da1560886d4f094c3e6c9ef40349f7d38b5d27d7',
    project: { path_with_namespace: 'mike/diaspora' },
  });

  it('starts the job for a push to main, once, and for nobody else', async () => {
    const rig = await start('gitlab');
    const send = (token: string) =>
      post(
        rig,
        'on-push',
        { 'x-gitlab-token': token, 'x-gitlab-event': 'Push Hook', 'idempotency-key': 'k-1' },
        push,
      );
    expect(await send(SECRET)).toMatchObject(started('build'));
    expect(await send(SECRET)).toMatchObject({ status: 202, body: { duplicate: true } });
    expect((await send('another')).status).toBe(401);
  });
  it('with a signing token: starts the job once, by the signed id, and for nobody else', async () => {
    const rig = await start('gitlab', 1);
    const send = (secret: string, delivered = push, key = 'k-1') =>
      post(
        rig,
        'on-push',
        {
          'idempotency-key': key,
          'webhook-id': 'k-1',
          'webhook-timestamp': seconds(rig),
          'webhook-signature': new Webhook(secret).sign('k-1', new Date(rig.clock.now()), push),
        },
        delivered,
      );
    expect(await send(STANDARD)).toMatchObject(started('build'));
    // Whoever repeats a call cannot give it another name.
    expect(await send(STANDARD, push, 'k-2')).toMatchObject({ status: 202, body: { duplicate: true } });
    expect((await send(`whsec_${Buffer.alloc(32, 4).toString('base64')}`)).status).toBe(401);
    expect((await send(STANDARD, '{}')).status).toBe(401);
  });
});

describe('each page', () => {
  it.each(['github', 'stripe', 'slack', 'gitlab'])(
    '%s names the address of each of its triggers',
    async (name) => {
      const rig = await start(name);
      for (const trigger of rig.current.triggers.keys())
        expect(pageOf(`webhooks/${name}`)).toContain(`https://tappet.example.com/hooks/${trigger}`);
    },
  );
});

describe('docs/callers.md', () => {
  const startBlock = (i: number): Promise<ReloadRig> =>
    ReloadRig.start({ 'tappet.yaml': blocksOf('callers')[i] ?? '' }, ENV);

  it('two senders: by either secret, or by the password from the right network', async () => {
    const rig = await startBlock(0);
    const basic = { authorization: `Basic ${Buffer.from('ci:pass word').toString('base64')}` };
    const send = async (headers: Record<string, string>, from: string): Promise<number> =>
      (await post(rig, 'from-two-senders', headers, '{}', from)).status;
    for (const [secret, status] of [
      ['new', 202],
      ['old', 202],
      ['older', 401],
    ] as const) {
      expect(await send({ 'x-hub-signature-256': `sha256=${hex('{}', secret)}` }, '203.0.113.9')).toBe(
        status,
      );
    }
    expect(await send(basic, '192.0.2.77')).toBe(202);
    expect(await send(basic, '2001:db8::77')).toBe(202);
    expect(await send(basic, '203.0.113.9')).toBe(401);
  });

  it("a sender's own way to sign a time, and Standard Webhooks", async () => {
    const rig = await startBlock(1);
    const zoom = (time: string, secret = SECRET) =>
      post(
        rig,
        'from-zoom',
        { 'x-zm-request-timestamp': time, 'x-zm-signature': `v0=${hex(`v0:${time}:{}`, secret)}` },
        '{}',
      );
    expect((await zoom(seconds(rig))).status).toBe(202);
    expect((await zoom(seconds(rig), 'another')).status).toBe(401);
    expect((await zoom(String(Number(seconds(rig)) - 301))).status).toBe(401);
    const standard = (ageMs: number) => {
      const time = new Date(rig.clock.now() - ageMs);
      const headers = {
        'webhook-id': 'm',
        'webhook-timestamp': String(Math.floor(time.getTime() / 1000)),
        'webhook-signature': new Webhook(STANDARD).sign('m', time, '{}'),
      };
      return post(rig, 'standard', headers, '{}');
    };
    expect((await standard(120_000)).status).toBe(202);
    expect((await standard(122_000)).status).toBe(401);
  });

  it('a certificate, by the word of the proxy alone', async () => {
    const rig = await startBlock(2);
    const send = async (subject: string, from: string): Promise<number> =>
      (await post(rig, 'from-robot', { 'x-client-subject': subject }, '{}', from)).status;
    expect(await send('CN=robot,O=Example', '::1')).toBe(202);
    expect(await send('CN=other,O=Example', '::1')).toBe(401);
    expect(await send('CN=robot,O=Example', '192.0.2.1')).toBe(401);
  });
});

it('headers say what happened where the way that lets a call in vouches for them', async () => {
  const auth = {
    anyOf: [{ hmac: { scheme: 'github', secret: { env: 'OLD_SECRET' } } }, { addresses: ['::1'] }],
  };
  const trigger = { source: { kind: 'webhook', auth }, when: "event.type == 'a.b'", run: { job: 'j' } };
  const rig = await ReloadRig.start(
    { 'tappet.json': { jobs: { j: { image: 'x' } }, triggers: { t: trigger } } },
    ENV,
  );
  const ce = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/x', 'ce-type': 'a.b' };
  const signature = { 'x-hub-signature-256': `sha256=${hex('{}', 'old')}` };
  expect((await post(rig, 't', { ...ce, ...signature }, '{}')).body).toMatchObject({
    decisions: [{ outcome: 'filtered' }],
  });
  expect((await post(rig, 't', { ...ce, 'ce-id': '2' }, '{}', '::1')).body).toMatchObject({
    decisions: [{ outcome: 'matched' }],
  });
});
