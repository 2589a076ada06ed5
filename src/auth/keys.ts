import type { KeySet, VerifyKey } from './jwk-set.ts';

export type KeyLookup =
  | { readonly state: 'found'; readonly key: VerifyKey }
  | { readonly state: 'unknown' }
  /**
   * No key has ever been read, or the last ones are too old to trust, or none fits and the last read failed, or has to
   * wait because too many unknown ones were asked for.
   * `retryAfter` in seconds.
   */
  | { readonly state: 'unavailable'; readonly reason: string; readonly retryAfter: number };

/** Where the keys of one issuer come from. */
export interface KeySource {
  lookup(kid: string | undefined, alg: string): KeyLookup | Promise<KeyLookup>;
  /** Begins to read keys ahead of the first call. */
  start(): void;
  /** For so long known keys count from now on, where their issuer cannot be read. */
  keepFor(maxKeyAgeMs: number): void;
  /** Ends timers; what is known stays known. Idempotent. */
  stop(): void;
}

export function lookupIn(set: KeySet, kid: string | undefined, alg: string): KeyLookup {
  const key = set.find(kid, alg);
  return key === undefined ? { state: 'unknown' } : { state: 'found', key };
}

/** Keys that stand in the configuration: never opens a connection. */
export class PinnedKeys implements KeySource {
  readonly #set: KeySet;
  constructor(set: KeySet) {
    this.#set = set;
  }
  lookup(kid: string | undefined, alg: string): KeyLookup {
    return lookupIn(this.#set, kid, alg);
  }
  start(): void {}
  keepFor(): void {}
  stop(): void {}
}
