import { beforeAll, describe, expect, test } from 'vitest';
import { fieldsOf, identityCheck, IDENTITY_FIELDS, saysWho, sharedClaims } from '../../src/auth/identity.ts';
import { PinnedKeys, type KeyLookup } from '../../src/auth/keys.ts';
import { oidcVerifier } from '../../src/auth/oidc.ts';
import { importKeys, KeySet } from '../../src/auth/jwk-set.ts';
import type { IdentitySpec, OidcSpec, Preset, VerifyResult } from '../../src/core/auth.ts';
import { createExpressions } from '../../src/expr/expressions.ts';
import type { JsonObject } from '../../src/core/json.ts';
import { AUDIENCE, ISSUER, issuerSpec } from '../support/issuer-spec.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { makeKey, signRaw } from '../support/tokens.ts';

const ACCOUNT = 'system:serviceaccount:build:runner';
/** For each condition: a claim that it lists, as it stands in a token, and what the log calls it. */
const CONDITIONS: Record<keyof IdentitySpec, { lists: string; claims: JsonObject; called: string }> = {
  emails: {
    lists: 'a@b.example',
    claims: { email: 'a@b.example', email_verified: true },
    called: 'email (with email_verified)',
  },
  subjects: { lists: 'caller', claims: { sub: 'caller' }, called: 'sub' },
  repositoryIds: { lists: '74', claims: { repository_id: '74' }, called: 'repository_id' },
  repositoryOwnerIds: { lists: '65', claims: { repository_owner_id: '65' }, called: 'repository_owner_id' },
  workflows: { lists: 'w', claims: { job_workflow_ref: 'w' }, called: 'job_workflow_ref' },
  refs: { lists: 'refs/heads/main', claims: { ref: 'refs/heads/main' }, called: 'ref' },
  environments: { lists: 'prod', claims: { environment: 'prod' }, called: 'environment' },
  events: { lists: 'push', claims: { event_name: 'push' }, called: 'event_name' },
  serviceAccounts: { lists: 'build/runner', claims: { sub: ACCOUNT }, called: 'sub (a service account)' },
  namespaces: {
    lists: 'build',
    claims: { sub: ACCOUNT },
    called: 'sub (the namespace of a service account)',
  },
};

describe.each(Object.entries(CONDITIONS))('%s', (name, { lists, claims, called }) => {
  const refusal = `${called} is not one of ${name}`;
  const check = identityCheck({ [name]: ['other', lists] });
  test('lets in what it lists, to the letter', () => {
    expect(check({ more: 1, ...claims })).toBeUndefined();
    for (const [claim, value] of Object.entries(claims)) {
      // What is after the namespace says nothing of it.
      const longer = name === 'namespaces' ? `x${ACCOUNT}` : `${String(value)}x`;
      for (const other of [undefined, null, longer, [value], 1]) {
        expect(check({ ...claims, [claim]: other } as JsonObject)).toBe(refusal);
      }
    }
    expect(check({})).toBe(refusal);
    expect(identityCheck({ [name]: [] })(claims)).toBe(refusal);
  });
});

test('an address that is not verified is on no list', () => {
  const check = identityCheck({ emails: ['a@b.example'] });
  for (const email_verified of [false, 'true', 1]) {
    expect(check({ email: 'a@b.example', email_verified })).toMatch(/email_verified/);
  }
});

test.each(['', ':', ':runner', 'build', 'build:', 'build:runner:', 'build:runner:x'])(
  'system:serviceaccount:%s is no service account',
  (rest) => {
    const claims = { sub: `system:serviceaccount:${rest}` };
    const lists = ['', '/', '/runner', 'build', 'build/', 'build/runner', 'undefined'];
    expect(identityCheck({ serviceAccounts: lists })(claims)).toBe(
      'sub (a service account) is not one of serviceAccounts',
    );
  },
);

test('of several lists all must hold, and the log names the first that does not', () => {
  const check = identityCheck({ refs: ['main'], events: ['push'], subjects: undefined });
  expect(check({ ref: 'main', event_name: 'push' })).toBeUndefined();
  expect(check({ ref: 'main', event_name: 'pull_request' })).toBe('event_name is not one of events');
  expect(check({ ref: 'x', event_name: 'push' })).toBe('ref is not one of refs');
  expect(identityCheck({})({})).toBeUndefined();
});

describe('presets', () => {
  test.each<[Preset, string[]]>([
    ['google', ['emails', 'subjects']],
    [
      'github-actions',
      ['subjects', 'repositoryIds', 'repositoryOwnerIds', 'workflows', 'refs', 'environments', 'events'],
    ],
    ['kubernetes', ['subjects', 'serviceAccounts', 'namespaces']],
    ['generic', ['emails', 'subjects']],
  ])('%s offers %j', (preset, fields) => {
    expect(fieldsOf(preset)).toEqual(fields);
  });
  test('a branch, an environment, an event or a workflow alone does not say who calls', () => {
    const alone = Object.entries(IDENTITY_FIELDS).filter(([, { identifies }]) => !identifies);
    expect(alone.map(([name]) => name)).toEqual(['workflows', 'refs', 'environments', 'events']);
  });
  const TECHNICAL = 'iss aud exp iat nbf jti auth_time nonce typ email_verified'.split(' ');
  test.each<Preset>(['google', 'kubernetes', 'generic'])(
    'of %s, what is about the token says nothing',
    (preset) => {
      expect([...sharedClaims(preset)]).toEqual(TECHNICAL);
    },
  );
  test('of github-actions, what anybody can have in any repository says nothing either', () => {
    const shared = sharedClaims('github-actions');
    for (const claim of [
      ...TECHNICAL,
      'ref',
      'event_name',
      'environment',
      'job_workflow_ref',
      'actor',
      'actor_id',
      'sha',
      'workflow',
      'run_id',
      'runner_environment',
    ])
      expect([claim, shared.has(claim)]).toEqual([claim, true]);
    for (const claim of [
      'sub',
      'repository',
      'repository_id',
      'repository_owner',
      'repository_owner_id',
      'enterprise',
    ])
      expect([claim, shared.has(claim)]).toEqual([claim, false]);
  });
  test('something must say who', () => {
    expect([saysWho({}), saysWho({ emails: undefined, require: undefined })]).toEqual([false, false]);
    expect([saysWho({ require: 'true' }), saysWho({ namespaces: ['a'] })]).toEqual([true, true]);
  });
});

describe('a token', () => {
  const clock = new ManualClock('2026-06-01T12:00:00Z');
  const now = clock.now() / 1000;
  const key = makeKey('ES256', 'one');
  const other = makeKey('ES256', 'one');
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'caller', level: 3, iat: now, exp: now + 60 };
  const asked: (string | undefined)[] = [];
  let found: KeyLookup;
  beforeAll(async () => {
    const imported = await importKeys([key.jwk], ['ES256']);
    const known = imported.ok ? imported.set.find('one', 'ES256') : undefined;
    if (known !== undefined) found = { state: 'found', key: known };
  });

  async function present(
    spec: Partial<OidcSpec>,
    {
      answer = found,
      change = {},
      signer = key,
      alg = 'ES256',
    }: {
      answer?: KeyLookup;
      change?: JsonObject;
      signer?: typeof key;
      alg?: string;
    } = {},
  ): Promise<VerifyResult> {
    asked.length = 0;
    const keys = {
      lookup: (kid: string | undefined) => (asked.push(kid), answer),
      start: () => {},
      stop: () => {},
      keepFor: () => {},
    };
    const issuer = { spec: issuerSpec({ algorithms: ['ES256'] }), keys };
    const verify = oidcVerifier(
      { issuer: 'main', audience: AUDIENCE, ...spec },
      { issuer, clock, expressions: createExpressions() },
    );
    const text = signRaw(
      JSON.stringify({ alg, kid: 'one' }),
      JSON.stringify({ ...claims, ...change }),
      'ES256',
      signer.privateKey,
    );
    return verify({ headers: new Headers({ authorization: `Bearer ${text}` }), body: new Uint8Array(0) });
  }
  const who = { subjects: ['caller'] };
  const refused = (reason: string) => ({ ok: false, reason });

  test('of a known caller is taken, with its claims, for each of the audiences', async () => {
    expect(await present(who)).toEqual({ ok: true, claims });
    expect(asked).toEqual(['one']);
    expect(await present({ ...who, audience: ['x', AUDIENCE] })).toEqual({ ok: true, claims });
    expect(await present({ anyone: true })).toEqual({ ok: true, claims });
    expect(await present({ require: 'claims.level > 2' })).toEqual({ ok: true, claims });
    expect(await present({ ...who, require: 'claims.level > 2' })).toEqual({ ok: true, claims });
  });

  test('is refused for the first thing that is wrong, and the log says which', async () => {
    expect(await present(who, { signer: other })).toEqual(refused('wrong signature'));
    expect(await present({ subjects: ['x'] })).toEqual(refused('sub is not one of subjects'));
    expect(await present({ ...who, require: 'claims.level > 3' })).toEqual(
      refused('require was not met: claims.level > 3'),
    );
    expect(await present({ subjects: ['x'], require: 'claims.level > 2' })).toEqual(
      refused('sub is not one of subjects'),
    );
    expect(await present({ require: 'claims.missing > 2' })).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/^require could not be evaluated: .*missing/),
    });
    expect(await present(who, { answer: { state: 'unknown' } })).toEqual(
      refused('no key of the issuer fits the token'),
    );
  });

  test('asks for a key only where everything else is right', async () => {
    for (const [options, reason] of [
      [{ change: { aud: 'x' } }, 'aud names none of the configured audiences'],
      [{ change: { exp: now - 31, iat: now - 60 } }, 'the token has expired'],
      [{ alg: 'RS256' }, "the token's alg is not one of the issuer's"],
    ] as const) {
      expect(await present(who, options)).toEqual(refused(reason));
      expect(asked).toEqual([]);
    }
  });

  test('that cannot be checked is to come again', async () => {
    const answer = { state: 'unavailable', reason: 'away', retryAfter: 7 } as const;
    expect(await present(who, { answer })).toEqual({ ok: 'unavailable', reason: 'away', retryAfter: 7 });
  });

  test('is missing where the header is, or says something else', async () => {
    const issuer = { spec: issuerSpec(), keys: new PinnedKeys(new KeySet([])) };
    const verify = oidcVerifier(
      { issuer: 'main', audience: AUDIENCE, ...who },
      { issuer, clock, expressions: createExpressions() },
    );
    for (const headers of [new Headers(), new Headers({ authorization: 'Basic dTpw' })]) {
      expect(await verify({ headers, body: new Uint8Array(0) })).toEqual(refused('no bearer token'));
    }
  });

  test('of anybody is not taken by mistake', async () => {
    await expect(present({})).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'Nothing says who of the issuer main may call.',
      fields: { fix: 'Name them, or write "anyone": true.' },
    });
  });
});
