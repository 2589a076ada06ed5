import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bearerVerifier } from '../../../src/auth/shared-secret.ts';
import type { Verify } from '../../../src/core/auth.ts';
import type { WebhookSourceSpec } from '../../../src/core/config.ts';
import { SecretValue } from '../../../src/core/secrets.ts';
import { createWebhookSource } from '../../../triggers/webhook/source.ts';
import { ReloadRig } from '../../support/reload-rig.ts';
import { Context } from '../../support/webhook-context.ts';

const TOKEN = 'the-verify-token';
const SIGNED = { hmac: { scheme: 'slack', secret: { env: 'S' }, toleranceMs: 1 } } as const;

class Asked extends Context {
  readonly verifyChallenge: Verify = bearerVerifier(new SecretValue(TOKEN));
}

async function ask(
  challenge: NonNullable<WebhookSourceSpec['challenge']> | undefined,
  request: { method?: string; query?: string; body?: string },
  signed = true,
): Promise<{ status: number; type: string | null; text: string; stored: number }> {
  const context = new Asked(signed ? { ok: true, claims: {} } : { ok: false, reason: 'no signature' });
  const spec = { kind: 'webhook', auth: SIGNED, ...(challenge === undefined ? {} : { challenge }) } as const;
  const source = createWebhookSource({ name: 'call', spec });
  await source.start(context);
  const { method = 'POST', query = '', body } = request;
  const init = {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body }),
  };
  const url = `http://127.0.0.1/hooks/call${query}`;
  const response = await source.handle?.(new Request(url, init), { remoteAddress: '127.0.0.1' });
  if (response === undefined) throw new TypeError('it handles calls');
  const type = response.headers.get('content-type');
  return { status: response.status, type, text: await response.text(), stored: context.events.length };
}
const ANSWERED = { status: 200, type: 'text/plain; charset=utf-8', stored: 0 };
const meta = { meta: { verifyToken: { env: 'M' } } } as const;
const slackBody = JSON.stringify({ token: 'x', challenge: '3eZbrw1aBm2rZgRNFdxV', type: 'url_verification' });

describe('slack', () => {
  it('hears its challenge where it signs as for events', async () => {
    expect(await ask('slack', { body: slackBody })).toEqual({ ...ANSWERED, text: '3eZbrw1aBm2rZgRNFdxV' });
  });
  it('hears nothing where it does not', async () => {
    expect(await ask('slack', { body: slackBody }, false)).toMatchObject({ status: 401, stored: 0 });
  });
  it('sends events as ever', async () => {
    const body = JSON.stringify({ type: 'event_callback', challenge: 'x' });
    expect(await ask('slack', { body })).toMatchObject({ status: 202, stored: 1 });
    expect(await ask(undefined, { body: slackBody })).toMatchObject({ status: 202, stored: 1 });
    expect(await ask('slack', { body: 'not JSON' })).toMatchObject({ status: 400, stored: 0 });
  });
});

describe('meta', () => {
  const query = (token: string) =>
    `?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=${encodeURIComponent(token)}`;
  it('hears its challenge where it knows the token', async () => {
    expect(await ask(meta, { method: 'GET', query: query(TOKEN) }, false)).toEqual({
      ...ANSWERED,
      text: '1158201444',
    });
  });
  it.each([
    ['another token', { method: 'GET', query: query('wrong') }],
    ['no token', { method: 'GET', query: '?hub.mode=subscribe&hub.challenge=1' }],
    ['an empty token', { method: 'GET', query: query('') }],
    ['a token that no header can carry', { method: 'GET', query: query('a\nb') }],
    ['another mode', { method: 'GET', query: query(TOKEN).replace('subscribe', 'unsubscribe') }],
    ['another method', { method: 'POST', query: query(TOKEN), body: '{}' }],
  ])('hears 401 with %s', async (_name, request) => {
    expect(await ask(meta, request, false)).toMatchObject({ status: 401, stored: 0 });
  });
  it('is asked of nobody else', async () => {
    expect((await ask('slack', { method: 'GET', query: query(TOKEN) }, false)).status).toBe(401);
  });
});

describe('meta, as the configuration has it', () => {
  const triggers = (env: string) => ({
    'tappet.json': {
      jobs: { work: { image: 'busybox:1' } },
      triggers: {
        call: {
          source: {
            kind: 'webhook',
            auth: { hmac: { scheme: 'github', secret: { env: 'APP_SECRET' } } },
            challenge: { meta: { verifyToken: { env } } },
          },
          run: { job: 'work' },
        },
      },
    },
  });
  const ENV = { APP_SECRET: 'the-secret-of-the-app', META_TOKEN: TOKEN, NEW_TOKEN: 'the-newer-verify-token' };
  async function asked(rig: ReloadRig, token: string): Promise<readonly [number | undefined, string]> {
    const query = `hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=${token}`;
    const request = new Request(`http://127.0.0.1/hooks/call?${query}`);
    const response = await rig.sources.handle('trigger/call', request, { remoteAddress: '192.0.2.1' });
    return [response?.status, response?.status === 200 ? await response.text() : ''];
  }

  it('hears its challenge for the token of the environment, and for no other secret', async () => {
    const rig = await ReloadRig.start(triggers('META_TOKEN'), ENV);
    expect(await asked(rig, TOKEN)).toEqual([200, '1158201444']);
    for (const other of ['wrong', ENV.APP_SECRET, ENV.NEW_TOKEN, ''])
      expect(await asked(rig, other)).toEqual([401, '']);
    expect((await rig.store.listEvents({}, { size: 1 })).items).toEqual([]);
  });
  it('hears it for another token from the next reload on', async () => {
    const rig = await ReloadRig.start(triggers('META_TOKEN'), ENV);
    // The same place holds another value: the source goes on.
    rig.env['META_TOKEN'] = ENV.NEW_TOKEN;
    await rig.reload.run();
    expect(await asked(rig, ENV.NEW_TOKEN)).toEqual([200, '1158201444']);
    expect(await asked(rig, TOKEN)).toEqual([401, '']);
    // Another place: it starts anew.
    rig.write('tappet.json', triggers('APP_SECRET')['tappet.json']);
    await rig.reload.run();
    expect(await asked(rig, ENV.APP_SECRET)).toEqual([200, '1158201444']);
    expect(await asked(rig, ENV.NEW_TOKEN)).toEqual([401, '']);
  });
});

describe('microsoft', () => {
  const token = 'Validation: Testing client application reachability <script>';
  const query = `?validationToken=${encodeURIComponent(token)}`;
  it('hears its token as plain text, without proof of who it is', async () => {
    expect(await ask('microsoft', { query }, false)).toEqual({ ...ANSWERED, text: token });
  });
  it('proves who it is with events', async () => {
    expect(await ask('microsoft', { body: '{}' }, false)).toMatchObject({ status: 401 });
    expect(await ask('microsoft', { method: 'GET', query }, false)).toMatchObject({ status: 401 });
    expect(await ask(undefined, { query }, false)).toMatchObject({ status: 401 });
  });
  it('gets back no more than a token is long', async () => {
    const long = createHmac('sha512', 'x').digest('hex').repeat(100);
    expect((await ask('microsoft', { query: `?validationToken=${long}` }, false)).text).toHaveLength(2_048);
  });
});
