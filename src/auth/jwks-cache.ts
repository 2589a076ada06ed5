import type { IssuerSpec } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import type { Fetch } from '../core/fetch.ts';
import type { Log } from '../core/log.ts';
import { errorText } from '../core/errors.ts';
import { formatDuration } from '../lib/duration.ts';
import { fetchDocument } from './fetch-document.ts';
import { importKeys, KeySet, type SkippedKey } from './jwk-set.ts';
import { lookupIn, type KeyLookup, type KeySource } from './keys.ts';
import { UnknownKids } from './unknown-kids.ts';

/** A withdrawn key is refused this long after its withdrawal at the latest, where the issuer answers. */
const REFRESH_MS = 5 * 60_000;
const BACKOFF_MS = { first: 1_000, max: 60_000 };

/** At least 1 s, so that nobody comes again at once. */
const unavailable = (reason: string, waitMs: number): KeyLookup => ({
  state: 'unavailable',
  reason,
  retryAfter: Math.max(1, Math.ceil(waitMs / 1000)),
});

export interface JwksCacheDeps {
  /** The issuer's name in the configuration, for the log. */
  readonly name: string;
  readonly spec: IssuerSpec;
  /** Absent = by discovery. */
  readonly url?: string;
  /** Connects only to where the issuer's keys may be. */
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The keys of a remote issuer. A lookup of a known key never waits for the network.
 *
 * States, by what is known: `empty` (a lookup waits for the first read), `fresh` (read, refreshed every 5 min in the
 * background), `stale` (the last read failed; the old keys go on for `maxKeyAgeMs`, reads are tried again after 1 s
 * doubling to 60 s), then `empty` again. One read at a time; whoever needs it waits for the same one. An unknown `kid`
 * has the keys read at once, as it may be a new one; which are known to be unknown is remembered for 30 s.
 */
export class JwksCache implements KeySource {
  readonly #deps: JwksCacheDeps;
  #set: KeySet | undefined;
  #readTime = 0;
  #maxKeyAgeMs: number;
  #jwksUrl: string | undefined;
  #reading: Promise<void> | undefined;
  #failures = 0;
  #lastError = 'its keys have not been read yet';
  /** Earliest time of the next try after a failure. */
  #retryTime = 0;
  readonly #unknown: UnknownKids;
  #skippedLogged = '';
  #cancelTimer = (): void => {};
  #stopped = false;

  constructor(deps: JwksCacheDeps) {
    this.#deps = deps;
    this.#maxKeyAgeMs = deps.spec.maxKeyAgeMs;
    this.#unknown = new UnknownKids(deps.clock);
  }

  start(): void {
    if (this.#set === undefined && !this.#stopped) void this.#read();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
  }

  keepFor(maxKeyAgeMs: number): void {
    this.#maxKeyAgeMs = maxKeyAgeMs;
  }

  lookup(kid: string | undefined, alg: string): KeyLookup | Promise<KeyLookup> {
    const set = this.#current();
    if (set !== undefined) {
      const known = lookupIn(set, kid, alg);
      if (known.state === 'found') return known;
    }
    return this.#lookupAfterRead(kid, alg, set === undefined);
  }

  async #lookupAfterRead(kid: string | undefined, alg: string, empty: boolean): Promise<KeyLookup> {
    if (this.#reading !== undefined) await this.#reading;
    else if (this.#mayTry() && (empty || this.#unknown.mayRead(kid))) await this.#read();
    const set = this.#current();
    const found = set === undefined ? undefined : lookupIn(set, kid, alg);
    // While the issuer is away, an unknown key may well be its new one.
    if (found !== undefined && (found.state === 'found' || this.#failures === 0)) return found;
    return unavailable(this.#lastError, this.#waitMs());
  }

  #current(): KeySet | undefined {
    return this.#deps.clock.now() - this.#readTime <= this.#maxKeyAgeMs ? this.#set : undefined;
  }

  #mayTry(): boolean {
    return !this.#stopped && this.#waitMs() === 0;
  }

  /** Until the next try is allowed. A wait longer than the longest pause means that the clock was set back. */
  #waitMs(): number {
    const wait = this.#retryTime - this.#deps.clock.now();
    return wait > BACKOFF_MS.max ? 0 : Math.max(0, wait);
  }

  /** Never rejects: what failed is logged here and kept for `unavailable`. */
  #read(): Promise<void> {
    this.#reading ??= this.#tryRead().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #tryRead(): Promise<void> {
    this.#cancelTimer();
    try {
      this.#set = await this.#fetchKeys();
      this.#readTime = this.#deps.clock.now();
      if (this.#failures > 0) this.#deps.log.info('the keys of an issuer can be read again', this.#fields());
      this.#failures = 0;
      this.#retryTime = 0;
      this.#schedule(REFRESH_MS);
    } catch (error) {
      this.#failed(errorText(error));
    }
  }

  #failed(message: string): void {
    const pause = Math.min(BACKOFF_MS.first * 2 ** Math.min(this.#failures, 16), BACKOFF_MS.max);
    // Once per outage, not once per try.
    if (this.#failures++ === 0) {
      const goOn = formatDuration(this.#maxKeyAgeMs);
      const text = `the keys of an issuer cannot be read; known keys go on for ${goOn}`;
      this.#deps.log.warn(text, { ...this.#fields(), error: message });
    }
    this.#lastError = message;
    // The issuer may have moved its keys.
    this.#jwksUrl = undefined;
    this.#retryTime = this.#deps.clock.now() + pause;
    this.#schedule(pause);
  }

  #schedule(ms: number): void {
    if (this.#stopped) return;
    this.#cancelTimer = this.#deps.clock.setTimer(ms, () => void this.#read());
  }

  async #fetchKeys(): Promise<KeySet> {
    this.#jwksUrl ??= this.#deps.url ?? (await this.#discover());
    const document = await fetchDocument(this.#jwksUrl, {
      ...this.#deps,
      allowHttp: this.#deps.spec.allowHttp,
    });
    const imported = await importKeys(document['keys'], this.#deps.spec.algorithms);
    if (!imported.ok) {
      if (imported.unusable && this.#set !== undefined) return this.#withdrawn(this.#set, imported.reason);
      throw new Error(`${this.#jwksUrl}: ${imported.reason}`);
    }
    this.#logSkipped(imported.skipped);
    return imported.set;
  }

  /** What an issuer takes back counts at once: a stolen key is why one does so. */
  #withdrawn(before: KeySet, reason: string): KeySet {
    if (before.size > 0)
      this.#deps.log.warn('an issuer has withdrawn its keys: none of its tokens is taken', {
        ...this.#fields(),
        reason,
      });
    return new KeySet([]);
  }

  /** OpenID Connect Discovery 1.0 §4: the document must name the very issuer that it was asked for. */
  async #discover(): Promise<string> {
    const { issuer, allowHttp } = this.#deps.spec;
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const document = await fetchDocument(url, { ...this.#deps, allowHttp });
    if (document['issuer'] !== issuer) throw new Error(`${url} names another issuer than ${issuer}`);
    const jwksUrl = document['jwks_uri'];
    if (typeof jwksUrl !== 'string') throw new Error(`${url} has no jwks_uri`);
    return jwksUrl;
  }

  /** Issuers publish encryption keys and new kinds beside the ones we need: worth one line, not one per refresh. */
  #logSkipped(skipped: readonly SkippedKey[]): void {
    const text = skipped.map(({ index, reason }) => `key ${index}: ${reason}`).join('; ');
    if (text !== '' && text !== this.#skippedLogged) {
      this.#deps.log.info('some keys of an issuer are left out', { ...this.#fields(), skipped: text });
    }
    this.#skippedLogged = text;
  }

  #fields(): { issuer: string; url: string } {
    return { issuer: this.#deps.name, url: this.#jwksUrl ?? this.#deps.url ?? this.#deps.spec.issuer };
  }
}
