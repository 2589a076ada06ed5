import type { LocalFile } from './local-files.ts';

/** The port to bodies of calls that are kept as files: each belongs to one event, and is named by its uid. */
export interface Bodies {
  /**
   * Writes all that `source` gives; resolves when the disk has it, as a whole. Memory does not grow with it.
   * Errors, with nothing of it left: PAYLOAD_TOO_LARGE as soon as `maxBytes` are passed or announced, INVALID_ARGUMENT
   * where it breaks off or is not as long as announced, STORE_UNAVAILABLE where the disk is full or fails, or too many
   * are on their way. The message and the fix of each may be told to whoever sent it.
   */
  receive(uid: string, source: BodySource, limits: BodyLimits): Promise<ReceivedBody>;
}

/** A request, say. Its `body` is not looked at before there is a place for it: the first look makes its sender send. */
export interface BodySource {
  readonly body: ReadableStream<Uint8Array> | null;
}

export interface BodyLimits {
  readonly maxBytes: number;
  /** By the sender; undefined where it says nothing. */
  readonly announcedBytes: number | undefined;
}

/** One of `keep` and `drop` must follow: until then nobody else removes it. */
export interface ReceivedBody {
  /** Bytes. */
  readonly size: number;
  /** Hex digits. */
  readonly sha256: string;
  /** Its event is stored, or may be: it stays as long as that. */
  keep(): void;
  /** There is no such event. Never rejects: what cannot be removed now is removed later. */
  drop(): Promise<void>;
}

/** What `event.body` was at the decision. */
export interface PinnedBody {
  /** The uid of the event that it came with. */
  readonly event: string;
  /** Bytes. */
  readonly size: number;
}

/** The port by which `event.body` is staged. */
export interface BodyReader {
  /** Errors: the system's own. */
  openBody(body: PinnedBody): Promise<LocalFile | 'gone' | 'changed'>;
}
