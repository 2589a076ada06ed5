import { TappetError } from '../core/errors.ts';
import type { CloudEvent } from '../core/event.ts';
import type { Json } from '../core/json.ts';

/** Identities are index keys in the store; CloudEvents itself sets no bound. */
const ATTRIBUTE_MAX = 2_048;
/** RFC 3339 `date-time`. */
const TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;
const EXTENSION = /^[a-z0-9]{1,20}$/;
/** Names that expressions read beside the extensions: an extension must not pretend to be one. */
const NAMED: ReadonlySet<string> = new Set([
  'specversion',
  'id',
  'source',
  'type',
  'time',
  'subject',
  'datacontenttype',
  'dataschema',
  'data',
]);

/** Throws INVALID_ARGUMENT with `path` where `event` is not a CloudEvent, or has more than `maxDataBytes` of data as JSON. */
export function validateEvent(event: CloudEvent, maxDataBytes: number): void {
  if (event.specversion !== '1.0') throw invalid('specversion', 'specversion must be "1.0".');
  for (const name of ['id', 'source', 'type'] as const) checkText(name, event[name]);
  for (const name of ['subject', 'datacontenttype', 'dataschema'] as const) {
    if (event[name] !== undefined) checkText(name, event[name]);
  }
  if (typeof event.time !== 'string' || !TIME.test(event.time) || Number.isNaN(Date.parse(event.time))) {
    throw invalid('time', 'time must be a moment such as 2026-01-31T08:30:00Z (RFC 3339).');
  }
  for (const [name, value] of Object.entries(event.extensions ?? {})) checkExtension(name, value);
  checkData(event.data, maxDataBytes);
}

function checkText(path: string, value: unknown): void {
  if (typeof value !== 'string' || value === '')
    throw invalid(path, `${path} must be a text that is not empty.`);
  if (value.length > ATTRIBUTE_MAX)
    throw invalid(path, `${path} is longer than ${ATTRIBUTE_MAX} characters.`);
  if (value.includes('\0')) throw invalid(path, `${path} holds a NUL character.`);
}

function checkExtension(name: string, value: unknown): void {
  if (!EXTENSION.test(name) || NAMED.has(name)) {
    const rule = 'lower-case letters and digits, at most 20, and none of the standard attributes';
    throw invalid(`extensions.${name}`, `"${name}" is not a name for an extension attribute: ${rule}.`);
  }
  if (!['string', 'number', 'boolean'].includes(typeof value)) {
    throw invalid(
      `extensions.${name}`,
      `The extension attribute "${name}" must be a text, a number or a boolean.`,
    );
  }
}

function checkData(data: Json | undefined, maxBytes: number): void {
  if (data === undefined || maxBytes === Infinity) return;
  const bytes = Buffer.byteLength(JSON.stringify(data));
  if (bytes > maxBytes) {
    throw invalid('data', `data is ${bytes} bytes long as JSON; at most ${maxBytes} are taken.`);
  }
}

function invalid(path: string, message: string): TappetError {
  return new TappetError('INVALID_ARGUMENT', message, { path });
}
