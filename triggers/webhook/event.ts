import type { CloudEvent } from '../../src/core/event.ts';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { buildEvent, MAX_ID_LENGTH, type Defaults } from './attributes.ts';
import { contentOf, decodeForm } from './form.ts';
import { decodeText, parseJson } from './json.ts';
import { mediaType, type MediaType } from './media-type.ts';
import { reject, type Result } from './problem.ts';
import { BASE64, pubsubEvent } from './pubsub.ts';

export const EVENT_TYPE = 'dev.tappet.webhook.v1.received';
const MAX_BATCH = 100;
/** The names by which senders mark a repeated call, the standard ones first. */
const ID_HEADERS = ['idempotency-key', 'webhook-id', 'x-github-delivery'] as const;

const XML = /^application\/(?:(?!cloudevents)[^/]+\+)?xml$/;
// oxlint-disable-next-line no-control-regex
const NOT_ASCII = /[^\u0000-\u007f]/;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A verified call. `now` is epoch ms, `newId` names a call that brings no id. */
export interface RawCall {
  readonly trigger: string;
  readonly headers: Headers;
  /**
   * Whether `ce-*` headers may say what happened. Not where only the body is signed: whoever has seen one call could
   * repeat it with others. The id is taken in any case.
   */
  readonly attributesInHeaders: boolean;
  /** The id that is signed along with the body: no header names another. */
  readonly signedId?: string;
  /** Absent = a CloudEvent in any mode, or whatever else is sent. */
  readonly format?: 'pubsub';
  readonly body: Uint8Array;
  /** What a multipart body holds. */
  readonly form?: JsonObject;
  /** What is said of a body that is a file, in its place. */
  readonly file?: JsonObject;
  readonly now: number;
  newId(): string;
}
export interface CallEvents {
  readonly events: readonly CloudEvent[];
  /** The sender sent a list, so it gets a list back. */
  readonly batch: boolean;
  /** The id is ours: the sender gave none, and cannot mean the same event by another call. */
  readonly unnamed?: true;
  /** The id that is signed along with the body, where the events bear other ones. */
  readonly signedId?: string;
}

/**
 * What a call says happened: a CloudEvent in structured, batched or binary mode (CloudEvents HTTP binding 1.0), or any
 * other JSON, form, text or empty body, which becomes the `data` of an event of our own type.
 */
export function callToEvents(call: RawCall): Result<CallEvents> {
  const encoding = call.headers.get('content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity') {
    return reject(415, 'Compressed bodies are not accepted: send the body without content-encoding.');
  }
  const type = mediaType(call.headers.get('content-type') ?? '');
  if (call.file !== undefined) return binary(call, type);
  if (call.format === 'pubsub') return pubsub(call, type);
  if (type.essence === 'application/cloudevents+json') return structured(call, type);
  if (type.essence === 'application/cloudevents-batch+json') return batch(call, type);
  return binary(call, type);
}

const single = (event: Result<CloudEvent>): Result<CallEvents> =>
  event.ok ? { ok: true, value: { events: [event.value], batch: false } } : event;

function structured(call: RawCall, type: MediaType): Result<CallEvents> {
  const json = decode(call.body, { ...type, essence: 'application/json' });
  return json.ok ? withSignedId(single(envelope(json.value, call, '')), call) : json;
}

/** Nobody signs the type of a body: read as another one, the same call must not be another event. */
function withSignedId(given: Result<CallEvents>, { signedId }: RawCall): Result<CallEvents> {
  if (!given.ok || signedId === undefined) return given;
  const checked = checkedId('webhook-id', signedId);
  return checked.ok ? { ok: true, value: { ...given.value, signedId: checked.value } } : checked;
}

function batch(call: RawCall, type: MediaType): Result<CallEvents> {
  const json = decode(call.body, { ...type, essence: 'application/json' });
  if (!json.ok) return json;
  if (!Array.isArray(json.value)) return reject(422, 'A CloudEvents batch must be a JSON array.');
  const count = json.value.length;
  if (count > MAX_BATCH) return reject(422, `A batch may hold ${MAX_BATCH} events at most, not ${count}.`);
  const events: CloudEvent[] = [];
  for (const [index, value] of json.value.entries()) {
    const event = envelope(value, call, `[${index}].`);
    if (!event.ok) return event;
    events.push(event.value);
  }
  return withSignedId({ ok: true, value: { events, batch: true } }, call);
}

function pubsub(call: RawCall, type: MediaType): Result<CallEvents> {
  const json = decode(call.body, { ...type, essence: 'application/json' });
  return json.ok ? single(pubsubEvent(json.value, new Date(call.now).toISOString())) : json;
}

/** One event in CloudEvents' JSON format. */
function envelope(value: Json, call: RawCall, where: string): Result<CloudEvent> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return reject(
      422,
      `Not a valid CloudEvent: ${where === '' ? 'the body' : where.slice(0, -1)} must be a JSON object.`,
    );
  }
  const { data = null, data_base64: base64 = null, ...attributes } = value;
  const event = buildEvent(Object.entries(attributes), {
    declared: true,
    defaults: defaultsOf(call, ''),
    where,
  });
  if (!event.ok) return event;
  if (base64 === null) return { ok: true, value: Object.assign(event.value, { data }) };
  if (data !== null || typeof base64 !== 'string' || !BASE64.test(base64)) {
    const path = `${where}data_base64`;
    return reject(
      422,
      `Not a valid CloudEvent: ${path} must be base64, and data must not stand beside it.`,
      path,
    );
  }
  const decoded = decode(
    Buffer.from(base64, 'base64'),
    mediaType(event.value.datacontenttype ?? 'application/json'),
    true,
  );
  return decoded.ok ? { ok: true, value: Object.assign(event.value, { data: decoded.value }) } : decoded;
}

/** Binary mode, or a call that knows nothing of CloudEvents: attributes in headers if anywhere, the body is the data. */
function binary(call: RawCall, type: MediaType): Result<CallEvents> {
  const attributes = headerAttributes(call);
  if (!attributes.ok) return attributes;
  const declared = attributes.value.has('specversion');
  const data = bodyData(call, type, declared);
  if (!data.ok) return data;
  const id = attributes.value.has('id') ? { ok: true as const, value: '' } : idFromHeaders(call);
  if (!id.ok) return id;
  const defaults = defaultsOf(call, id.value ?? call.newId());
  const event = buildEvent(attributes.value, { declared, defaults, where: 'ce-' });
  if (!event.ok) return event;
  const datacontenttype = call.headers.get('content-type');
  const typed = datacontenttype === null || call.body.length === 0 ? {} : { datacontenttype };
  // The event is ours alone; in place of a spread: see “What a call makes dies with it” in docs/architecture.md.
  const events = [Object.assign(event.value, typed, { data: data.value })];
  if (id.value === undefined) return { ok: true, value: { events, batch: false, unnamed: true } };
  return { ok: true, value: { events, batch: false } };
}

/** A CloudEvent may carry data of any type; of other calls, what is not known is probably a mistake. */
function bodyData({ body, form, file }: RawCall, type: MediaType, declared: boolean): Result<Json> {
  if (file !== undefined) return { ok: true, value: file };
  return form === undefined ? decode(body, type, declared) : { ok: true, value: form };
}

function defaultsOf(call: RawCall, id: string): Defaults {
  const time = new Date(call.now).toISOString();
  return { id, source: sourceOf(call.trigger), type: EVENT_TYPE, time };
}

/** Of events whose sender names no source. */
export const sourceOf = (trigger: string): string => `/hooks/${trigger}`;

/** undefined: the sender gives none. */
function idFromHeaders(call: RawCall): Result<string | undefined> {
  if (call.signedId !== undefined) return checkedId('webhook-id', call.signedId);
  for (const name of ID_HEADERS) {
    const value = call.headers.get(name);
    if (value !== null) return checkedId(name, value);
  }
  return { ok: true, value: undefined };
}

function checkedId(name: string, value: string): Result<string> {
  // The Idempotency-Key draft writes a structured-field string, in quotes; most senders write it bare.
  const id = /^"([^"\\]*)"$/.exec(value)?.[1] ?? value;
  if (/^[\x20-\x7e]+$/.test(id) && id.length <= MAX_ID_LENGTH) return { ok: true, value: id };
  return reject(400, `The ${name} header must hold 1 to ${MAX_ID_LENGTH} printable ASCII characters.`, name);
}

function headerAttributes({ headers, attributesInHeaders, signedId }: RawCall): Result<Map<string, string>> {
  const attributes = new Map<string, string>();
  for (const [name, value] of headers) {
    if (!name.startsWith('ce-') || !(attributesInHeaders || (name === 'ce-id' && signedId === undefined)))
      continue;
    const decoded = decodeHeader(value);
    if (decoded === undefined) {
      return reject(
        422,
        `Not a valid CloudEvent: ${name} is not percent-encoded as the HTTP binding wants it.`,
        name,
      );
    }
    attributes.set(name.slice(3), decoded);
  }
  return { ok: true, value: attributes };
}

/**
 * CloudEvents HTTP binding §3.1.3.2: quoted strings undone first, then one round of percent-decoding, which must give
 * UTF-8. Bytes above ASCII, which a sender had to encode, are taken for UTF-8 too: node has read each as a character.
 */
function decodeHeader(value: string): string | undefined {
  // One that is not closed is taken along to the end, and stays: looked for again at each quote it would take long.
  const bare = value.replace(/"((?:[^"\\]|\\.)*)("?)/g, (all, text: string, end: string) =>
    end === '' ? all : text.replace(/\\(.)/g, '$1'),
  );
  try {
    if (!NOT_ASCII.test(bare)) return decodeURIComponent(bare);
    return decodeURIComponent(encodeURI(utf8.decode(Buffer.from(bare, 'latin1'))).replaceAll('%25', '%'));
  } catch {
    return undefined;
  }
}

/** A body, or the bytes of `data_base64`, as JSON; of `any` other type as `{ base64 }`. */
function decode(body: Uint8Array, { essence, charset }: MediaType, any = false): Result<Json> {
  if (body.length === 0) return { ok: true, value: null };
  if (charset !== undefined && !['utf-8', 'utf8', 'us-ascii'].includes(charset)) {
    return reject(415, `The charset ${charset} is not supported: send UTF-8.`, 'content-type');
  }
  if (essence === 'application/json' || /^[^/]+\/[^/]+\+json$/.test(essence)) return parseJson(body);
  if (essence.startsWith('text/') || XML.test(essence)) return decodeText(body);
  if (essence === 'application/x-www-form-urlencoded') return decodeForm(body);
  if (any && essence !== '' && !essence.startsWith('application/cloudevents'))
    return { ok: true, value: contentOf(body, '') };
  const what =
    essence === '' ? 'A body needs a content-type' : `The content-type ${essence} is not supported`;
  const known = 'application/json, application/cloudevents+json, application/cloudevents-batch+json';
  return reject(415, `${what}: send ${known}, a form or text.`, 'content-type');
}
