import { isDeepStrictEqual } from 'node:util';
import type { IssuerSpec } from '../core/auth.ts';
import type { Clock } from '../core/clock.ts';
import type { Fetch } from '../core/fetch.ts';
import type { Log } from '../core/log.ts';
import { TappetError } from '../core/errors.ts';
import { knownAlgorithms } from './algorithms.ts';
import { urlProblem } from './fetch-document.ts';
import { importKeys } from './jwk-set.ts';
import { JwksCache } from './jwks-cache.ts';
import { PinnedKeys, type KeySource } from './keys.ts';

export interface IssuersDeps {
  readonly specs: ReadonlyMap<string, IssuerSpec>;
  /** Connects to public addresses alone. */
  readonly fetch: Fetch;
  /** Connects to any address: for issuers with `allowPrivateAddresses`. Absent = for those too only to public ones. */
  readonly fetchAnywhere?: Fetch;
  readonly clock: Clock;
  readonly log: Log;
}
export interface Issuer {
  readonly spec: IssuerSpec;
  readonly keys: KeySource;
}

export interface PreparedIssuers {
  /** As `Issuers.get`. */
  get(name: string): Promise<Issuer>;
  apply(): Promise<void>;
}

/** The configured issuers, each with one set of keys shared by all its triggers. Reads keys only for those in use. */
export class Issuers {
  readonly #deps: IssuersDeps;
  #specs: ReadonlyMap<string, IssuerSpec>;
  #used = new Map<string, Promise<Issuer>>();
  #started = false;

  constructor(deps: IssuersDeps) {
    this.#deps = deps;
    this.#specs = deps.specs;
  }

  /** Errors: CONFIG_INVALID (no such issuer; unusable algorithms, URL or pinned keys). Opens no connection. */
  get(name: string): Promise<Issuer> {
    let issuer = this.#used.get(name);
    if (issuer === undefined) this.#used.set(name, (issuer = this.#make(name, this.#specs)));
    return issuer;
  }

  /**
   * The issuers of another configuration, with the keys of those that have them from the same place. Nothing of this
   * one changes before `apply`, which makes those that were got from it the issuers in use: in this turn, and resolves
   * when the timers of the others have ended.
   */
  prepare(specs: ReadonlyMap<string, IssuerSpec>): PreparedIssuers {
    const used = new Map<string, Promise<Issuer>>();
    const get = (name: string): Promise<Issuer> => {
      let issuer = used.get(name);
      if (issuer === undefined) used.set(name, (issuer = this.#again(name, specs)));
      return issuer;
    };
    return { get, apply: () => this.#replace(specs, used) };
  }

  /** Begins to read the keys of the issuers in use, so that the first call need not wait. Never waits for them. */
  async start(signal?: AbortSignal): Promise<void> {
    signal?.addEventListener('abort', () => void this.stop(), { once: true });
    this.#started = true;
    for (const { keys } of await settled(this.#used)) if (signal?.aborted !== true) keys.start();
  }

  /** Ends the timers. Idempotent; legal before `start`. */
  async stop(): Promise<void> {
    for (const { keys } of await settled(this.#used)) keys.stop();
  }

  /** As in use where its spec is the same; with the keys that are known where only other tokens of it are to be taken. */
  #again(name: string, specs: ReadonlyMap<string, IssuerSpec>): Promise<Issuer> {
    const [spec, before] = [specs.get(name), this.#specs.get(name)];
    const used = this.#used.get(name);
    if (used === undefined || spec === undefined || before === undefined) return this.#make(name, specs);
    if (isDeepStrictEqual(spec, before)) return used;
    if (!isDeepStrictEqual(aboutKeys(spec), aboutKeys(before))) return this.#make(name, specs);
    return used.then(({ keys }) => ({ spec, keys }));
  }

  async #replace(specs: ReadonlyMap<string, IssuerSpec>, used: Map<string, Promise<Issuer>>): Promise<void> {
    const before = this.#used;
    this.#specs = specs;
    this.#used = used;
    const issuers = await settled(used);
    const kept = new Set(issuers.map(({ keys }) => keys));
    for (const { keys } of await settled(before)) if (!kept.has(keys)) keys.stop();
    for (const { keys, spec } of issuers) {
      keys.keepFor(spec.maxKeyAgeMs);
      // Those that were kept, and those that a stop met in between, do nothing.
      if (this.#started) keys.start();
    }
  }

  async #make(name: string, specs: ReadonlyMap<string, IssuerSpec>): Promise<Issuer> {
    const path = `issuers.${name}`;
    const spec = specs.get(name);
    if (spec === undefined) throw invalid(path, `there is no issuer named ${name}`);
    const unknown = spec.algorithms.filter((alg) => !knownAlgorithms().includes(alg));
    if (unknown.length > 0 || spec.algorithms.length === 0) {
      throw invalid(
        `${path}.algorithms`,
        `choose from ${knownAlgorithms().join(', ')} (found: ${unknown.join(', ')})`,
      );
    }
    return { spec, keys: await this.#keySource(name, spec, path) };
  }

  async #keySource(name: string, spec: IssuerSpec, path: string): Promise<KeySource> {
    if (spec.jwks !== undefined && 'keys' in spec.jwks) {
      const imported = await importKeys(spec.jwks.keys, spec.algorithms);
      if (!imported.ok) throw invalid(`${path}.jwks`, imported.reason);
      // Unlike an issuer's own list, each of these was put here by hand: a bad one is a mistake to mend now.
      const [bad] = imported.skipped;
      if (bad !== undefined) throw invalid(`${path}.jwks.keys[${bad.index}]`, bad.reason);
      return new PinnedKeys(imported.set);
    }
    const url = spec.jwks?.url;
    const problem = urlProblem(url ?? spec.issuer, spec.allowHttp);
    if (problem !== undefined) throw invalid(url === undefined ? path : `${path}.jwks.url`, problem);
    const { fetch, fetchAnywhere, ...rest } = this.#deps;
    return new JwksCache({
      ...rest,
      fetch: spec.allowPrivateAddresses ? (fetchAnywhere ?? fetch) : fetch,
      name,
      spec,
      ...(url === undefined ? {} : { url }),
    });
  }
}

/** What decides which keys there are, and from where: the rest says which tokens count, and for how long keys do. */
const aboutKeys = (spec: IssuerSpec): IssuerSpec => ({
  ...spec,
  skewMs: 0,
  maxLifetimeMs: 0,
  maxKeyAgeMs: 0,
});

async function settled(issuers: ReadonlyMap<string, Promise<Issuer>>): Promise<Issuer[]> {
  const all = await Promise.allSettled(issuers.values());
  return all.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
}

function invalid(path: string, message: string): TappetError {
  return new TappetError('CONFIG_INVALID', `${path}: ${message}`, { path, errors: [{ path, message }] });
}
