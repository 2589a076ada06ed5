import type { CloudEvent } from '../../src/core/event.ts';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { buildEvent, MAX_ID_LENGTH, type Defaults } from './attributes.ts';
import { decodeText, parseJson } from './json.ts';
import { reject, type Result } from './problem.ts';

export const EVENT_TYPE = 'dev.tappet.webhook.v1.received';
const MAX_BATCH = 100;
const MAX_FORM_FIELDS = 1000;
/** The names by which senders mark a repeated call, the standard ones first. */
const ID_HEADERS = ['idempotency-key', 'webhook-id', 'x-github-delivery'] as const;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** A verified call. `now` is epoch ms, `newId` names a call that brings no id. */
export interface RawCall {
  readonly trigger: string;
  readonly headers: Headers;
  /**
   * Whether `ce-*` headers may say what happened. Not where only the body is signed: whoever has seen one call could
   * repeat it with others. The id is taken in any case.
   */
  readonly attributesInHeaders: boolean;
  readonly body: Uint8Array;
  readonly now: number;
  newId(): string;
}
export interface CallEvents {
  readonly events: readonly CloudEvent[];
  /** The sender sent a list, so it gets a list back. */
  readonly batch: boolean;
}

interface MediaType {
  /** Lower case, without parameters; empty where the header is absent. */
  readonly essence: string;
  readonly charset: string | undefined;
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
  if (type.essence === 'application/cloudevents+json') return structured(call, type);
  if (type.essence === 'application/cloudevents-batch+json') return batch(call, type);
  return single(binary(call, type));
}

const single = (event: Result<CloudEvent>): Result<CallEvents> =>
  event.ok ? { ok: true, value: { events: [event.value], batch: false } } : event;

function structured(call: RawCall, type: MediaType): Result<CallEvents> {
  const json = decode(call.body, { ...type, essence: 'application/json' });
  return json.ok ? single(envelope(json.value, call, '')) : json;
}

function batch(call: RawCall, type: MediaType): Result<CallEvents> {
  const json = decode(call.body, { ...type, essence: 'application/json' });
  if (!json.ok) return json;
  if (!Array.isArray(json.value)) return reject(422, 'A CloudEvents batch must be a JSON array.');
  const count = json.value.length;
  if (count === 0 || count > MAX_BATCH)
    return reject(422, `A batch must hold 1 to ${MAX_BATCH} events, not ${count}.`);
  const events: CloudEvent[] = [];
  for (const [index, value] of json.value.entries()) {
    const event = envelope(value, call, `[${index}].`);
    if (!event.ok) return event;
    events.push(event.value);
  }
  return { ok: true, value: { events, batch: true } };
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
  if (base64 === null) return { ok: true, value: { ...event.value, data } };
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
  );
  return decoded.ok ? { ok: true, value: { ...event.value, data: decoded.value } } : decoded;
}

/** Binary mode, or a call that knows nothing of CloudEvents: attributes in headers if anywhere, the body is the data. */
function binary(call: RawCall, type: MediaType): Result<CloudEvent> {
  const data = decode(call.body, type);
  if (!data.ok) return data;
  const attributes = headerAttributes(call);
  if (!attributes.ok) return attributes;
  const id = attributes.value.has('id') ? { ok: true as const, value: '' } : idFromHeaders(call);
  if (!id.ok) return id;
  const declared = attributes.value.has('specversion');
  const defaults = defaultsOf(call, id.value);
  const event = buildEvent(attributes.value, { declared, defaults, where: 'ce-' });
  if (!event.ok) return event;
  const datacontenttype = call.headers.get('content-type');
  const typed = datacontenttype === null || call.body.length === 0 ? {} : { datacontenttype };
  return { ok: true, value: { ...event.value, ...typed, data: data.value } };
}

function defaultsOf(call: RawCall, id: string): Defaults {
  const time = new Date(call.now).toISOString();
  return { id, source: `/hooks/${call.trigger}`, type: EVENT_TYPE, time };
}

function idFromHeaders(call: RawCall): Result<string> {
  for (const name of ID_HEADERS) {
    const value = call.headers.get(name);
    if (value === null) continue;
    // The Idempotency-Key draft writes a structured-field string, in quotes; most senders write it bare.
    const id = /^"([^"\\]*)"$/.exec(value)?.[1] ?? value;
    if (/^[\x20-\x7e]+$/.test(id) && id.length <= MAX_ID_LENGTH) return { ok: true, value: id };
    return reject(
      400,
      `The ${name} header must hold 1 to ${MAX_ID_LENGTH} printable ASCII characters.`,
      name,
    );
  }
  return { ok: true, value: call.newId() };
}

function headerAttributes({ headers, attributesInHeaders }: RawCall): Result<Map<string, string>> {
  const attributes = new Map<string, string>();
  for (const [name, value] of headers) {
    if (!name.startsWith('ce-') || !(attributesInHeaders || name === 'ce-id')) continue;
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

/** CloudEvents HTTP binding §3.1.3.2: quotes undone first, then one round of percent-decoding. */
function decodeHeader(value: string): string | undefined {
  const quoted = /^"(.*)"$/.exec(value)?.[1];
  const bare = quoted === undefined ? value : quoted.replace(/\\(.)/g, '$1');
  try {
    return decodeURIComponent(bare);
  } catch {
    return undefined;
  }
}

function mediaType(header: string): MediaType {
  const [essence = '', ...parameters] = header.toLowerCase().split(';');
  const charset = parameters
    .map((one) => /^\s*charset="?([^"\s]*)"?\s*$/.exec(one)?.[1])
    .find((one) => one !== undefined);
  return { essence: essence.trim(), charset };
}

/** A body, or the bytes of `data_base64`, as JSON. */
function decode(body: Uint8Array, { essence, charset }: MediaType): Result<Json> {
  if (body.length === 0) return { ok: true, value: null };
  if (charset !== undefined && !['utf-8', 'utf8', 'us-ascii'].includes(charset)) {
    return reject(415, `The charset ${charset} is not supported: send UTF-8.`, 'content-type');
  }
  if (essence === 'application/json' || /^[^/]+\/[^/]+\+json$/.test(essence)) return parseJson(body);
  if (essence === 'text/plain') return decodeText(body);
  if (essence === 'application/x-www-form-urlencoded') return decodeForm(body);
  const what =
    essence === '' ? 'A body needs a content-type' : `The content-type ${essence} is not supported`;
  const known = 'application/json, application/cloudevents+json, application/cloudevents-batch+json';
  return reject(415, `${what}: send ${known}, a form (urlencoded) or text/plain.`, 'content-type');
}

/** Names to values; a name that comes again gets a list. */
function decodeForm(body: Uint8Array): Result<JsonObject> {
  const text = decodeText(body);
  if (!text.ok) return text;
  const fields = new Map<string, Json>();
  let count = 0;
  for (const [name, value] of new URLSearchParams(text.value)) {
    if (++count > MAX_FORM_FIELDS) return reject(400, `The form has more than ${MAX_FORM_FIELDS} fields.`);
    const before = fields.get(name);
    if (before === undefined) fields.set(name, value);
    else if (Array.isArray(before)) before.push(value);
    else fields.set(name, [before, value]);
  }
  return { ok: true, value: Object.fromEntries(fields) };
}
