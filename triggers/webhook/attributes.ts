import type { CloudEvent } from '../../src/core/event.ts';
import type { Json } from '../../src/core/json.ts';
import { reject, type Rejection, type Result } from './problem.ts';

/** What stands where the sender says nothing. */
export interface Defaults {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  /** RFC 3339. */
  readonly time: string;
}

export const MAX_ID_LENGTH = 256;
const MAX_ATTRIBUTE_LENGTH = 2048;
const MAX_EXTENSIONS = 64;
/** CloudEvents 1.0 §3.1: 20 characters are what every reader must take. */
const NAME = /^[a-z0-9]{1,20}$/;
// CloudEvents 1.0 §3.1 String: no control characters, no lone surrogates.
// oxlint-disable-next-line no-control-regex
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f]|\p{Surrogate}/u;
const RFC3339 = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d(?:\.\d+)?)(?:[Zz]|[+-]\d\d:\d\d)$/;
const MEDIA_TYPE = /^[a-zA-Z0-9!#$&^_.+-]+\/[a-zA-Z0-9!#$&^_.+-]+\s*(?:;.*)?$/;
const REQUIRED = ['specversion', 'id', 'source', 'type'] as const;

/** What is wrong with a value, for each attribute that CloudEvents names. */
const CHECKS: Readonly<Record<string, (value: string) => string | undefined>> = {
  specversion: (value) => (value === '1.0' ? undefined : 'must be 1.0, the only version supported'),
  id: (value) => (value.length <= MAX_ID_LENGTH ? undefined : `is longer than ${MAX_ID_LENGTH} characters`),
  source: (value) => (/\s/.test(value) ? 'must be a URI reference, without spaces' : undefined),
  type: () => undefined,
  time: (value) => (isTime(value) ? undefined : 'must be an RFC 3339 time such as 2026-01-31T09:30:00Z'),
  subject: () => undefined,
  datacontenttype: (value) =>
    MEDIA_TYPE.test(value) ? undefined : 'must be a media type such as application/json',
  dataschema: (value) => (URL.canParse(value) ? undefined : 'must be an absolute URI'),
};

/**
 * Makes an event of the attributes that a sender gave. `declared`: the sender calls this a CloudEvent, so what the
 * standard requires must be there; else what is missing is filled in. null counts as absent (CloudEvents JSON §2.2).
 * `where` stands before attribute names in messages (`ce-`, `[3].`).
 */
export function buildEvent(
  given: Iterable<readonly [string, Json]>,
  { declared, defaults, where }: { declared: boolean; defaults: Defaults; where: string },
): Result<CloudEvent> {
  const named: Record<string, string> = {};
  const extensions = new Map<string, string | number | boolean>();
  for (const [name, value] of given) {
    if (value === null) continue;
    const problem = attributeProblem(name, value);
    if (problem !== undefined) return invalid(where, name, problem);
    if (Object.hasOwn(CHECKS, name)) named[name] = value as string;
    else extensions.set(name, value as string | number | boolean);
  }
  if (extensions.size > MAX_EXTENSIONS)
    return reject(422, `More than ${MAX_EXTENSIONS} extension attributes.`);
  if (declared) {
    for (const name of REQUIRED) if (named[name] === undefined) return invalid(where, name, 'is missing');
  }
  // No spread to begin with: see “What a call makes dies with it” in docs/architecture.md.
  const { id, source, type, time } = defaults;
  const event: CloudEvent = { id, source, type, time, ...named, specversion: '1.0' };
  if (extensions.size === 0) return { ok: true, value: event };
  return { ok: true, value: Object.assign(event, { extensions: Object.fromEntries(extensions) }) };
}

function attributeProblem(name: string, value: Json): string | undefined {
  // `data` is the payload's own name; an extension called so would hide it from expressions.
  if (!NAME.test(name) || name === 'data')
    return 'is not a possible attribute name (a-z and 0-9, at most 20, not data)';
  if (typeof value === 'string') return stringProblem(name, value);
  if (Object.hasOwn(CHECKS, name)) return 'must be a string';
  if (typeof value === 'boolean') return undefined;
  // CloudEvents 1.0 §3.1 Integer: 32 bits.
  if (typeof value === 'number' && (value | 0) === value) return undefined;
  return 'must be a string, a whole number of 32 bits, true or false';
}

function stringProblem(name: string, value: string): string | undefined {
  if (FORBIDDEN.test(value)) return 'holds control characters';
  if (value.length > MAX_ATTRIBUTE_LENGTH) return `is longer than ${MAX_ATTRIBUTE_LENGTH} characters`;
  if (!Object.hasOwn(CHECKS, name)) return undefined;
  return value === '' ? 'is empty' : CHECKS[name]?.(value);
}

function invalid(where: string, name: string, problem: string): Rejection {
  const path = `${where}${name}`;
  return reject(422, `Not a valid CloudEvent: ${path} ${problem}.`, path);
}

/** Date.parse alone takes much that is no RFC 3339, and rolls 31 February over. */
function isTime(value: string): boolean {
  const [, day, time] = RFC3339.exec(value) ?? [];
  if (day === undefined || Number.isNaN(Date.parse(value))) return false;
  const utc = new Date(`${day}T${time?.slice(0, 8)}Z`);
  return !Number.isNaN(utc.getTime()) && utc.toISOString().startsWith(day);
}
