import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import type { Verify, VerifyResult } from '../../../src/core/auth.ts';
import { TappetError } from '../../../src/core/errors.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import type { Source, SourceContext } from '../../../src/core/source.ts';
import { createWebhookSource } from '../../../triggers/webhook/source.ts';
import { Context } from '../../support/webhook-context.ts';

const URL_HERE = 'http://127.0.0.1/hooks/call';
const INFO = { remoteAddress: '127.0.0.1' };
const spec = { kind: 'webhook', auth: { bearer: { token: { env: 'T' } } } } as const;
const open = { kind: 'webhook', auth: 'none' } as const;
const CE_JSON = 'application/cloudevents+json';
const BATCH_JSON = 'application/cloudevents-batch+json';

async function started(
  context: Context,
  of: Parameters<typeof createWebhookSource>[0]['spec'] = spec,
): Promise<Source> {
  const source = createWebhookSource({ name: 'call', spec: of });
  await source.start(context);
  return source;
}

async function send(
  source: Source,
  init: RequestInit,
): Promise<{ status: number; headers: Headers; body: JsonObject }> {
  const response = await source.handle?.(new Request(URL_HERE, init), INFO);
  if (response === undefined) throw new TypeError('a webhook source handles requests');
  return { status: response.status, headers: response.headers, body: (await response.json()) as JsonObject };
}
const post = (body: unknown, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: typeof body === 'string' ? body : JSON.stringify(body),
});

describe('a stored event', () => {
  test('is answered 202 with its decision and execution', async () => {
    const context = new Context();
    const { status, body } = await send(await started(context), post({ a: 1 }));
    expect(status).toBe(202);
    expect(body).toEqual({
      event: 'uid-0',
      duplicate: false,
      decided: true,
      decisions: [{ trigger: 'call', outcome: 'matched', reason: 'no filter', execution: 'job-1' }],
      executions: ['job-1'],
      statusUrls: ['/api/v1/executions/job-1'],
    });
    expect(context.events[0]?.event).toMatchObject({ source: '/hooks/call', data: { a: 1 }, id: 'new-0' });
    expect(context.waits).toEqual([{ uid: 'uid-0', withinMs: 5000 }]);
  });

  test('that was decided with its accept is answered with that, and the store is not asked again', async () => {
    const context = new Context();
    const before = await context.outcome('uid-0', { withinMs: 0 });
    context.waits.length = 0;
    context.decidedAtOnce = before;
    context.decisions = [];
    const { body } = await send(await started(context), post({ a: 1 }));
    expect(body).toMatchObject({ event: 'uid-0', decided: true, executions: ['job-1'] });
    expect(context.waits).toEqual([]);
  });

  test('carries the verified claims, and none where there are none', async () => {
    const context = new Context({ ok: true, claims: { sub: 'x' } });
    await send(await started(context), post(1));
    expect(context.events[0]?.claims).toEqual({ sub: 'x' });
    const other = new Context();
    await send(await started(other), post(1));
    expect(other.events[0]).not.toHaveProperty('claims');
  });

  test('that comes again is answered with the first decision', async () => {
    const context = new Context();
    const source = await started(context);
    await send(source, post(1, { 'idempotency-key': 'k' }));
    const { status, body } = await send(source, post(2, { 'idempotency-key': 'k' }));
    expect(status).toBe(202);
    expect(body).toMatchObject({
      event: 'uid-0',
      duplicate: true,
      executions: ['job-1'],
      statusUrls: ['/api/v1/executions/job-1'],
    });
    expect(context.waits.map(({ uid }) => uid)).toEqual(['uid-0', 'uid-0']);
    expect(context.events).toHaveLength(1);
  });

  test('says what decided, with the values that the sender sent and no others', async () => {
    const context = new Context();
    const values = {
      'event.data.size': 0,
      'claims.sub': 'x',
      'trigger.labels.secret': 's',
      eventful: 1,
      event: {},
    };
    context.decisions = [{ outcome: 'filtered', reason: 'too small', clause: 'event.data.size > 0', values }];
    const source = await started(context);
    const { body } = await send(source, post(1, { 'idempotency-key': 'k' }));
    expect(body['decisions']).toEqual([
      {
        trigger: 'call',
        outcome: 'filtered',
        reason: 'too small',
        clause: 'event.data.size > 0',
        values: { 'event.data.size': 0, 'claims.sub': 'x', event: {} },
      },
    ]);
    const again = await send(source, post(1, { 'idempotency-key': 'k' }));
    expect(JSON.stringify(again.body)).not.toContain('values');
  });

  test("is answered without the trigger's own words where anyone may call", async () => {
    const context = new Context();
    const values = { 'event.data.size': 0 };
    context.decisions = [
      { outcome: 'filtered', reason: 'too small', clause: 'event.data.size > 0', values },
      { outcome: 'matched', reason: 'no filter', execution: 'job-1' },
    ];
    const { body } = await send(await started(context, open), post(1));
    expect(body).toEqual({
      event: 'uid-0',
      duplicate: false,
      decided: true,
      decisions: [
        { trigger: 'call', outcome: 'filtered' },
        { trigger: 'call', outcome: 'matched', execution: 'job-1' },
      ],
      executions: ['job-1'],
      statusUrls: ['/api/v1/executions/job-1'],
    });
  });

  test('takes its type from a header where the header is vouched for, and not where only the body is signed', async () => {
    const headers = {
      'ce-specversion': '1.0',
      'ce-id': 'i',
      'ce-source': '/x',
      'ce-type': 'com.evil.deploy',
    };
    for (const [sender, expected] of [
      [{ covers: 'body' }, { id: 'i', type: 'dev.tappet.webhook.v1.received' }],
      [
        { covers: 'body', id: 'signed' },
        { id: 'signed', type: 'dev.tappet.webhook.v1.received' },
      ],
      [{}, { id: 'i', type: 'com.evil.deploy' }],
    ] as const) {
      const context = new Context({ ok: true, claims: {}, ...sender });
      await send(await started(context), post(1, headers));
      expect(context.events[0]?.event).toMatchObject(expected);
    }
  });

  test.each<[string, (context: Context) => void]>([
    ['comes too late', (context) => (context.decided = false)],
    ['cannot be read', (context) => (context.outcomeFails = new TappetError('STORE_UNAVAILABLE', 'x'))],
  ])('is answered 202 also where its decision %s', async (_name, arrange) => {
    const context = new Context();
    arrange(context);
    const { status, body } = await send(await started(context), post(1));
    expect(status).toBe(202);
    expect(body).toEqual({
      event: 'uid-0',
      duplicate: false,
      decided: false,
      decisions: [],
      executions: [],
      statusUrls: [],
    });
  });

  test('a batch is one accept and a list of answers', async () => {
    const context = new Context();
    const event = { specversion: '1.0', source: '/s', type: 't' };
    const events = ['1', '2', '1'].map((id) => ({ ...event, id }));
    const { status, body } = await send(await started(context), post(events, { 'content-type': BATCH_JSON }));
    expect(status).toBe(202);
    expect(body['events']).toMatchObject([
      { event: 'uid-0', duplicate: false },
      { event: 'uid-1', duplicate: false },
      { event: 'uid-0', duplicate: true },
    ]);
  });
});

describe('who is not let in', () => {
  const refused: VerifyResult = { ok: false, reason: 'wrong signature' };

  test.each(['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])(
    'hears the same 401 for %s, with no reason',
    async (method) => {
      const context = new Context(refused);
      const { status, body, headers } = await send(await started(context), { method });
      expect(status).toBe(401);
      expect(headers.get('content-type')).toBe('application/problem+json');
      expect(body).toEqual({
        type: 'urn:tappet:error:UNAUTHENTICATED',
        title: 'Not authenticated',
        status: 401,
        code: 'UNAUTHENTICATED',
        detail: 'The credentials are missing or wrong.',
      });
      expect(context.events).toEqual([]);
    },
  );

  test('hears 401 before anything about the body', async () => {
    const source = await started(new Context(refused));
    expect((await send(source, post('{broken'))).status).toBe(401);
    expect((await send(source, post('x', { 'content-type': 'application/pdf' }))).status).toBe(401);
  });

  test('is one line of log a second, with a count', async () => {
    const context = new Context(refused);
    const source = await started(context);
    for (let i = 0; i < 10; i++) await send(source, post(1));
    await context.clock.advance(1000);
    await send(source, post(1));
    expect(context.log.lines.map(({ fields }) => fields)).toEqual([
      { trigger: 'call', reason: 'wrong signature', remoteAddress: '127.0.0.1' },
      { trigger: 'call', reason: 'wrong signature', remoteAddress: '127.0.0.1', othersSinceLastLine: 9 },
    ]);
  });

  test('hears 503 with Retry-After while nobody can be checked', async () => {
    const context = new Context({ ok: 'unavailable', reason: 'issuer away', retryAfter: 17 });
    const { status, headers, body } = await send(await started(context), post(1));
    expect(status).toBe(503);
    expect(body['code']).toBe('ISSUER_UNAVAILABLE');
    expect(headers.get('retry-after')).toBe('17');
    expect(JSON.stringify(body)).not.toContain('issuer away');
    expect(context.events).toEqual([]);
  });
});

test('the raw bytes are what is verified', async () => {
  let seen: Uint8Array | undefined;
  const verify: Verify = async ({ body }) => {
    seen = body;
    return { ok: true, claims: {} };
  };
  const text = ' {"a": "é"}\r\n';
  await send(await started(new Context(verify)), post(text));
  expect(Buffer.from(seen ?? []).toString()).toBe(text);
});

test.each(['GET', 'PUT', 'DELETE'])('%s by someone who may call: 405 with Allow', async (method) => {
  const { status, headers } = await send(await started(new Context()), { method });
  expect(status).toBe(405);
  expect(headers.get('allow')).toBe('POST');
});

test.each<[Error, number]>([
  [new TappetError('STORE_UNAVAILABLE', 'disk full', { retryAfter: 3 }), 503],
  [new TappetError('TOO_MANY_REQUESTS', 'slow down', { retryAfter: 3 }), 429],
  [new TappetError('INVALID_ARGUMENT', 'data is too long', { path: 'data' }), 422],
  [new TappetError('PAYLOAD_TOO_LARGE', 'too large'), 413],
  [new TypeError('secret detail'), 500],
])('where the event is not stored (%s) the answer is %i', async (error, status) => {
  const context = new Context();
  context.acceptFails = error;
  const result = await send(await started(context), post(1));
  expect(result.status).toBe(status);
  expect(result.headers.get('content-type')).toBe('application/problem+json');
  if (status === 503 || status === 429) expect(result.headers.get('retry-after')).toBe('3');
  expect(JSON.stringify(result.body)).not.toContain('secret detail');
});

test('a conflict is 503, never 2xx', async () => {
  const context = new Context();
  context.conflict = true;
  expect((await send(await started(context), post(1))).status).toBe(503);
});

test('a verifier that throws lets nobody in', async () => {
  const context = new Context(() => Promise.reject(new Error('boom')));
  expect((await send(await started(context), post(1))).status).toBe(500);
  expect(context.events).toEqual([]);
});

test('a trigger without a verifier does not start', async () => {
  const source = createWebhookSource({ name: 'call', spec });
  const context = new Context();
  await expect(
    source.start(Object.create(context, { verify: { value: undefined } }) as SourceContext),
  ).rejects.toThrow(TypeError);
  expect((await send(source, post(1))).status).toBe(503);
});

test('before start and after stop: 503 with Retry-After, nothing stored', async () => {
  const context = new Context();
  const source = createWebhookSource({ name: 'call', spec });
  await source.stop();
  expect((await send(source, post(1))).status).toBe(503);
  await source.start(context);
  await source.stop();
  await source.stop();
  const { status, headers } = await send(source, post(1));
  expect(status).toBe(503);
  expect(headers.get('retry-after')).toBe('1');
  expect(context.events).toEqual([]);
});

test('a body that breaks off is 400; one that passes the limit of the server 413', async () => {
  const source = await started(new Context());
  const broken = (error: Error): RequestInit & { duplex: 'half' } => ({
    method: 'POST',
    body: new ReadableStream({ pull: (controller) => controller.error(error) }),
    duplex: 'half',
  });
  expect((await send(source, broken(new Error('reset')))).status).toBe(400);
  expect(
    (await send(source, broken(new TappetError('PAYLOAD_TOO_LARGE', 'larger than 5 bytes')))).status,
  ).toBe(413);
});

test('whatever comes in: no throw, and 2xx exactly where accept has stored', async () => {
  const name = fc.constantFrom(
    'ce-id',
    'ce-type',
    'ce-specversion',
    'ce-source',
    'ce-x',
    'ce-time',
    'idempotency-key',
    'content-encoding',
  );
  const text = fc.oneof(
    fc.constantFrom('1.0', '', 'a b', '%', '%41', '"x"', '2026-01-01T00:00:00Z'),
    fc.string({ maxLength: 6 }),
  );
  const type = fc.constantFrom(
    'application/json',
    CE_JSON,
    BATCH_JSON,
    'text/plain',
    'application/x-www-form-urlencoded',
    'image/png',
    ';',
    '',
  );
  const event = fc.record(
    {
      specversion: fc.constantFrom('1.0', '0.3', 1),
      id: fc.oneof(fc.string({ maxLength: 3 }), fc.jsonValue({ maxDepth: 1 })),
      source: fc.constantFrom('/s', '', 'a b'),
      type: fc.constantFrom('t', ''),
      data: fc.jsonValue({ maxDepth: 2 }),
      data_base64: fc.constantFrom('AA==', 'e30=', 'x'),
      ext: fc.jsonValue({ maxDepth: 1 }),
    },
    { requiredKeys: [] },
  );
  const body = fc.oneof(
    event.map((value) => JSON.stringify(value)),
    fc.array(event, { maxLength: 3 }).map((value) => JSON.stringify(value)),
    fc.json(),
    fc.string(),
    fc.uint8Array({ maxLength: 20 }),
  );
  const method = fc.constantFrom('POST', 'POST', 'POST', 'GET', 'PUT');
  const trouble = fc.constantFrom('none', 'none', 'none', 'store', 'conflict', 'outcome', 'refused', 'bug');
  await fc.assert(
    fc.asyncProperty(
      method,
      type,
      fc.dictionary(name, text),
      body,
      trouble,
      async (verb, contentType, more, bytes, what) => {
        const context = new Context(what === 'refused' ? { ok: false, reason: 'x' } : undefined);
        if (what === 'store') context.acceptFails = new TappetError('STORE_UNAVAILABLE', 'x');
        if (what === 'bug') context.acceptFails = new RangeError('x');
        if (what === 'outcome') context.outcomeFails = new Error('x');
        context.conflict = what === 'conflict';
        const headers = new Headers({ 'content-type': contentType });
        for (const [key, value] of Object.entries(more))
          if (/^[\x20-\x7e]*$/.test(value)) headers.set(key, value);
        const init = verb === 'GET' ? { method: verb, headers } : { method: verb, headers, body: bytes };
        const { status } = await send(await started(context), init);
        // An empty batch is right, and nothing of it can be stored.
        const empty = contentType === BATCH_JSON && /^\s*\[\s*\]\s*$/.test(String(bytes));
        expect(status >= 200 && status < 300 && !empty).toBe(context.events.length > 0);
        expect([202, 400, 401, 405, 415, 422, 500, 503]).toContain(status);
      },
    ),
    { numRuns: 300 },
  );
});
