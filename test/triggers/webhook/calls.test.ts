import { describe, expect, test } from 'vitest';
import type { WebhookSourceSpec } from '../../../src/core/config.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import type { Source } from '../../../src/core/source.ts';
import { createWebhookSource } from '../../../triggers/webhook/source.ts';
import { Context } from '../../support/webhook-context.ts';

const OPEN: WebhookSourceSpec = { kind: 'webhook', auth: 'none' };
const STRANGER = new Context({ ok: false, reason: 'no' });

async function started(spec: Partial<WebhookSourceSpec> = {}, context = new Context()) {
  const source = createWebhookSource({ name: 'call', spec: { ...OPEN, ...spec } });
  await source.start(context);
  return { source, context };
}
async function handled(source: Source, init: RequestInit): Promise<Response> {
  const request = new Request('http://127.0.0.1/hooks/call', { method: 'POST', ...init });
  const response = await source.handle?.(request, { remoteAddress: '192.0.2.1' });
  if (response === undefined) throw new TypeError('a webhook source handles requests');
  return response;
}
const bodyOf = async (response: Response) => (await response.json()) as JsonObject;

describe('a multipart form', () => {
  /** As curl writes it: `curl -F title=Report -F tag=a -F tag=b -F file=@… -F logo=@…`. */
  const BOUNDARY = '------------------------d74496d66958873e';
  const part = (head: string, content: string | Buffer) =>
    Buffer.concat([
      Buffer.from(`--${BOUNDARY}\r\n${head}\r\n\r\n`),
      Buffer.from(content),
      Buffer.from('\r\n'),
    ]);
  const named = (name: string, more = '') => `Content-Disposition: form-data; name="${name}"${more}`;
  const form = (...parts: Buffer[]): RequestInit => ({
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}`, 'idempotency-key': 'k' },
    body: Buffer.concat([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)]),
  });
  const csv = part(`${named('file', '; filename="a b.csv"')}\r\nContent-Type: text/csv`, 'ü;1\r\n');
  const png = part(
    `${named('logo', '; filename="logo.png"')}\r\nContent-Type: image/png`,
    Buffer.from([0, 255, 13, 10, 45, 45]),
  );

  test('gives its fields as data, and its files with name, type, size and content', async () => {
    const { source, context } = await started();
    const fields = [part(named('title'), 'Report'), part(named('tag'), 'a'), part(named('tag'), 'b')];
    expect((await handled(source, form(...fields, csv, png))).status).toBe(202);
    expect(context.events[0]?.event.data).toEqual({
      title: 'Report',
      tag: ['a', 'b'],
      file: { name: 'a b.csv', type: 'text/csv', size: 6, text: 'ü;1\r\n' },
      logo: { name: 'logo.png', type: 'image/png', size: 6, base64: 'AP8NCi0t' },
    });
    expect(context.events[0]?.event.datacontenttype).toContain('multipart/form-data');
  });

  test('is the same data whatever its boundary', async () => {
    const { source, context } = await started();
    await handled(source, form(csv));
    const other = Buffer.from(
      (form(csv).body as Buffer).toString('latin1').replaceAll(BOUNDARY, 'x'),
      'latin1',
    );
    const type = { 'content-type': 'multipart/form-data; boundary=x', 'idempotency-key': 'k2' };
    await handled(source, { headers: type, body: other });
    expect(context.events[0]?.digest).toBeDefined();
    expect(context.events[1]?.digest).toBe(context.events[0]?.digest);
  });

  test.each<[string, RequestInit, number]>([
    ['without a boundary', { headers: { 'content-type': 'multipart/form-data' }, body: 'x' }, 400],
    [
      'with another boundary',
      { ...form(csv), headers: { 'content-type': 'multipart/form-data; boundary=y' } },
      400,
    ],
    ['that ends too early', { ...form(), body: Buffer.from(csv.subarray(0, 60)) }, 400],
    [
      'that is compressed',
      {
        ...form(csv),
        headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}`, 'content-encoding': 'gzip' },
      },
      415,
    ],
    ['of too many fields', form(...Array.from({ length: 1001 }, () => part(named('a'), ''))), 400],
  ])('%s is refused', async (_name, init, status) => {
    const { source, context } = await started();
    expect((await handled(source, init)).status).toBe(status);
    expect(context.events).toEqual([]);
  });
});

describe('a Pub/Sub push', () => {
  const wrapper = (message: object, more: object = {}) => ({
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      message: {
        messageId: '2070443601311540',
        message_id: '2070443601311540',
        publishTime: '2026-02-26T19:13:55.749Z',
        publish_time: '2026-02-26T19:13:55.749Z',
        ...message,
      },
      subscription: 'projects/p/subscriptions/s',
      ...more,
    }),
  });
  const base64 = (text: string) => Buffer.from(text).toString('base64');

  test('is unwrapped: its message is the event, by its own id', async () => {
    const { source, context } = await started({ format: 'pubsub' });
    const message = { data: base64('{"file":"a.csv"}'), attributes: { kind: 'import' }, orderingKey: 'k' };
    expect((await handled(source, wrapper(message, { deliveryAttempt: 3 }))).status).toBe(202);
    expect(context.events[0]?.event).toEqual({
      specversion: '1.0',
      id: '2070443601311540',
      source: '//pubsub.googleapis.com/projects/p/subscriptions/s',
      type: 'google.cloud.pubsub.topic.v1.messagePublished',
      time: '2026-02-26T19:13:55.749Z',
      datacontenttype: 'application/json',
      extensions: { deliveryattempt: 3 },
      data: {
        subscription: 'projects/p/subscriptions/s',
        message: {
          messageId: '2070443601311540',
          publishTime: '2026-02-26T19:13:55.749Z',
          attributes: { kind: 'import' },
          orderingKey: 'k',
          data: { file: 'a.csv' },
        },
      },
    });
  });

  test('that Pub/Sub tries again is the same event with the same data', async () => {
    const { source, context } = await started({ format: 'pubsub' });
    const first = await bodyOf(await handled(source, wrapper({ data: base64('1') }, { deliveryAttempt: 1 })));
    const again = await bodyOf(await handled(source, wrapper({ data: base64('1') }, { deliveryAttempt: 2 })));
    expect([first['duplicate'], again['duplicate'], again['event']]).toEqual([false, true, first['event']]);
    expect(context.digests).toHaveLength(2);
    expect(context.digests[1]).toBe(context.digests[0]);
  });

  test.each<[string, object, object]>([
    ['text', { data: base64('grün') }, { data: 'grün' }],
    ['a JSON list', { data: base64('[1]') }, { data: [1] }],
    ['bytes', { data: '/w==' }, { data: null, data_base64: '/w==' }],
    ['nothing', {}, { data: null }],
  ])('may carry %s', async (_name, message, data) => {
    const { source, context } = await started({ format: 'pubsub' });
    await handled(source, wrapper(message));
    expect(context.events[0]?.event.data).toMatchObject({ message: data });
  });

  test.each<[string, RequestInit, string]>([
    ['no wrapper', { headers: { 'content-type': 'application/json' }, body: '{"file":"a"}' }, 'message'],
    ['no id', wrapper({ messageId: null, message_id: 7 }), 'message.messageId'],
    ['no subscription', wrapper({}, { subscription: null }), 'subscription'],
    ['data that is no base64', wrapper({ data: '{}' }), 'message.data'],
  ])('with %s is 422 and names the place', async (_name, init, path) => {
    const { source } = await started({ format: 'pubsub' });
    const response = await handled(source, init);
    expect(response.status).toBe(422);
    expect(await bodyOf(response)).toMatchObject({ errors: [{ path }] });
  });

  test('is unwrapped only where the trigger says so', async () => {
    const { source, context } = await started();
    await handled(source, wrapper({ data: base64('1') }));
    expect(context.events[0]?.event).toMatchObject({ type: 'dev.tappet.webhook.v1.received' });
    expect(context.events[0]?.event.data).toMatchObject({ message: { data: 'MQ==' } });
  });
});

describe("CloudEvents' question whether a sender may send", () => {
  const ask = (origin: string, more: Record<string, string> = {}): RequestInit => ({
    method: 'OPTIONS',
    headers: { 'webhook-request-origin': origin, ...more },
  });

  test('is answered for the origins that the trigger names, without credentials', async () => {
    const { source } = await started({ allowedOrigins: ['eventgrid.azure.net'] }, STRANGER);
    const answer = await handled(source, ask('EventGrid.azure.net', { 'webhook-request-rate': '120' }));
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'webhook-allowed-origin': 'EventGrid.azure.net',
      'webhook-allowed-rate': '*',
      allow: 'POST',
    });
    expect((await handled(source, ask('evil.example'))).status).toBe(401);
    expect((await handled(source, { method: 'OPTIONS' })).status).toBe(401);
  });

  test('names the rate that the trigger takes, where it was asked for one', async () => {
    const rateLimit = { requests: 10, perMs: 30_000 };
    const { source } = await started({ allowedOrigins: ['*'], rateLimit }, STRANGER);
    const asked = await handled(source, ask('any.example', { 'webhook-request-rate': '120' }));
    expect(asked.headers.get('webhook-allowed-rate')).toBe('20');
    expect((await handled(source, ask('any.example'))).headers.has('webhook-allowed-rate')).toBe(false);
  });

  test('is any call from a stranger where the trigger names nobody', async () => {
    const { source } = await started({}, STRANGER);
    expect((await handled(source, ask('eventgrid.azure.net'))).status).toBe(401);
  });

  test('starts nothing', async () => {
    const { source, context } = await started({ allowedOrigins: ['*'] });
    await handled(source, ask('a.example'));
    expect(context.events).toEqual([]);
  });
});

describe("the trigger's own limit", () => {
  const rateLimit = { requests: 2, perMs: 60_000 };
  const post: RequestInit = { headers: { 'content-type': 'application/json' }, body: '1' };

  test('answers 429 with the time to wait, and takes calls again then', async () => {
    const { source, context } = await started({ rateLimit });
    const statuses = [await handled(source, post), await handled(source, post)].map(({ status }) => status);
    const refused = await handled(source, post);
    expect([...statuses, refused.status]).toEqual([202, 202, 429]);
    expect(refused.headers.get('retry-after')).toBe('30');
    expect(await bodyOf(refused)).toMatchObject({ code: 'TOO_MANY_REQUESTS' });
    expect(context.events).toHaveLength(2);
    await context.clock.advance(30_000);
    expect((await handled(source, post)).status).toBe(202);
  });

  test('is not used up by strangers', async () => {
    let known = false;
    const context = new Context(async () => (known ? { ok: true, claims: {} } : { ok: false, reason: 'no' }));
    const { source } = await started({ rateLimit }, context);
    for (let i = 0; i < 5; i++) expect((await handled(source, post)).status).toBe(401);
    known = true;
    expect((await handled(source, post)).status).toBe(202);
  });
});

test('who calls, and through which proxy, reaches the check', async () => {
  const seen: unknown[] = [];
  const context = new Context(async ({ remoteAddress, peerAddress }) => {
    seen.push([remoteAddress, peerAddress]);
    return { ok: true, claims: {} };
  });
  const { source } = await started({}, context);
  const request = new Request('http://127.0.0.1/hooks/call', { method: 'POST' });
  await source.handle?.(request, { remoteAddress: '192.0.2.1', peerAddress: '10.0.0.1' });
  expect(seen).toEqual([['192.0.2.1', '10.0.0.1']]);
});
