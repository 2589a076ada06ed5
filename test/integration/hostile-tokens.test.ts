import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createClient, type Client } from '../../src/client/client.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { startGateway, type RunningGateway } from '../../src/main.ts';
import { ConfigFolder } from '../support/config-folder.ts';
import { attacksOn, good, goodClaims, partsOf, type Target } from '../support/token-attacks.ts';
import { ALGS, encode, makeKey, makeKeys, type TestKey } from '../support/tokens.ts';
import { isOfPublicKey, readVectors, signedAnew, withPayload, type Vector } from '../support/wycheproof.ts';

const ISSUER = 'https://issuer.example';
const AUDIENCE = 'https://gateway.example/hooks/call';
const keys = makeKeys();
/** Where another key is on the list, a refused one does not make the issuer's answer useless. */
const filler = makeKey('EdDSA', 'filler');
const vectors = [...readVectors('signature'), ...readVectors('key'), ...readVectors('crypto')];
const groups = new Map(vectors.map((vector) => [vector.group, vector.keys]));

const folder = new ConfigFolder();
const asked: string[] = [];
let canary: Server;
let gateway: RunningGateway;
let client: Client;
let target: Target;

/** Publishes the keys of each group of vectors; whatever else is asked for there is a lure that worked. */
async function listen(): Promise<string> {
  canary = createServer((request, response) => {
    const found = groups.get(request.url?.slice(1) ?? '');
    if (found === undefined) asked.push(request.url ?? '');
    response.end(JSON.stringify({ keys: [...(found ?? []), filler.jwk] }));
  });
  await new Promise<void>((resolve) => void canary.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(canary.address() as AddressInfo).port}`;
}

const ALL = 'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA'.split(' ');

function configuration(site: string): JsonObject {
  const pinned = { keys: [...keys.values()].map(({ jwk }) => jwk) };
  const issuers: Record<string, JsonObject> = { main: { issuer: ISSUER, jwks: pinned, clockSkew: '0s' } };
  const triggers: Record<string, JsonObject> = { call: trigger('main') };
  for (const group of groups.keys()) {
    issuers[group] = { issuer: ISSUER, jwks: `${site}/${group}`, allowHttp: true, algorithms: ALL };
    triggers[group] = trigger(group);
  }
  return { server: { port: 0, dataDir: 'data' }, issuers, jobs: { job: { image: 'busybox' } }, triggers };
}

function trigger(issuer: string): JsonObject {
  const require = "claims.email == 'a@b.example'";
  const oidc = { issuer, audience: AUDIENCE, subjects: ['caller'], require };
  return { source: { kind: 'webhook', auth: { oidc } }, run: { job: 'job' } };
}

beforeAll(async () => {
  const site = await listen();
  target = { issuer: ISSUER, audience: AUDIENCE, now: Math.floor(Date.now() / 1000), canary: site };
  const configPath = folder.write('tappet.json', configuration(site));
  // No engine: an event is stored and decided without one.
  const env = { DOCKER_HOST: 'tcp://127.0.0.1:1' };
  gateway = await startGateway({ configPath, env, print: () => undefined });
  const token = await readFile(`${folder.path}/data/token`, 'utf8');
  client = createClient({ url: gateway.url, token: token.trim() });
}, 30_000);
afterAll(async () => {
  await gateway.stop();
  canary.closeAllConnections();
  await new Promise((resolve) => canary.close(resolve));
  folder.remove();
});

async function call(token: string, name = 'call'): Promise<number> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const response = await fetch(`${gateway.url}/hooks/${name}`, { method: 'POST', headers, body: '{}' });
  await response.body?.cancel();
  return response.status;
}

async function stored(): Promise<number[]> {
  const { events } = await client.events.list({});
  const { executions } = await client.executions.list({});
  return [events.length, executions.length];
}

/** Answers by status, of calls made 16 at a time. */
async function answers<T>(of: readonly T[], send: (one: T) => Promise<number>): Promise<Map<number, T[]>> {
  const byStatus = new Map<number, T[]>();
  const rest = [...of];
  const work = async (): Promise<void> => {
    for (let one = rest.pop(); one !== undefined; one = rest.pop()) {
      const status = await send(one);
      byStatus.set(status, [...(byStatus.get(status) ?? []), one]);
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
  return byStatus;
}

test('every vector of Wycheproof is answered 401 over HTTP, and nothing is stored', async () => {
  const byStatus = await answers<Vector>(vectors, ({ token, group }) => call(token, group));
  // The good ones too: they are no tokens, as their payloads hold no claims.
  expect([...byStatus.keys()]).toEqual([401]);
  expect(byStatus.get(401)).toHaveLength(510);
  expect(await stored()).toEqual([0, 0]);
}, 30_000);

describe.each(ALGS)('%s over HTTP', (alg) => {
  const key = keys.get(alg) as TestKey;

  test('all attacks are answered 401, and nothing is stored', async () => {
    const attacks = Object.entries(attacksOn(target));
    const byStatus = await answers(attacks, ([, forge]) => call(forge(key, partsOf(key, target))));
    const others = [...byStatus].filter(([status]) => status !== 401);
    expect(others.map(([status, of]) => [status, of.map(([name]) => name)])).toEqual([]);
    expect(byStatus.get(401)).toHaveLength(attacks.length);
    expect(attacks.length).toBeGreaterThanOrEqual(60);
    expect(await stored()).toEqual([0, 0]);
  }, 30_000);
});

test('nobody asked the addresses in the tokens for keys', () => {
  expect(asked).toEqual([]);
});

describe('with the claims of a caller in the place of their payloads', () => {
  const claims = (): string => encode(goodClaims(target));

  test('their form, their keys and their signatures are left to be refused for, and they are', async () => {
    const byStatus = await answers(vectors, (vector) => call(withPayload(vector, claims()), vector.group));
    expect([...byStatus.keys()]).toEqual([401]);
    expect(byStatus.get(401)).toHaveLength(510);
    expect(await stored()).toEqual([0, 0]);
  }, 30_000);

  test('signed anew by the key of each group, they are taken where an issuer may publish that, and nowhere else', async () => {
    const outcomes = new Map<string, string[]>();
    for (const group of groups.keys()) {
      const of = vectors.filter((vector) => vector.group === group);
      const [first] = of;
      const vector = of.find(isOfPublicKey) ?? of.find(({ valid }) => valid) ?? first;
      const token = vector === undefined ? undefined : signedAnew(vector, claims());
      const outcome = token === undefined ? 'cannot be signed' : String(await call(token, group));
      outcomes.set(outcome, [...(outcomes.get(outcome) ?? []), group]);
    }
    const published = vectors.filter(isOfPublicKey).map(({ group }) => group);
    expect(outcomes.get('202')).toEqual([...new Set(published)]);
    expect(outcomes.get('401')?.length).toBeGreaterThan(30);
    // No key at all (a point beside its curve, the curve and the kind of another), and those of encryption.
    expect(outcomes.get('cannot be signed')).toEqual(['key-20', 'key-21', 'key-22', 'crypto-6', 'crypto-7']);
    expect((await stored())[0]).toBe(outcomes.get('202')?.length);
  }, 30_000);
});

test('the good tokens that all of these were made of are taken', async () => {
  const [before = 0] = await stored();
  for (const key of keys.values()) expect(await call(good(key, partsOf(key, target)))).toBe(202);
  expect((await stored())[0]).toBe(before + 4);
});
