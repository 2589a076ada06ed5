import type { CloudEvent } from '../../src/core/event.ts';
import type { Json, JsonObject } from '../../src/core/json.ts';
import { buildEvent } from './attributes.ts';
import { decodeText, parseJson } from './json.ts';
import { reject, type Rejection, type Result } from './problem.ts';

/** As Eventarc calls the same. */
export const PUBSUB_TYPE = 'google.cloud.pubsub.topic.v1.messagePublished';
export const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * The event of a Pub/Sub push (with its wrapper, as it is unless somebody turned that off). `data` is Eventarc's,
 * `{ subscription, message: { messageId, publishTime, attributes, data, … } }`, but with the message's own data
 * decoded: the JSON value where it is JSON, else the text; bytes that are no text stay as they came, in `data_base64`.
 * How often Pub/Sub tried is an attribute, `deliveryattempt`: the same message stays the same data. `time`: RFC 3339,
 * where the message has none.
 */
export function pubsubEvent(body: Json, time: string): Result<CloudEvent> {
  const { message, subscription, deliveryAttempt } = objectOf(body);
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return wrong('message');
  const id = message['messageId'] ?? message['message_id'];
  if (typeof id !== 'string') return wrong('message.messageId');
  if (typeof subscription !== 'string') return wrong('subscription');
  const { data = '', attributes = {}, orderingKey } = message;
  if (typeof data !== 'string' || !BASE64.test(data)) return wrong('message.data');
  const published = message['publishTime'] ?? message['publish_time'] ?? time;
  const event = buildEvent(
    [
      ['time', published],
      ['id', id],
      ['source', `//pubsub.googleapis.com/${subscription}`],
      ['type', PUBSUB_TYPE],
      ['deliveryattempt', deliveryAttempt ?? null],
    ],
    { declared: false, defaults: { id, source: subscription, type: PUBSUB_TYPE, time }, where: 'message.' },
  );
  if (!event.ok) return event;
  const ordered = orderingKey === undefined || orderingKey === '' ? {} : { orderingKey };
  const content = messageData(data);
  const told = { messageId: id, publishTime: published, attributes, ...ordered, ...content };
  return {
    ok: true,
    value: { ...event.value, datacontenttype: 'application/json', data: { subscription, message: told } },
  };
}

function messageData(base64: string): JsonObject {
  if (base64 === '') return { data: null };
  const bytes = Buffer.from(base64, 'base64');
  const json = parseJson(bytes);
  if (json.ok) return { data: json.value };
  const text = decodeText(bytes);
  return text.ok ? { data: text.value } : { data: null, data_base64: base64 };
}

const objectOf = (value: Json): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};

function wrong(path: string): Rejection {
  const detail = `This is no Pub/Sub push: ${path} is missing or of another kind. Let the subscription push with its wrapper.`;
  return reject(422, detail, path);
}
