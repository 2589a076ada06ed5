import { describe, expect, test } from 'vitest';
import { callToEvents, EVENT_TYPE } from '../../../triggers/webhook/event.ts';

const NOW = Date.parse('2026-06-01T12:00:00Z');
const DEFAULTS = {
  specversion: '1.0',
  id: 'new-id',
  source: '/hooks/call',
  type: EVENT_TYPE,
  time: '2026-06-01T12:00:00.000Z',
};
const CE = {
  specversion: '1.0',
  id: 'a-1',
  source: 'https://shop.example/orders',
  type: 'com.example.order',
};

function call(headers: Record<string, string>, body: string | Uint8Array = '', attributesInHeaders = true) {
  return callToEvents({
    trigger: 'call',
    headers: new Headers(headers),
    attributesInHeaders,
    body: Buffer.from(body),
    now: NOW,
    newId: () => 'new-id',
  });
}
const json = (headers: Record<string, string>, body: unknown) =>
  call({ 'content-type': 'application/json', ...headers }, JSON.stringify(body));
const structured = (event: unknown) =>
  call({ 'content-type': 'application/cloudevents+json' }, JSON.stringify(event));
const one = (event: object) => ({ ok: true, value: { batch: false, events: [event] } });
/** The sender gave no id. */
const unnamed = (event: object) => ({ ok: true, value: { batch: false, events: [event], unnamed: true } });

test('where only the body is signed, headers give an id and no other attribute', () => {
  const headers = {
    'content-type': 'application/json',
    'ce-specversion': '1.0',
    'ce-id': 'a-1',
    'ce-type': 'com.evil.deploy',
    'ce-source': '/evil',
    'ce-subject': 'evil',
    'ce-broken': '%',
  };
  const plain = { ...DEFAULTS, datacontenttype: 'application/json', data: 1 };
  expect(call(headers, '1', false)).toEqual(one({ ...plain, id: 'a-1' }));
  expect(call({ 'content-type': 'application/json', 'webhook-id': 'w-1' }, '1', false)).toEqual(
    one({ ...plain, id: 'w-1' }),
  );
  const signed = { ...CE, type: 'signed' };
  const whole = { ...headers, 'content-type': 'application/cloudevents+json' };
  expect(call(whole, JSON.stringify(signed), false)).toMatchObject(one(signed));
});

describe('plain calls', () => {
  test.each<[string, string, string | Uint8Array, unknown]>([
    ['JSON', 'application/json', '{"a":[1,null,"x"]}', { a: [1, null, 'x'] }],
    ['JSON with a charset', 'application/json; charset=UTF-8', '"é"', 'é'],
    ['JSON with a quoted charset', 'Application/JSON;charset="utf-8"', '1', 1],
    ['a JSON dialect', 'application/vnd.github+json', 'true', true],
    [
      'a form',
      'application/x-www-form-urlencoded',
      'a=1&b=x+y%21&a=2&a=3&c',
      { a: ['1', '2', '3'], b: 'x y!', c: '' },
    ],
    ['text', 'text/plain', 'hello', 'hello'],
    ['text in ASCII', 'text/plain; charset=us-ascii', 'hello', 'hello'],
    ['another kind of text', 'text/csv', 'a;b', 'a;b'],
    ['XML', 'application/xml', '<a/>', '<a/>'],
    ['a dialect of XML', 'application/atom+xml', '<a/>', '<a/>'],
  ])('%s becomes data', (_name, type, body, data) => {
    expect(call({ 'content-type': type }, body)).toEqual(
      unnamed({ ...DEFAULTS, datacontenttype: type, data }),
    );
  });

  test.each<[string, Record<string, string>]>([
    ['no headers', {}],
    ['a content type', { 'content-type': 'application/json' }],
    ['an unknown content type', { 'content-type': 'application/pdf' }],
  ])('no body and %s: data is null', (_name, headers) => {
    expect(call(headers)).toEqual(unnamed({ ...DEFAULTS, data: null }));
  });

  test('a form field named like the prototype is a field', () => {
    const result = call({ 'content-type': 'application/x-www-form-urlencoded' }, '__proto__=x&a=1');
    const data = result.ok ? result.value.events[0]?.data : undefined;
    expect(Object.keys(data ?? {})).toEqual(['__proto__', 'a']);
  });

  test.each<[string, Record<string, string>, string | Uint8Array, number]>([
    ['a body without a type', {}, 'x', 415],
    ['an unknown type', { 'content-type': 'application/pdf' }, 'x', 415],
    ['multipart', { 'content-type': 'multipart/form-data; boundary=x' }, 'x', 415],
    ['XML events', { 'content-type': 'application/cloudevents+xml' }, '<x/>', 415],
    ['a type that is none', { 'content-type': 'json' }, '1', 415],
    ['another charset', { 'content-type': 'text/plain; charset=iso-8859-1' }, 'x', 415],
    ['a compressed body', { 'content-type': 'application/json', 'content-encoding': 'gzip' }, 'x', 415],
    ['broken JSON', { 'content-type': 'application/json' }, '{"a":', 400],
    ['JSON with more behind it', { 'content-type': 'application/json' }, '1 2', 400],
    ['text that is no UTF-8', { 'content-type': 'text/plain' }, Uint8Array.from([0xc3, 0x28]), 400],
    [
      'a form of too many fields',
      { 'content-type': 'application/x-www-form-urlencoded' },
      'a&'.repeat(1001),
      400,
    ],
  ])('refuses %s', (_name, headers, body, status) => {
    expect(call(headers, body)).toMatchObject({ ok: false, status });
  });
});

describe('the id', () => {
  test.each<[Record<string, string>, string]>([
    [{ 'ce-id': 'c', 'idempotency-key': 'i', 'webhook-id': 'w', 'x-github-delivery': 'g' }, 'c'],
    [{ 'idempotency-key': 'i', 'webhook-id': 'w', 'x-github-delivery': 'g' }, 'i'],
    [{ 'webhook-id': 'w', 'x-github-delivery': 'g' }, 'w'],
    [{ 'x-github-delivery': 'g' }, 'g'],
    [{}, 'new-id'],
    [{ 'idempotency-key': '"8e03978e-40d5"' }, '8e03978e-40d5'],
    [{ 'idempotency-key': 'x'.repeat(256) }, 'x'.repeat(256)],
  ])('of %o is %s', (headers, id) => {
    expect(json(headers, {})).toMatchObject({ value: { events: [{ id }] } });
  });

  test.each<[string, Record<string, string>, number]>([
    ['an empty key', { 'idempotency-key': '' }, 400],
    ['an empty quoted key', { 'idempotency-key': '""' }, 400],
    ['a long key', { 'idempotency-key': 'x'.repeat(257) }, 400],
    ['a key that is not ASCII', { 'webhook-id': 'é' }, 400],
    ['a tab in a key', { 'x-github-delivery': 'a\tb' }, 400],
    ['a long ce-id', { 'ce-id': 'x'.repeat(257) }, 422],
    ['an empty ce-id', { 'ce-id': '' }, 422],
    ['a line break in ce-id', { 'ce-id': 'a%0Ab' }, 422],
  ])('refuses %s', (_name, headers, status) => {
    expect(json(headers, {})).toMatchObject({ ok: false, status, path: Object.keys(headers)[0] });
  });
});

describe('binary CloudEvents', () => {
  const headers = { 'ce-specversion': '1.0', 'ce-id': 'a-1', 'ce-source': CE.source, 'ce-type': CE.type };

  test.each([
    ['"a b"', 'a b'],
    ['x "a\\"b" y "c"', 'x a"b y c'],
    ['"not closed', '"not closed'],
    ['"a" "b\\', 'a "b\\'],
  ])('quotes are undone where they are closed: %s', (subject, read) => {
    expect(json({ ...headers, 'ce-subject': subject }, {})).toMatchObject({
      value: { events: [{ subject: read }] },
    });
  });

  test('16 KiB of quotes that are not closed are read within 5 ms', () => {
    const subject = '\\"'.repeat(8_000);
    // Of several tries the fastest: the machine may be busy.
    let fastest = Infinity;
    for (let i = 0; i < 5; i++) {
      const start = performance.now();
      json({ ...headers, 'ce-subject': subject }, {});
      fastest = Math.min(fastest, performance.now() - start);
    }
    expect(fastest).toBeLessThan(5);
  });

  test('attributes come from the headers, data from the body', () => {
    const more = {
      'ce-subject': 'n%C3%A9',
      'ce-time': '2026-05-31T10:00:00+02:00',
      'ce-traceparent': '00-x',
      'ce-n1': '"a\\"b"',
    };
    expect(json({ ...headers, ...more }, { n: 1 })).toEqual(
      one({
        ...CE,
        subject: 'né',
        time: '2026-05-31T10:00:00+02:00',
        datacontenttype: 'application/json',
        extensions: { traceparent: '00-x', n1: 'a"b' },
        data: { n: 1 },
      }),
    );
  });

  test('attributes without ce-specversion are taken, what is missing is filled in', () => {
    expect(json({ 'ce-type': 'my.type', 'ce-id': 'x' }, 1)).toMatchObject({
      value: { events: [{ ...DEFAULTS, type: 'my.type', id: 'x' }] },
    });
  });

  test.each(['ce-id', 'ce-source', 'ce-type'])(
    'a declared CloudEvent without %s is refused, by name',
    (name) => {
      const rest = Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
      expect(json(rest, {})).toMatchObject({
        status: 422,
        path: name,
        detail: expect.stringContaining('is missing'),
      });
    },
  );

  test.each<[string, string]>([
    ['ce-specversion', '0.3'],
    ['ce-source', 'with space'],
    ['ce-time', 'yesterday'],
    ['ce-time', '2026-02-31T00:00:00Z'],
    ['ce-time', '2026-01-01'],
    ['ce-subject', '%E0%A4%A'],
    ['ce-subject', '100%'],
    ['ce-dataschema', 'relative'],
    ['ce-data', 'x'],
    ['ce-with-dash', 'x'],
    ['ce-with_underline', 'x'],
    ['ce-thisnameislongerthantwenty', 'x'],
    ['ce-long', 'x'.repeat(2049)],
    ['ce-type', ''],
  ])('%s: %s is refused, by name', (name, value) => {
    expect(json({ ...headers, [name]: value }, {})).toMatchObject({ ok: false, status: 422, path: name });
  });
});

describe('structured CloudEvents', () => {
  test('the body is the event; headers say nothing', () => {
    const event = {
      ...CE,
      time: '2026-05-31T10:00:00Z',
      subject: null,
      n: 7,
      flag: false,
      word: 'x',
      data: { a: 1 },
    };
    const result = call(
      { 'content-type': 'application/cloudevents+json; charset=utf-8', 'ce-id': 'z' },
      JSON.stringify(event),
    );
    expect(result).toEqual(
      one({ ...CE, time: event.time, extensions: { n: 7, flag: false, word: 'x' }, data: { a: 1 } }),
    );
  });

  test('no data is null data; no time is now', () => {
    expect(structured(CE)).toEqual(one({ ...CE, time: DEFAULTS.time, data: null }));
  });

  test.each<[string, object, unknown]>([
    ['JSON', {}, { a: 1 }],
    ['text', { datacontenttype: 'text/plain' }, '{"a":1}'],
  ])('data_base64 of %s is decoded', (_name, change, data) => {
    const base64 = Buffer.from('{"a":1}').toString('base64');
    expect(structured({ ...CE, ...change, data_base64: base64 })).toMatchObject({
      value: { events: [{ data }] },
    });
  });

  test.each<[string, object, number, string | undefined]>([
    ['specversion', { specversion: '2.0' }, 422, 'specversion'],
    ['no specversion', { specversion: undefined }, 422, 'specversion'],
    ['id a number', { id: 1 }, 422, 'id'],
    ['id null', { id: null }, 422, 'id'],
    ['id empty', { id: '' }, 422, 'id'],
    ['id with a control character', { id: 'a\u0007' }, 422, 'id'],
    ['id with half a character', { id: 'a\ud800' }, 422, 'id'],
    ['no type', { type: undefined }, 422, 'type'],
    ['source a list', { source: [] }, 422, 'source'],
    ['datacontenttype', { datacontenttype: 'json' }, 422, 'datacontenttype'],
    ['an extension that is an object', { ext: {} }, 422, 'ext'],
    ['an extension with a fraction', { ext: 1.5 }, 422, 'ext'],
    ['an extension beyond 32 bits', { ext: 2 ** 31 }, 422, 'ext'],
    ['an extension in upper case', { Ext: 'x' }, 422, 'Ext'],
    ['an extension of the prototype', JSON.parse('{"__proto__":"x"}') as object, 422, '__proto__'],
    ['both kinds of data', { data: 1, data_base64: 'AA==' }, 422, 'data_base64'],
    ['bad base64', { data_base64: 'A' }, 422, 'data_base64'],
    ['data_base64 a number', { data_base64: 1 }, 422, 'data_base64'],
    ['data_base64 of broken JSON', { data_base64: 'e30x' }, 400, undefined],
  ])('refuses %s', (_name, change, status, path) => {
    const event = Object.fromEntries([...Object.entries(CE), ...Object.entries(change)]);
    const text = JSON.stringify(event);
    const result = call({ 'content-type': 'application/cloudevents+json' }, text);
    expect(result).toMatchObject({ ok: false, status });
    expect((result as { path?: string }).path).toBe(path);
  });

  test.each([null, [], 'x', 1])('refuses %j, which is no event', (body) => {
    expect(structured(body)).toMatchObject({ ok: false, status: 422 });
  });

  test('more than 64 extensions are refused', () => {
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`e${i}`, 'x']));
    expect(structured({ ...CE, ...many })).toMatchObject({ ok: false, status: 422 });
  });
});

describe('batches', () => {
  const batch = (events: unknown) =>
    call({ 'content-type': 'application/cloudevents-batch+json' }, JSON.stringify(events));

  test('every element is an event, in order', () => {
    expect(
      batch([
        { ...CE, id: '1' },
        { ...CE, id: '2', data: 5 },
      ]),
    ).toMatchObject({
      ok: true,
      value: {
        batch: true,
        events: [
          { id: '1', data: null },
          { id: '2', data: 5 },
        ],
      },
    });
  });

  test('one bad element refuses all, and is named', () => {
    expect(batch([CE, { ...CE, type: 1 }])).toMatchObject({ ok: false, status: 422, path: '[1].type' });
    expect(batch([CE, 7])).toMatchObject({ ok: false, status: 422, detail: expect.stringContaining('[1]') });
  });

  test('may be empty, as the standard says', () => {
    expect(batch([])).toEqual({ ok: true, value: { batch: true, events: [] } });
  });

  test.each([[{}], [Array.from({ length: 101 }, () => CE)], [null]])('refuses %#', (events) => {
    expect(batch(events)).toMatchObject({ ok: false, status: 422 });
  });
});
