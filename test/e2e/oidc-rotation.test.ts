import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { startOidcIssuer } from '../support/oidc-issuer.ts';
import type { OidcIssuer } from '../support/oidc-issuer.ts';
import { encode } from '../support/tokens.ts';

const AUDIENCE = 'https://tappet.example/hooks/call';
const CLAIMS = { email: 'robot@example.com', email_verified: true };
const VALID_CALLERS = 12;
const FORGERS = 4;
/** How slow the issuer is for a while: whoever waits for it is told from who does not. */
const SLOW_KEYS_MS = 3_000;
/** docs/tokens.md: an answer of the issuer ends at 5 s. */
const READ_MS = 5_000;
/** Of a machine that does all of this at once. */
const BUSY_MS = 2_500;

interface Call {
  /** `signed` by the generation of keys with this number, or `forged`. */
  readonly by: number | 'forged';
  readonly sent: number;
  readonly took: number;
  readonly status: number;
  readonly retryAfter: string | undefined;
}
interface Token {
  readonly by: Call['by'];
  readonly text: string;
}

/** Callers in a closed loop, each with a connection that it keeps. */
class Callers {
  readonly calls: Call[] = [];
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #running: Promise<void>[] = [];
  #stopped = false;

  constructor(url: string) {
    this.#url = url;
  }

  begin(count: number, next: () => Token): void {
    for (let i = 0; i < count; i++) this.#running.push(this.#loop(next));
  }

  async once(token: Token): Promise<Call> {
    const call = await this.#send(token);
    this.calls.push(call);
    return call;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    this.#agent.destroy();
  }

  async #loop(next: () => Token): Promise<void> {
    while (!this.#stopped) await this.once(next());
  }

  #send({ by, text }: Token): Promise<Call> {
    const sent = performance.now();
    const headers = {
      authorization: `Bearer ${text}`,
      'content-type': 'application/json',
      'content-length': 2,
    };
    return new Promise((resolve, reject) => {
      const call = request(this.#url, { method: 'POST', agent: this.#agent, headers }, (response) => {
        response.resume();
        response.once('end', () =>
          resolve({
            by,
            sent,
            took: performance.now() - sent,
            status: response.statusCode ?? 0,
            retryAfter: response.headers['retry-after'],
          }),
        );
      });
      call.once('error', reject);
      call.end('{}');
    });
  }
}

describe('keys of a real issuer, under load', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-rotation-'));
  let issuer: OidcIssuer;
  let gateway: GatewayProcess;
  let callers: Callers;
  /** Of the generation that signs, and of those before it. */
  const tokens: Token[][] = [];

  beforeAll(async () => {
    issuer = await startOidcIssuer();
    const oidc = { issuer: 'main', audience: AUDIENCE, emails: [CLAIMS.email] };
    const config: JsonObject = {
      issuers: { main: { issuer: issuer.issuer, allowHttp: true } },
      jobs: { none: { image: 'none:1' } },
      triggers: {
        call: { source: { kind: 'webhook', auth: { oidc } }, when: 'false', run: { job: 'none' } },
      },
    };
    const env = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };
    gateway = new GatewayProcess({ dir, config, env });
    await gateway.start();
    callers = new Callers(`${gateway.url}/hooks/call`);
  });
  afterAll(async () => {
    await callers.stop();
    await gateway.stop();
    await issuer.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const reads = (): number => issuer.requests.filter((line) => line === 'GET /jwks').length;
  async function sign(): Promise<void> {
    const by = tokens.length;
    const of = (algorithm: 'RS256' | 'ES256'): Promise<string> =>
      issuer.token({ audience: AUDIENCE, claims: CLAIMS, algorithm });
    const texts = [await of('RS256'), await of('ES256'), await of('RS256'), await of('ES256')];
    tokens.push(texts.map((text) => ({ by, text })));
  }
  const pick = (generation: number, n: number): Token => {
    const some = tokens[generation] ?? [];
    const token = some[n % some.length];
    if (token === undefined) throw new TypeError(`generation ${generation} has no token`);
    return token;
  };
  let n = 0;
  /** Half of the callers have tokens of the generation before: they are good until its keys are withdrawn. */
  const valid = (): Token => {
    n += 1;
    const newest = tokens.length - 1;
    return pick(n % 2 === 0 ? newest : Math.max(0, newest - 1), n >> 1);
  };
  const forged = (): Token => {
    const header = { alg: 'RS256', typ: 'JWT', kid: `forged-${n++}` };
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: issuer.issuer, aud: AUDIENCE, sub: 'x', iat: now, exp: now + 600, ...CLAIMS };
    return {
      by: 'forged',
      text: `${encode(header)}.${encode(claims)}.${randomBytes(256).toString('base64url')}`,
    };
  };
  const since = (time: number): Call[] => callers.calls.filter(({ sent }) => sent >= time);
  const signed = (calls: readonly Call[]): Call[] => calls.filter(({ by }) => by !== 'forged');
  const refused = (calls: readonly Call[]): Call[] => signed(calls).filter(({ status }) => status !== 202);
  const longest = (calls: readonly Call[]): number => Math.max(...calls.map(({ took }) => took));

  it('no token is refused when they are exchanged, one read each time, and nobody with a known key waits for it', async () => {
    await sign();
    callers.begin(VALID_CALLERS, valid);
    await pause(3_000);
    expect(reads()).toBe(1);

    issuer.slowKeys(SLOW_KEYS_MS);
    issuer.rotate();
    const rotated = performance.now();
    await sign();
    await pause(SLOW_KEYS_MS + BUSY_MS);
    issuer.slowKeys(0);
    await pause(1_000);
    expect(reads()).toBe(2);
    const calls = since(rotated);
    const [old, fresh] = [calls.filter(({ by }) => by === 0), calls.filter(({ by }) => by === 1)];
    expect(longest(old)).toBeLessThan(BUSY_MS);
    expect(longest(fresh)).toBeGreaterThan(SLOW_KEYS_MS - 50);
    expect(longest(fresh)).toBeLessThan(SLOW_KEYS_MS + BUSY_MS);
    expect(refused(callers.calls)).toEqual([]);
  }, 30_000);

  it('tokens of withdrawn keys are refused from the next read on, and no others', async () => {
    const stolen = pick(0, 0);
    expect(await callers.once(stolen)).toMatchObject({ status: 202 });
    issuer.rotate();
    const rotated = performance.now();
    await sign();
    const known = await callers.once(pick(2, 0));
    expect(known).toMatchObject({ status: 202 });
    for (let i = 0; i < 4; i++) expect(await callers.once(pick(0, i))).toMatchObject({ status: 401 });
    await pause(2_000);
    expect(reads()).toBe(3);
    const calls = since(rotated).filter(({ by }) => by !== 0);
    expect(new Set(calls.map(({ by }) => by))).toEqual(new Set([1, 2]));
    expect(refused(calls)).toEqual([]);
  }, 30_000);

  it('made-up keys have them read twice a minute at most, and what is announced is known when it is used', async () => {
    const began = performance.now();
    const before = reads();
    issuer.announce();
    callers.begin(FORGERS, forged);
    // The two reads of this minute were made: the next one comes when the first of them is a minute old.
    while (reads() === before && performance.now() - began < 70_000) await pause(100);
    expect(reads()).toBe(before + 1);
    issuer.rotate();
    await sign();
    await pause(2_000);
    const calls = since(began);
    expect(refused(calls)).toEqual([]);
    expect(calls.filter(({ by }) => by === 3).length).toBeGreaterThan(0);
    const flood = calls.filter(({ by }) => by === 'forged');
    expect(flood.length).toBeGreaterThan(1_000);
    expect(flood.filter(({ status }) => status !== 401)).toEqual([]);
    expect(reads()).toBeLessThanOrEqual(before + 2);
  }, 90_000);

  it('while the issuer does not answer, known keys count at once; whoever waits for it hears 503 after 5 s', async () => {
    issuer.slowKeys(60_000);
    const began = performance.now();
    const isUntold = ({ status }: Call): boolean => status === 503;
    while (!since(began).some(isUntold) && performance.now() - began < 70_000) await pause(100);
    issuer.slowKeys(0);
    const calls = since(began);
    const untold = calls.filter(isUntold);
    expect(untold.length).toBeGreaterThan(0);
    expect(untold.filter(({ by, retryAfter }) => by !== 'forged' || retryAfter === undefined)).toEqual([]);
    expect(longest(untold)).toBeLessThan(READ_MS + BUSY_MS);
    expect(refused(calls)).toEqual([]);
    expect(longest(signed(calls))).toBeLessThan(BUSY_MS);
    // It answers again: so do we, as before.
    await pause(5_000);
    const after = since(performance.now() - 1_000);
    expect(refused(after)).toEqual([]);
    expect(after.filter(({ by, status }) => by === 'forged' && status !== 401)).toEqual([]);
    const seconds = (performance.now() - (callers.calls[0]?.sent ?? 0)) / 1000;
    const all = callers.calls.length;
    const good = signed(callers.calls).length;
    console.log(
      `${all} calls, ${good} of them signed, ${Math.round(all / seconds)} a second; ${reads()} reads of the keys`,
    );
    expect(good).toBeGreaterThan(1_000);
  }, 100_000);
});
