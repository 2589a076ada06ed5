import type { VerifyResult } from '../../src/core/auth.ts';
import type { WebhookSourceSpec } from '../../src/core/config.ts';
import { flattenEvent, type CloudEvent, type NewEvent } from '../../src/core/event.ts';
import type { Template } from '../../src/core/expression.ts';
import type { JsonObject } from '../../src/core/json.ts';
import type { SourceContext } from '../../src/core/source.ts';
import { dataDigest } from '../../src/lib/data-digest.ts';
import { MAX_ID_LENGTH } from './attributes.ts';
import { callToEvents, sourceOf, type RawCall } from './event.ts';
import { decodeMultipart } from './form.ts';
import { mediaType } from './media-type.ts';
import { fileProblem } from './body-file.ts';
import { reject, type Rejection, type Result } from './problem.ts';

/** What retries within a day mean the same by; a trigger may say more. */
const REMEMBER_MS = 24 * 60 * 60_000;

/** An id in which none of this stands is known before the body. */
const MAY_READ_DATA = /\bdata\b|\bevent\b(?!\s*\.)/;

export type Sender = Extract<VerifyResult, { ok: true }>;
interface VerifiedCall {
  readonly headers: Headers;
  /** Empty where the body is a file. */
  readonly body: Uint8Array;
  /** What is said of that. */
  readonly file?: JsonObject;
  readonly sender: Sender;
  readonly context: Pick<SourceContext, 'clock' | 'newId'>;
}
interface CallIntake {
  readonly events: readonly NewEvent[];
  readonly batch: boolean;
}

/** Makes events of verified calls, and says which of them are the same event. */
export class Intake {
  readonly #trigger: string;
  readonly #spec: WebhookSourceSpec;
  readonly #identify: Template | undefined;

  constructor(trigger: string, spec: WebhookSourceSpec, identify: Template | undefined) {
    // Without it, each call would count as another event.
    if (spec.id !== undefined && identify === undefined)
      throw new TypeError(`the id of ${trigger} is not compiled`);
    this.#trigger = trigger;
    this.#spec = spec;
    this.#identify = identify;
  }

  /** Why no event can be made of a call whose body is a file, before any of that is read; undefined = nothing speaks against it. */
  problem(call: VerifiedCall): Rejection | undefined {
    const given = fileProblem(call.headers) ?? callToEvents(this.#raw(call));
    if (!given.ok) return given;
    const [event] = given.value.events;
    if (event === undefined || this.#identify === undefined || MAY_READ_DATA.test(this.#identify.text))
      return undefined;
    const named = this.#named(event, call.headers, call.sender);
    return named.ok ? undefined : named;
  }

  #raw({ headers, body, file, sender, context }: VerifiedCall): RawCall {
    return {
      trigger: this.#trigger,
      headers,
      attributesInHeaders: sender.covers !== 'body',
      ...(sender.id === undefined ? undefined : { signedId: sender.id }),
      ...(this.#spec.format === undefined ? undefined : { format: this.#spec.format }),
      body,
      ...(file === undefined ? undefined : { file }),
      now: context.clock.now(),
      newId: () => context.newId(),
    };
  }

  async read(verified: VerifiedCall): Promise<Result<CallIntake>> {
    const { headers, sender } = verified;
    const base = this.#raw(verified);
    const call = isForm(base) ? await withForm(base) : ({ ok: true, value: base } as const);
    if (!call.ok) return call;
    const given = callToEvents(call.value);
    if (!given.ok) return given;
    const { events, batch, unnamed, signedId } = given.value;
    const made: NewEvent[] = [];
    for (const [i, event] of events.entries()) {
      const named = this.#named(event, headers, sender);
      if (!named.ok) return named;
      const newEvent = this.#newEvent(named.value, sender, unnamed === true);
      made.push({ ...newEvent, ...this.#identity(signedId, i) });
    }
    return { ok: true, value: { events: made, batch } };
  }

  /** By the trigger's own expression, where it has one. */
  #named(event: CloudEvent, headers: Headers, { claims }: Sender): Result<CloudEvent> {
    if (this.#identify === undefined) return { ok: true, value: event };
    const scope = { event: flattenEvent(event), claims, headers: Object.fromEntries(headers) };
    const id = this.#identify.render(scope);
    if (!id.ok) return reject(422, `The id of this event cannot be made of it: ${id.error}.`, 'id');
    if (id.value === '' || id.raw === null || id.value.length > MAX_ID_LENGTH)
      return reject(422, `The id of this event must have 1 to ${MAX_ID_LENGTH} characters.`, 'id');
    return { ok: true, value: { ...event, id: id.value } };
  }

  /** The first of a batch has the id that the same call would have, read as anything else. */
  #identity(signedId: string | undefined, i: number): Pick<NewEvent, 'identity'> | undefined {
    if (signedId === undefined || this.#identify !== undefined) return undefined;
    const id = i === 0 ? signedId : `${signedId}/${i}`;
    return { identity: { source: sourceOf(this.#trigger), id } };
  }

  #newEvent(event: CloudEvent, { claims }: Sender, unnamed: boolean): NewEvent {
    return {
      event,
      ...(isEmpty(claims) ? undefined : { claims }),
      bounded: true,
      rememberMs: this.#spec.rememberMs ?? REMEMBER_MS,
      // Whoever wrote an expression has said what is the same; senders change other things in what they send again.
      ...(unnamed || this.#identify !== undefined ? undefined : { digest: dataDigest(event.data) }),
    };
  }
}

function isEmpty(claims: object): boolean {
  for (const _ in claims) return false;
  return true;
}

function isForm({ headers, body, format }: RawCall): boolean {
  if (body.length === 0 || format !== undefined || headers.has('content-encoding')) return false;
  return mediaType(headers.get('content-type') ?? '').essence === 'multipart/form-data';
}

async function withForm(call: RawCall): Promise<Result<RawCall>> {
  const form = await decodeMultipart(call.body, call.headers.get('content-type') ?? '');
  return form.ok ? { ok: true, value: { ...call, form: form.value } } : form;
}
