import type { JsonObject, Json } from './json.ts';

/** A CloudEvents 1.0 envelope. Extension attributes stand in `extensions`, and beside the others in expressions. */
export interface CloudEvent {
  readonly specversion: '1.0';
  readonly id: string;
  readonly source: string;
  readonly type: string;
  /** RFC 3339. */
  readonly time: string;
  readonly subject?: string;
  readonly datacontenttype?: string;
  readonly dataschema?: string;
  readonly extensions?: Readonly<Record<string, string | number | boolean>>;
  readonly data?: Json;
}

/**
 * Who let an event in: `trigger/<name>`, `connection/<name>`, `api/<principal>` or `execution`. Set by the
 * gateway, never taken from what a sender says. Identity is `(origin, source, id)`, see also `NewEvent.identity`.
 */
export type Origin = string;

/** A source's own answer, where it already knows that its trigger will not run (a slot that is too old). */
export interface SourceVerdict {
  readonly outcome: 'late' | 'skipped';
  readonly reason: string;
}

/** What a source hands in. */
export interface NewEvent {
  readonly event: CloudEvent;
  /** Where something is kept under it already (a body that is a file); absent = the inbox makes one. */
  readonly uid?: string;
  /** Verified claims of the sender (a token's payload); absent where there was nothing to verify. */
  readonly claims?: JsonObject;
  readonly verdict?: SourceVerdict;
  /** How long the identity is remembered, in ms, whether or not the event is kept so long; absent = 30 days. */
  readonly rememberMs?: number;
  /** The way in has bounded its `data` already. */
  readonly bounded?: true;
  /** Of what came with the identity, see `dataDigest`: with another it is no duplicate but a mistake. Absent = whatever comes is one. */
  readonly digest?: string;
  /** Stands in the place of `source` and `id` of the event, where something else says better what is the same. */
  readonly identity?: Pick<CloudEvent, 'source' | 'id'>;
}

/** An event as the store has it. Times are epoch milliseconds. */
export interface StoredEvent {
  readonly uid: string;
  readonly origin: Origin;
  /** The only trigger to consider, where the origin or the caller names one. */
  readonly trigger: string | null;
  readonly event: CloudEvent;
  readonly claims: JsonObject | null;
  readonly verdict: SourceVerdict | null;
  readonly receiveTime: number;
  /** null until every trigger has answered. */
  readonly decideTime: number | null;
  /** How often the same identity came again. */
  readonly duplicates: number;
}

export const triggerOrigin = (name: string): Origin => `trigger/${name}`;
export const connectionOrigin = (name: string): Origin => `connection/${name}`;

/** The flat form that expressions and API readers see: extensions beside the named attributes. */
export function flattenEvent(event: CloudEvent): JsonObject {
  const { extensions, ...named } = event;
  return { ...extensions, ...(named as unknown as JsonObject) };
}
