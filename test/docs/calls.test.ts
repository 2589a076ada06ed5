import { createSign, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ReloadRig } from '../support/reload-rig.ts';

/** A configuration of a page, by its place. */
function configurationOf(page: string, index = 0): string {
  const text = readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), 'utf8');
  return [...text.matchAll(/^```yaml\n(.*?)^```$/gms)][index]?.[1] ?? '';
}

async function call(rig: ReloadRig, trigger: string, headers: Record<string, string>, body: unknown) {
  const request = new Request(`https://tappet.example.com/hooks/${trigger}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  const response = await rig.sources.handle(`trigger/${trigger}`, request, { remoteAddress: '192.0.2.1' });
  return { status: response?.status, body: (await response?.json()) as Record<string, unknown> };
}
const envOf = async (rig: ReloadRig, answer: { body: Record<string, unknown> }) => {
  const [name = ''] = (answer.body['executions'] ?? []) as string[];
  return (await rig.store.getExecution(name))?.spec.env;
};

test('docs/calls.md: the trigger there, called as it says', async () => {
  const rig = await ReloadRig.start(
    { 'tappet.yaml': configurationOf('calls') },
    { ORDERS_TOKEN: 'a'.repeat(32) },
  );
  const headers = { authorization: `Bearer ${'a'.repeat(32)}`, 'x-request-id': 'r-1' };
  const event = {
    'ce-specversion': '1.0',
    'ce-type': 'com.example.order',
    'ce-source': '/shop',
    'ce-id': '1',
  };
  const first = await call(rig, 'orders', { ...headers, ...event }, { order: 7 });
  expect(first).toMatchObject({ status: 202, body: { duplicate: false } });
  expect(await envOf(rig, first)).toMatchObject({ ORDER: '7' });
  const again = await call(rig, 'orders', { ...headers, ...event, 'ce-id': '2' }, { order: 7 });
  expect(again).toMatchObject({ status: 202, body: { duplicate: true, event: first.body['event'] } });
  const retried = await call(rig, 'orders', { ...headers, ...event }, { order: 7, attempt: 2 });
  expect(retried.body).toEqual(again.body);
});

test('docs/calls.md: a body that is a file, sent as it says', async () => {
  const token = 'f'.repeat(32);
  const rig = await ReloadRig.start({ 'tappet.yaml': configurationOf('calls', 1) }, { FILM_TOKEN: token });
  const send = async (headers: Record<string, string>) => {
    const init = { method: 'POST', headers: { authorization: `Bearer ${token}`, ...headers }, body: 'film' };
    const request = new Request('https://tappet.example.com/hooks/film', init);
    const response = await rig.sources.receive('trigger/film', request, { remoteAddress: '192.0.2.1' });
    return { status: response?.status, body: (await response?.json()) as Record<string, unknown> };
  };
  const headers = {
    'content-type': 'video/mp4',
    'content-disposition': 'attachment; filename="film.mp4"',
    'idempotency-key': 'film-7',
  };
  const first = await send(headers);
  expect(first).toMatchObject({ status: 202, body: { duplicate: false } });
  const event = String(first.body['event']);
  expect((await rig.store.getEvent(event))?.event.data).toEqual({
    body: {
      name: 'film.mp4',
      type: 'video/mp4',
      size: 4,
      sha256: 'd0607f7ad2628b2af9158dfba06ce87166e66b15bf68f8f358f9aa27ccb7c321',
    },
  });
  const [name = ''] = first.body['executions'] as string[];
  expect((await rig.store.getExecution(name))?.spec.inputs).toEqual([
    { from: 'event.body', to: '/in/film', body: { event, size: 4 } },
  ]);
  expect(await send(headers)).toMatchObject({ status: 202, body: { duplicate: true, event } });
});

test('docs/webhooks/pubsub.md: a push of the subscription there starts the job', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'RS256', use: 'sig' };
  // As the page has it, but for Google's keys.
  const pinned = JSON.stringify({ issuer: 'https://accounts.google.com', jwks: { keys: [key] } });
  const page = configurationOf('webhooks/pubsub');
  expect(page).toContain('google: { preset: google }');
  const rig = await ReloadRig.start({
    'tappet.yaml': page.replace('google: { preset: google }', `google: ${pinned}`),
  });
  const audience = 'https://tappet.example.com/hooks/on-message';
  const token = (email: string, verified = true): string => {
    const now = Math.floor(rig.clock.now() / 1000);
    const claims = {
      iss: 'https://accounts.google.com',
      aud: audience,
      sub: '1',
      email,
      email_verified: verified,
    };
    const signed = [
      { alg: 'RS256', kid: 'k', typ: 'JWT' },
      { ...claims, iat: now, exp: now + 3600 },
    ]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    return `${signed}.${createSign('RSA-SHA256').update(signed).sign(privateKey, 'base64url')}`;
  };
  const push = (bearer: string, deliveryAttempt = 1) =>
    call(
      rig,
      'on-message',
      { authorization: `Bearer ${bearer}` },
      {
        deliveryAttempt,
        message: {
          attributes: { kind: 'orders' },
          data: Buffer.from('{"file": "a.csv"}').toString('base64'),
          messageId: '2070443601311540',
          publishTime: '2026-02-26T19:13:55.749Z',
        },
        subscription: 'projects/my-project/subscriptions/tappet',
      },
    );
  const pusher = 'pusher@my-project.iam.gserviceaccount.com';
  const first = await push(token(pusher));
  expect(first).toMatchObject({ status: 202, body: { duplicate: false } });
  expect(await envOf(rig, first)).toMatchObject({ FILE: 'a.csv', KIND: 'orders' });
  const again = await push(token(pusher), 2);
  expect(again).toMatchObject({ status: 202, body: { duplicate: true, event: first.body['event'] } });
  for (const other of [token('someone@my-project.iam.gserviceaccount.com'), token(pusher, false), 'x'])
    expect((await push(other)).status).toBe(401);
});
