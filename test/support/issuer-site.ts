import { expect } from 'vitest';
import { JwksCache } from '../../src/auth/jwks-cache.ts';
import type { KeyLookup } from '../../src/auth/keys.ts';
import type { IssuerSpec } from '../../src/core/auth.ts';
import type { Json } from '../../src/core/json.ts';
import { FakeLog } from './fake-log.ts';
import { ISSUER, issuerSpec } from './issuer-spec.ts';
import { ManualClock } from './manual-clock.ts';

export const JWKS = `${ISSUER}/keys`;
export const DISCOVERY = `${ISSUER}/.well-known/openid-configuration`;

export type Answer = (init: RequestInit | undefined) => Response | Promise<Response>;
export const json = (body: unknown, status = 200): Answer => {
  return () => new Response(typeof body === 'string' ? body : JSON.stringify(body), { status });
};

/** An issuer's pages without a network, and the cache of its keys. */
export class IssuerSite {
  readonly clock = new ManualClock();
  readonly log = new FakeLog();
  readonly asked: string[] = [];
  readonly pages = new Map<string, Answer>();
  readonly cache: JwksCache;

  /** `url`: as the configuration names it; absent = by discovery. */
  constructor(keys: readonly Json[], options: { spec?: Partial<IssuerSpec>; url?: string } = {}) {
    this.discover(JWKS);
    this.serve(...keys);
    const { clock, log } = this;
    const where = options.url === undefined ? {} : { url: options.url };
    const fetch = async (url: string, init?: RequestInit): Promise<Response> => {
      this.asked.push(url);
      expect(init?.redirect).toBe('error');
      const page = this.pages.get(url);
      if (page === undefined) throw new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') });
      return page(init);
    };
    this.cache = new JwksCache({ name: 'main', spec: issuerSpec(options.spec), fetch, clock, log, ...where });
  }

  serve(...keys: Json[]): void {
    this.pages.set(JWKS, json({ keys }));
  }
  /** Discovery names this place of the keys. */
  discover(url: string): void {
    this.pages.set(DISCOVERY, json({ issuer: ISSUER, jwks_uri: url }));
  }
  /** Times that the keys were asked for. */
  get reads(): number {
    return this.times(JWKS);
  }
  times(url: string): number {
    return this.asked.filter((asked) => asked === url).length;
  }
  async state(kid: string | undefined, alg = 'ES256'): Promise<KeyLookup['state']> {
    return (await this.cache.lookup(kid, alg)).state;
  }
}
