import { afterAll, describe, expect, it } from 'vitest';
import { ConfigFolder } from '../support/config-folder.ts';

const folder = new ConfigFolder();
afterAll(() => folder.remove());

const KEY = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
const PUBLIC = `whpk_${Buffer.alloc(32, 1).toString('base64')}`;
const ENV = { S: 'secret', T: 'other', KEY, PUBLIC, EMPTY: '', WORDS: 'two words' };
const s = { env: 'S' };
const t = { env: 'T' };

const config = (auth: unknown) => ({
  jobs: { a: { image: 'x' } },
  triggers: { t: { source: { kind: 'webhook', auth }, run: { job: 'a' } } },
});
async function loaded(auth: unknown): Promise<unknown> {
  const { triggers } = await folder.load(config(auth), { env: ENV });
  const source = triggers.get('t')?.source;
  return source?.kind === 'webhook' ? source.auth : undefined;
}
async function problems(auth: unknown): Promise<string[]> {
  const lines = await folder.problemsOf(config(auth), { env: ENV });
  return lines.map((line) => line.replace(/\bconfig\.json:\d+:\d+ triggers\.t\.source\./, ''));
}

describe('who may call', () => {
  const minutes = { toleranceMs: 300_000 };
  const generic = { header: 'x-hub-signature-256', prefix: 'sha256=', encoding: 'hex' };
  const print = 'AB:'.repeat(19);
  it.each<[object, object]>([
    // As it was written before there were schemes.
    [{ hmac: { secret: s } }, { hmac: { ...generic, secret: s } }],
    [
      { hmac: { secret: s, header: 'X-Sig', prefix: '', encoding: 'base64' } },
      { hmac: { header: 'X-Sig', prefix: '', encoding: 'base64', secret: s } },
    ],
    [{ hmac: { scheme: 'generic', secrets: [s, t] } }, { hmac: { ...generic, secrets: [s, t] } }],
    [
      { hmac: { secret: s, timestamp: { header: 'X-Time' } } },
      {
        hmac: {
          ...generic,
          secret: s,
          timestamp: { header: 'X-Time', signed: '{timestamp}.{body}', ...minutes },
        },
      },
    ],
    [
      { hmac: { secret: s, tolerance: '30s', timestamp: { header: 'T', signed: 'v0:{timestamp}:{body}' } } },
      {
        hmac: {
          ...generic,
          secret: s,
          timestamp: { header: 'T', signed: 'v0:{timestamp}:{body}', toleranceMs: 30_000 },
        },
      },
    ],
    [{ hmac: { scheme: 'github', secret: s } }, { hmac: { scheme: 'github', secret: s } }],
    [{ hmac: { scheme: 'stripe', secret: s } }, { hmac: { scheme: 'stripe', secret: s, ...minutes } }],
    [
      { hmac: { scheme: 'slack', secret: s, tolerance: '1m' } },
      { hmac: { scheme: 'slack', secret: s, toleranceMs: 60_000 } },
    ],
    [
      { hmac: { scheme: 'standard-webhooks', secrets: [{ env: 'KEY' }, { env: 'PUBLIC' }] } },
      { hmac: { scheme: 'standard-webhooks', secrets: [{ env: 'KEY' }, { env: 'PUBLIC' }], ...minutes } },
    ],
    [{ gitlab: { token: s } }, { gitlab: { token: s } }],
    [{ bearer: { tokens: [s, t] } }, { bearer: { tokens: [s, t] } }],
    [{ basic: { user: 'u', password: s } }, { basic: { user: 'u', password: s } }],
    [{ basic: { user: 'u', passwords: [s] } }, { basic: { user: 'u', passwords: [s] } }],
    [{ addresses: ['192.0.2.0/24', '::1'] }, { addresses: ['192.0.2.0/24', '::1'] }],
    [
      { gitlab: { token: s }, addresses: ['::1'] },
      { gitlab: { token: s }, addresses: ['::1'] },
    ],
    [
      { clientCertificate: { header: 'X-Dn', proxies: ['10.0.0.1'], subjects: ['CN=a'] } },
      { clientCertificate: { header: 'X-Dn', proxies: ['10.0.0.1'], subjects: ['CN=a'] } },
    ],
    [
      { clientCertificate: { header: 'X-Print', proxies: ['10.0.0.1'], fingerprints: [`${print}AB`] } },
      { clientCertificate: { header: 'X-Print', proxies: ['10.0.0.1'], fingerprints: ['ab'.repeat(20)] } },
    ],
    [
      { anyOf: [{ bearer: { token: s } }, { hmac: { scheme: 'github', secret: t }, addresses: ['::1'] }] },
      { anyOf: [{ bearer: { token: s } }, { hmac: { scheme: 'github', secret: t }, addresses: ['::1'] }] },
    ],
    [
      { anyOf: [{ bearer: { token: s } }], addresses: ['::1'] },
      { anyOf: [{ bearer: { token: s } }], addresses: ['::1'] },
    ],
  ])('%j', async (auth, made) => {
    expect(await loaded(auth)).toEqual(made);
  });
});

describe('is refused with what to do', () => {
  const hmac = (fields: object) => ({ hmac: { secret: s, ...fields } });
  const certificate = (fields: object) => ({
    clientCertificate: { header: 'X-Dn', proxies: ['10.0.0.1'], subjects: ['CN=a'], ...fields },
  });
  it.each<[unknown, string]>([
    [{}, 'auth: nothing is chosen: choose one of "oidc", "hmac"'],
    [{ hmac: {} }, 'auth.hmac.secret: is missing; it must be a secret, or name several under "secrets"'],
    [hmac({ secrets: [t] }), 'auth.hmac: name "secret" or "secrets", not both'],
    [{ hmac: { secrets: s } }, 'auth.hmac.secrets: must be a list'],
    [{ hmac: { secrets: 'plain' } }, 'auth.hmac.secrets: must be a list'],
    [hmac({ scheme: 'githup' }), 'auth.hmac.scheme: must be "generic" or "github" or'],
    [hmac({ scheme: 'github', header: 'x' }), 'auth.hmac.header: "github" settles this itself: leave it out'],
    [hmac({ scheme: 'stripe', encoding: 'hex' }), 'auth.hmac.encoding: "stripe" settles this itself'],
    [hmac({ scheme: 'slack', timestamp: { header: 'x' } }), 'auth.hmac.timestamp: "slack" settles this'],
    [hmac({ scheme: 'github', tolerance: '5m' }), 'auth.hmac.tolerance: GitHub signs no time: leave it out'],
    [hmac({ tolerance: '5m' }), 'auth.hmac.tolerance: without "timestamp" no time is signed: leave it out'],
    [hmac({ scheme: 'slack', tolerance: '25h' }), 'auth.hmac.tolerance: must be between 1s and 1d, not 25h'],
    [hmac({ scheme: 'slack', tolerance: 300 }), 'auth.hmac.tolerance: must have a unit: write "300s"'],
    [hmac({ header: 'a b' }), 'auth.hmac.header: is no name of a header'],
    [
      hmac({ timestamp: { header: 'a', signed: '{body}' } }),
      'must hold {timestamp} once and end with {body}',
    ],
    [
      hmac({ timestamp: { header: 'a', signed: '{timestamp}{timestamp}{body}' } }),
      'must hold {timestamp} once and end with {body}',
    ],
    [
      hmac({ timestamp: { header: 'a', signed: '{body}{timestamp}' } }),
      'must hold {timestamp} once and end with {body}',
    ],
    [
      hmac({ scheme: 'standard-webhooks' }),
      'auth.hmac.secret: the secret is not a Standard Webhooks secret: whsec_ and base64',
    ],
    [{ bearer: { token: { env: 'WORDS' } } }, 'auth.bearer.token: the secret holds spaces, commas'],
    [{ gitlab: { tokens: [s, { env: 'WORDS' }] } }, 'auth.gitlab.tokens[1]: the secret holds spaces, commas'],
    [{ gitlab: {} }, 'auth.gitlab.token: is missing'],
    [{ basic: { password: s } }, 'auth.basic.user: is missing'],
    [{ basic: { user: 'a:b', password: s } }, 'auth.basic.user: must not hold a colon'],
    [{ basic: { user: 'a' } }, 'auth.basic.password: is missing'],
    [{ addresses: ['10.0.0.0/33'] }, 'auth.addresses[0]: 10.0.0.0/33 has a prefix longer than /32'],
    [{ addresses: ['somewhere.example'] }, 'auth.addresses[0]: somewhere.example is neither an address'],
    [certificate({ proxies: undefined }), 'auth.clientCertificate.proxies: is missing'],
    [certificate({ proxies: ['proxy'] }), 'auth.clientCertificate.proxies[0]: proxy is neither an address'],
    [certificate({ subjects: undefined }), 'auth.clientCertificate: name "subjects" or "fingerprints"'],
    [certificate({ fingerprints: ['ab'.repeat(20)] }), 'auth.clientCertificate: name "subjects" or'],
    [
      certificate({ subjects: undefined, fingerprints: ['abc'] }),
      'auth.clientCertificate.fingerprints[0]: is no fingerprint: 40 (SHA-1) or 64 (SHA-256) hex digits',
    ],
    [{ anyOf: [{ bearer: { token: s } }], basic: {} }, 'basic'],
    [
      { anyOf: [{ bearer: { token: s } }], gitlab: { token: s } },
      'auth: gitlab cannot stand beside "anyOf": put it into the list',
    ],
    [{ anyOf: [{ addresses: [] }] }, 'auth.anyOf[0].addresses: must not be empty'],
    [{ anyOf: [{ anyOf: [{ addresses: ['::1'] }] }] }, 'auth.anyOf[0].anyOf: unknown key "anyOf"'],
    [
      { anyOf: [{ bearer: { token: { env: 'NOPE' } } }] },
      'auth.anyOf[0].bearer.token: the environment variable',
    ],
    [{ constructor: {} }, 'auth.constructor: unknown key "constructor"'],
  ])('%j', async (auth, line) => {
    expect((await problems(auth)).join('\n')).toContain(line);
  });
});

describe('nobody is let in by a gap in the configuration', () => {
  const e = { env: 'EMPTY' };
  it.each<[unknown, string]>([
    [undefined, 'auth: is missing; a webhook must say who may call'],
    [null, 'auth: choose one of'],
    [{ hmac: { secret: e } }, 'auth.hmac.secret: the environment variable EMPTY is empty'],
    [{ hmac: { scheme: 'github', secrets: [s, e] } }, 'auth.hmac.secrets[1]: the environment variable EMPTY'],
    [{ hmac: { scheme: 'stripe', secret: e } }, 'auth.hmac.secret: the environment variable EMPTY is empty'],
    [{ hmac: { scheme: 'slack', secret: e } }, 'auth.hmac.secret: the environment variable EMPTY is empty'],
    [{ hmac: { scheme: 'standard-webhooks', secret: e } }, 'auth.hmac.secret: the environment variable'],
    [{ hmac: { secrets: [] } }, 'auth.hmac.secrets: must not be empty'],
    [{ bearer: { token: e } }, 'auth.bearer.token: the environment variable EMPTY is empty'],
    [{ bearer: { tokens: [] } }, 'auth.bearer.tokens: must not be empty'],
    [{ gitlab: { token: e } }, 'auth.gitlab.token: the environment variable EMPTY is empty'],
    [{ basic: { user: 'u', password: e } }, 'auth.basic.password: the environment variable EMPTY is empty'],
    [{ basic: { user: '', password: s } }, 'auth.basic.user: must not be empty'],
    [{ basic: { user: 'u', passwords: [] } }, 'auth.basic.passwords: must not be empty'],
    [{ addresses: [] }, 'auth.addresses: must not be empty'],
    [{ anyOf: [] }, 'auth.anyOf: must not be empty'],
    [{ anyOf: ['none'] }, 'auth.anyOf[0]: choose one of'],
    [{ anyOf: [{}] }, 'auth.anyOf[0]: nothing is chosen'],
    [{ anyOf: [{ addresses: ['::1'] }, { bearer: { token: e } }] }, 'auth.anyOf[1].bearer.token: the env'],
    [
      { clientCertificate: { header: 'x', proxies: [], subjects: ['CN=a'] } },
      'auth.clientCertificate.proxies: must not be empty',
    ],
    [
      { clientCertificate: { header: 'x', proxies: ['::1'], subjects: [] } },
      'auth.clientCertificate.subjects: must not be empty',
    ],
  ])('%j is refused', async (auth, line) => {
    expect((await problems(auth)).join('\n')).toContain(line);
  });
});

describe('a secret that is short', () => {
  const env = { SHORT: 'x'.repeat(15), LONG: 'x'.repeat(16), UMLAUTS: 'ü'.repeat(8), KEY };
  const short = { env: 'SHORT' };
  const long = { env: 'LONG' };
  const warnings = async (auth: unknown): Promise<readonly string[]> =>
    (await folder.load(config(auth), { env })).warnings;

  it.each<[object, string]>([
    [{ hmac: { secret: short } }, 'hmac.secret'],
    [{ hmac: { scheme: 'slack', secrets: [long, short] } }, 'hmac.secrets[1]'],
    [{ bearer: { token: short } }, 'bearer.token'],
    [{ gitlab: { tokens: [short, long] } }, 'gitlab.tokens[0]'],
    [{ basic: { user: 'u', password: short } }, 'basic.password'],
    [{ anyOf: [{ addresses: ['::1'] }, { bearer: { token: short } }] }, 'anyOf[1].bearer.token'],
  ])('is taken with a warning that names the place, not the secret: %j', async (auth, path) => {
    const [line, ...more] = await warnings(auth);
    expect(more).toEqual([]);
    expect(line).toMatch(/\bconfig\.json:\d+:\d+ triggers\.t\.source\.auth\./);
    expect(line).toContain(`.auth.${path}: the secret is shorter than 16 bytes`);
    expect(line).not.toContain(env.SHORT);
  });
  it('is said once, in however many places it stands', async () => {
    expect(
      await warnings({ anyOf: [{ bearer: { token: short } }, { gitlab: { token: short } }] }),
    ).toHaveLength(1);
  });
  it('16 bytes are enough, in whatever alphabet', async () => {
    for (const ref of [long, { env: 'UMLAUTS' }])
      expect(await warnings({ hmac: { secret: ref } })).toEqual([]);
    expect(await warnings({ hmac: { scheme: 'standard-webhooks', secret: { env: 'KEY' } } })).toEqual([]);
  });
});
