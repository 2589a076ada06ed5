import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BodyFiles } from '../../../src/bodies/body-files.ts';
import type { Verify } from '../../../src/core/auth.ts';
import type { Bodies } from '../../../src/core/bodies.ts';
import type { WebhookSourceSpec } from '../../../src/core/config.ts';
import { TappetError } from '../../../src/core/errors.ts';
import type { JsonObject } from '../../../src/core/json.ts';
import { deferred } from '../../../src/lib/deferred.ts';
import { createExpressions } from '../../../src/expr/expressions.ts';
import { createWebhookSource } from '../../../triggers/webhook/source.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { Context } from '../../support/webhook-context.ts';

const TOKEN: Verify = async ({ headers }) =>
  headers.get('authorization') === 'Bearer t' ? { ok: true, claims: {} } : { ok: false, reason: 'no' };
const SPEC: WebhookSourceSpec = {
  kind: 'webhook',
  auth: { bearer: { token: { env: 'T' } } },
  bodyFile: { maxBytes: 1000 },
};
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

interface Sent {
  readonly body?: string | ReadableStream<Uint8Array>;
  readonly headers?: Record<string, string>;
  readonly method?: string;
}

async function rig(spec: Partial<WebhookSourceSpec> = {}, verify: Verify = TOKEN) {
  const context = new Context(verify);
  const dir = join(tempFolder(), 'bodies');
  context.bodies = new BodyFiles({ dir, clock: context.clock });
  const { id } = spec;
  const source = createWebhookSource({
    name: 'call',
    spec: { ...SPEC, ...spec },
    ...(id === undefined
      ? {}
      : { identify: createExpressions().template(id, ['event', 'claims', 'headers']) }),
  });
  await source.start(context);
  const asked: Request[] = [];
  const send = async ({ body = 'film', headers = {}, method = 'POST' }: Sent = {}) => {
    const request = new Request('http://127.0.0.1/hooks/call', {
      method,
      headers: { authorization: 'Bearer t', ...headers },
      ...(method === 'GET' ? {} : { body }),
      ...(typeof body === 'string' ? {} : { duplex: 'half' }),
    });
    asked.push(request);
    const response = await source.receive?.(request, { remoteAddress: '192.0.2.1' });
    if (response === undefined) return undefined;
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as JsonObject,
    };
  };
  const files = () => (existsSync(dir) ? readdirSync(dir) : []);
  const read = (name: string) => readFileSync(join(dir, name), 'utf8');
  return { context, source, send, files, read, asked };
}

describe('a body that is a file', () => {
  test('belongs to the event of its name, whose data tell what it is', async () => {
    const { context, send, files, read } = await rig();
    const type = 'video/mp4; codecs=x';
    const disposition = 'attachment; filename="C:\\\\films\\\\a \\"b\\".mp4"';
    const answer = await send({ headers: { 'content-type': type, 'content-disposition': disposition } });
    expect(answer).toMatchObject({ status: 202, body: { duplicate: false, executions: ['job-1'] } });
    const [uid = ''] = files();
    expect(answer?.body['event']).toBe(uid);
    expect(read(uid)).toBe('film');
    expect(context.events).toHaveLength(1);
    expect(context.events[0]).toMatchObject({ uid });
    expect(context.events[0]?.event.data).toEqual({
      body: { name: 'a "b".mp4', type, size: 4, sha256: sha256('film') },
    });
    expect(context.events[0]?.event).not.toHaveProperty('datacontenttype');
  });

  test.each([
    ['attachment; filename=a.mp4', 'a.mp4'],
    ['attachment; FileName = "a/../b.mp4"', 'b.mp4'],
    ['attachment; filename=".."', undefined],
    ['attachment; filename="a/"', undefined],
    [`attachment; filename="${'x'.repeat(256)}"`, undefined],
    ['attachment', undefined],
  ])('is named as %s says', async (disposition, name) => {
    const { context, send } = await rig();
    await send({ headers: { 'content-disposition': disposition } });
    const data = context.events[0]?.event.data as { body: JsonObject };
    expect(data.body['name']).toBe(name);
  });

  test('takes the attributes of a CloudEvent from its headers', async () => {
    const { context, send } = await rig();
    const headers = {
      'ce-specversion': '1.0',
      'ce-id': 'e-1',
      'ce-source': '/camera',
      'ce-type': 'film.cut',
      'ce-subject': 'a%20b.mp4',
      'content-type': 'video/mp4',
    };
    expect(await send({ headers })).toMatchObject({ status: 202 });
    expect(context.events[0]?.event).toMatchObject({
      id: 'e-1',
      source: '/camera',
      type: 'film.cut',
      subject: 'a b.mp4',
      data: { body: { type: 'video/mp4', size: 4 } },
    });
  });

  test('may be JSON that is none, and any type', async () => {
    const { context, send, files, read } = await rig();
    expect(await send({ body: '{', headers: { 'content-type': 'application/json' } })).toMatchObject({
      status: 202,
    });
    expect(read(files()[0] ?? '')).toBe('{');
    expect(context.events[0]?.event.data).toMatchObject({ body: { size: 1 } });
  });
});

describe('the same call again', () => {
  const key = { 'idempotency-key': 'k' };

  test('is a duplicate, and one file stays, the first', async () => {
    const { context, send, files } = await rig();
    const first = await send({ headers: key });
    const again = await send({ headers: key });
    expect(again).toMatchObject({ status: 202, body: { duplicate: true, event: first?.body['event'] } });
    expect(files()).toEqual([first?.body['event']]);
    const [one, two] = context.digests;
    expect(one).toBeTypeOf('string');
    expect(two).toBe(one);
  });

  test.each([
    ['another content', { body: 'filn' }],
    ['another name', { headers: { 'content-disposition': 'attachment; filename=b' } }],
    ['another type', { headers: { 'content-type': 'video/webm' } }],
  ])('with %s is told apart', async (_name, other: Sent) => {
    const { context, send } = await rig();
    await send({ headers: key });
    await send({ ...other, headers: { ...key, ...other.headers } });
    const [one, two] = context.digests;
    expect(two).not.toBe(one);
  });

  test('may be named by what is in the file', async () => {
    const { context, send, files } = await rig({ id: '${{ event.data.body.sha256 }}' });
    await send();
    expect(await send()).toMatchObject({ body: { duplicate: true } });
    expect(context.events[0]?.event.id).toBe(sha256('film'));
    expect(files()).toHaveLength(1);
  });
});

describe('without a byte of the body read', () => {
  const untouched = (request: Request | undefined) => {
    expect(request?.bodyUsed).toBe(false);
    expect(request?.body?.locked ?? false).toBe(false);
  };

  test.each([
    ['a stranger', { headers: { authorization: 'Bearer x' } }],
    ['another method', { method: 'GET' }],
  ])('%s is left to the usual way', async (_name, sent: Sent) => {
    const { context, send, files, asked } = await rig();
    expect(await send(sent)).toBeUndefined();
    untouched(asked[0]);
    expect(files()).toEqual([]);
    expect(context.log.lines).toEqual([]);
  });

  test.each([
    ['a form', { 'content-type': 'multipart/form-data; boundary=b' }, 415, /curl -X POST -T <file>/],
    ['a structured event', { 'content-type': 'application/cloudevents+json' }, 415, /not application\/cloud/],
    ['a compressed body', { 'content-encoding': 'gzip' }, 415, /Compressed/],
    ['half of a CloudEvent', { 'ce-specversion': '1.0' }, 422, /ce-id is missing/],
    ['an id that is none', { 'idempotency-key': 'x'.repeat(300) }, 400, /idempotency-key/],
    ['a length beyond the limit', { 'content-length': '1001' }, 413, /larger than 1000/],
  ])('%s is refused', async (_name, headers, status, words) => {
    const { send, files, asked } = await rig();
    const answer = await send({ headers });
    expect(answer).toMatchObject({ status, body: { detail: expect.stringMatching(words) as unknown } });
    untouched(asked[0]);
    expect(files()).toEqual([]);
  });

  test('more calls than the rateLimit are refused', async () => {
    const { send, files, asked } = await rig({ rateLimit: { requests: 1, perMs: 1_000 } });
    expect(await send()).toMatchObject({ status: 202 });
    const answer = await send();
    expect(answer?.status).toBe(429);
    expect(answer?.headers.get('retry-after')).toBe('1');
    untouched(asked[1]);
    expect(files()).toHaveLength(1);
  });

  test('whose token cannot be checked now hears so', async () => {
    const { send, asked } = await rig({}, async () => ({ ok: 'unavailable', reason: 'away', retryAfter: 7 }));
    const answer = await send();
    expect(answer).toMatchObject({ status: 503, body: { code: 'ISSUER_UNAVAILABLE' } });
    expect(answer?.headers.get('retry-after')).toBe('7');
    untouched(asked[0]);
  });
});

describe('what comes to no event', () => {
  const broken = (): ReadableStream<Uint8Array> =>
    new ReadableStream({
      pull: (controller) => {
        if (pieces-- > 0) controller.enqueue(new Uint8Array(10));
        else controller.error(new Error('aborted'));
      },
    });
  let pieces = 2;

  test.each([
    ['too long without a length', { body: new Blob(['x'.repeat(1001)]).stream() }, 413],
    ['broken off', { body: broken() }, 400],
  ])('%s: nothing of it stays', async (_name, sent: Sent, status) => {
    const { context, send, files } = await rig();
    expect(await send(sent)).toMatchObject({ status });
    expect(files()).toEqual([]);
    expect(context.events).toEqual([]);
  });

  test('an id that it does not give: nothing stays', async () => {
    const { send, files } = await rig({ id: '${{ event.data.body.name }}' });
    expect(await send()).toMatchObject({ status: 422 });
    expect(files()).toEqual([]);
  });

  test.each([
    ['an id that was used for other data', new TappetError('ID_REUSED', 'used'), 422],
    ['a store that takes nothing', new TappetError('STORE_UNAVAILABLE', 'full', { retryAfter: 5 }), 503],
  ])('%s: nothing stays', async (_name, error, status) => {
    const { context, send, files } = await rig();
    context.acceptFails = error;
    expect(await send()).toMatchObject({ status });
    expect(files()).toEqual([]);
  });

  test('a store that does not know whether it has the event: the file stays, as the event may be there', async () => {
    const { context, send, files } = await rig();
    context.acceptFails = new TappetError('STORE_UNAVAILABLE', 'unsure', { maybeStored: true });
    expect(await send()).toMatchObject({ status: 503 });
    expect(files()).toHaveLength(1);
  });
});

test.each([
  ['stopped', false],
  ['started anew', true],
])('a trigger that was %s while a body came in takes no event of it', async (_name, again) => {
  const { context, source, send, files } = await rig();
  const ended = deferred<void>();
  const body = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      await ended.promise;
      controller.close();
    },
  });
  const answer = send({ body });
  await source.stop();
  if (again) {
    const next = new Context(TOKEN);
    if (context.bodies !== undefined) next.bodies = context.bodies;
    await source.start(next);
  }
  ended.resolve();
  expect(await answer).toMatchObject({
    status: 503,
    body: { detail: expect.stringContaining('changed or stopped') as unknown },
  });
  expect(context.events).toEqual([]);
  expect(files()).toEqual([]);
});

describe('a refusal of a known sender', () => {
  const failing = (error: Error): Bodies => ({
    receive: async () => {
      throw error;
    },
  });

  test('says what is wrong with the disk and what to do, and the log whom it met', async () => {
    const { context, send } = await rig();
    const fields = { retryAfter: 30, fix: 'Free some space.' };
    context.bodies = failing(new TappetError('STORE_UNAVAILABLE', 'The disk is full.', fields));
    const answer = await send();
    expect(answer).toMatchObject({
      status: 503,
      body: { detail: 'The disk is full.', fix: 'Free some space.' },
    });
    expect(answer?.headers.get('retry-after')).toBe('30');
    await send();
    expect(context.log.lines).toMatchObject([{ fields: { reason: 'The disk is full.' } }]);
  });

  test('says how to have a larger body taken', async () => {
    const { send } = await rig();
    expect(await send({ headers: { 'content-length': '1001' } })).toMatchObject({
      body: { fix: expect.stringContaining('raise maxBody') as unknown },
    });
  });

  test('says nothing of an error that is ours', async () => {
    const { context, send } = await rig();
    context.bodies = failing(new TypeError('secret'));
    expect(JSON.stringify(await send())).not.toContain('secret');
  });

  test('of a method that has a body says which to use, whatever its length', async () => {
    const { send, asked, files } = await rig();
    const answer = await send({ method: 'PUT', headers: { 'content-length': '5000000000' } });
    expect(answer).toMatchObject({
      status: 405,
      body: { detail: expect.stringContaining('-X POST') as unknown },
    });
    expect(answer?.headers.get('allow')).toBe('POST');
    expect(asked[0]?.bodyUsed).toBe(false);
    expect(files()).toEqual([]);
    expect(await send({ method: 'PUT', headers: { authorization: 'Bearer x' } })).toBeUndefined();
  });

  test('one trigger has 16 bodies on their way at most, and then others again', async () => {
    const { context, send } = await rig();
    const ended = deferred<void>();
    const taken = context.bodies;
    context.bodies = {
      receive: async (...args) => {
        await ended.promise;
        return taken?.receive(...args) ?? Promise.reject(new Error('no bodies'));
      },
    };
    const sixteen = Array.from({ length: 16 }, () => send());
    const answer = await send();
    expect(answer).toMatchObject({
      status: 503,
      body: { detail: expect.stringContaining('16 bodies') as unknown },
    });
    expect(answer?.headers.get('retry-after')).toBe('5');
    ended.resolve();
    expect((await Promise.all(sixteen)).map((one) => one?.status)).toEqual(Array(16).fill(202));
    expect(await send()).toMatchObject({ status: 202 });
  });

  test.each([
    ["${{ headers['x-request-id'] }}", false],
    ['${{ event.subject }}', false],
    ['${{ event.data.body.name }}', true],
    ["${{ event['data'].body.name }}", true],
  ])('comes before its body where the id %s cannot be made; read: %s', async (id, read) => {
    const { send, asked } = await rig({ id });
    expect(await send()).toMatchObject({ status: 422 });
    expect(asked[0]?.bodyUsed).toBe(read);
  });
});

test('a body that was read meanwhile is never the data of an event: its sender is to send it again', async () => {
  const { context, source } = await rig();
  const init = { method: 'POST', headers: { authorization: 'Bearer t' }, body: '{"body":{"size":1}}' };
  const request = new Request('http://127.0.0.1/hooks/call', init);
  const response = await source.handle?.(request, { remoteAddress: '192.0.2.1' });
  expect(response?.status).toBe(503);
  expect(context.events).toEqual([]);
});

test('a trigger without files takes none, and one with files does not start without a place for them', async () => {
  const plain = createWebhookSource({ name: 'call', spec: { kind: 'webhook', auth: 'none' } });
  expect('receive' in plain && plain.receive !== undefined).toBe(false);
  const source = createWebhookSource({ name: 'call', spec: SPEC });
  await expect(source.start(new Context(TOKEN))).rejects.toThrow(/no place for bodies/);
});
