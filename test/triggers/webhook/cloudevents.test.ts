import { CloudEvent, HTTP } from 'cloudevents';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { callToEvents } from '../../../triggers/webhook/event.ts';

const TIME = '2026-06-01T12:00:00.000Z';
const BATCH = 'application/cloudevents-batch+json';

function ours(headers: Readonly<Record<string, unknown>>, body: string) {
  const texts = Object.entries(headers).map(([name, value]) => [name, String(value)]);
  return callToEvents({
    trigger: 'call',
    headers: new Headers(Object.fromEntries(texts) as Record<string, string>),
    attributesInHeaders: true,
    body: Buffer.from(body),
    now: Date.parse(TIME),
    newId: () => 'new-id',
  });
}
/** Attributes and data side by side, as the SDK has them; without what the body's type is called. */
function flat(result: ReturnType<typeof ours>): object[] {
  if (!result.ok) throw new Error(result.detail);
  return result.value.events.map(({ extensions, datacontenttype: _type, ...named }) => ({
    ...named,
    ...extensions,
  }));
}
function theirs(message: { headers: object; body: unknown }): object[] {
  const events = HTTP.toEvent(message as Parameters<typeof HTTP.toEvent>[0]);
  return [events].flat().map((event) => {
    const { datacontenttype: _type, ...rest } = (event as CloudEvent<unknown>).toJSON();
    return rest;
  });
}

/** What needs no encoding in a header: there the two must not differ. */
const plainText = fc.stringMatching(/^[!#-$&-~]{1,30}$/);
const anyText = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
  // oxlint-disable-next-line no-control-regex
  .filter((text) => !/[\u0000-\u001f\u007f-\u009f]/.test(text));
const event = (text: fc.Arbitrary<string>) =>
  fc.record({
    id: text,
    source: fc.stringMatching(/^\/[a-z0-9/]{0,20}$/),
    type: text,
    subject: text,
    time: fc
      .date({ noInvalidDate: true, min: new Date('2000-01-01'), max: new Date('2100-01-01') })
      .map((date) => date.toISOString()),
    word: text,
    data: fc.dictionary(fc.string({ maxLength: 5 }), fc.oneof(fc.string(), fc.integer(), fc.boolean())),
  });

describe('the official SDK', () => {
  test('writes structured events that we read as it does', () => {
    fc.assert(
      fc.property(
        event(anyText),
        fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        fc.boolean(),
        (given, n, flag) => {
          const message = HTTP.structured(new CloudEvent({ ...given, n, flag }));
          const read = flat(ours(message.headers, message.body as string));
          expect(read).toEqual([{ specversion: '1.0', ...given, n, flag }]);
          expect(read).toEqual(theirs(message));
        },
      ),
    );
  });

  test('writes binary events that we read as it does, where it writes what the standard wants', () => {
    fc.assert(
      fc.property(event(plainText), (given) => {
        const message = HTTP.binary(new CloudEvent(given));
        const read = flat(ours(message.headers, message.body as string));
        expect(read).toEqual([{ specversion: '1.0', ...given }]);
        expect(read).toEqual(theirs(message));
      }),
    );
  });

  test('reads batches as we do', () => {
    fc.assert(
      fc.property(fc.array(event(anyText), { minLength: 1, maxLength: 5 }), (given) => {
        const body = JSON.stringify(given.map((one) => ({ specversion: '1.0', ...one })));
        const message = { headers: { 'content-type': BATCH }, body };
        expect(flat(ours(message.headers, body))).toEqual(theirs(message));
      }),
    );
  });

  test('leaves percent-encoding undone, where we follow the standard', () => {
    const headers = {
      'ce-specversion': '1.0',
      'ce-id': '1',
      'ce-source': '/s',
      'ce-type': 't',
      'ce-subject': 'Euro%20%E2%82%AC%20%F0%9F%98%80',
      'content-type': 'application/json',
    };
    expect(theirs({ headers, body: '{}' })).toMatchObject([{ subject: 'Euro%20%E2%82%AC%20%F0%9F%98%80' }]);
    expect(flat(ours(headers, '{}'))).toMatchObject([{ subject: 'Euro € 😀' }]);
  });

  test('makes up a time, where we say when the call came', () => {
    const body = JSON.stringify({ specversion: '1.0', id: '1', source: '/s', type: 't', data: 1 });
    const message = { headers: { 'content-type': 'application/cloudevents+json' }, body };
    expect(theirs(message)).toMatchObject([{ time: expect.stringMatching(/^\d{4}-/) as string }]);
    expect(flat(ours(message.headers, body))).toMatchObject([{ time: TIME }]);
  });
});

describe('the value of a header', () => {
  const subject = (value: string) =>
    ours(
      { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't', 'ce-subject': value },
      '',
    );
  /** The standard's own rule, written down once more: space, quote, percent and all that is not printable ASCII. */
  const encoded = (text: string): string =>
    Array.from(text, (char) =>
      /^[!#$&-~]$/.test(char)
        ? char
        : Array.from(
            Buffer.from(char),
            (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
          ).join(''),
    ).join('');

  test('that the standard encodes is read back as it was', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(flat(subject(encoded(text)))).toMatchObject([{ subject: text }]);
      }),
    );
  });

  test.each([
    ['Euro%20%E2%82%AC%20%F0%9F%98%80', 'Euro € 😀'],
    ['Euro%20%e2%82%ac', 'Euro €'],
    ['%45uro', 'Euro'],
    ['"a b"', 'a b'],
    ['"a \\"b\\" \\\\ %41"', 'a "b" \\ A'],
    ['x "a b" y', 'x a b y'],
    ['a"b', 'a"b'],
    ['100%25', '100%'],
    // Bytes of UTF-8 as they are, as curl sends them: node shows each byte as a character.
    [Buffer.from('Grüße 100%25').toString('latin1'), 'Grüße 100%'],
  ])('%s is %s', (value, text) => {
    expect(flat(subject(value))).toMatchObject([{ subject: text }]);
  });

  test.each(['%C0%A0', '%', '%4', '%zz', '%FF', Buffer.from([0x66, 0xfc]).toString('latin1'), '%00'])(
    '%s is no text',
    (value) => {
      expect(subject(value)).toMatchObject({ ok: false, status: 422, path: 'ce-subject' });
    },
  );
});

describe('data that is neither JSON nor text', () => {
  const attributes = { 'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/s', 'ce-type': 't' };

  test('is kept in base64, in every mode', () => {
    const binary = ours({ ...attributes, 'content-type': 'image/png' }, '\u0001png');
    expect(flat(binary)).toMatchObject([{ data: { base64: 'AXBuZw==' } }]);
    const body = JSON.stringify({
      specversion: '1.0',
      id: '1',
      source: '/s',
      type: 't',
      datacontenttype: 'image/png',
      data_base64: 'AXBuZw==',
    });
    const structured = ours({ 'content-type': 'application/cloudevents+json' }, body);
    expect(flat(structured)).toMatchObject([{ data: { base64: 'AXBuZw==' } }]);
  });

  test('of a call that is no CloudEvent is refused', () => {
    expect(ours({ 'content-type': 'image/png' }, 'x')).toMatchObject({ ok: false, status: 415 });
    expect(ours({ 'content-type': 'application/cloudevents+avro', ...attributes }, 'x')).toMatchObject({
      ok: false,
      status: 415,
    });
  });
});
