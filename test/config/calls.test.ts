import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigFolder } from '../support/config-folder.ts';

const JOB = { image: 'busybox:1' };
let folder: ConfigFolder;
beforeEach(() => void (folder = new ConfigFolder()));
afterEach(() => folder.remove());

describe('the settings of calls', () => {
  it('takes what a webhook says of its calls', async () => {
    const source = {
      kind: 'webhook',
      auth: 'none',
      id: '${{ event.data.id }}',
      rememberFor: '7d',
      format: 'pubsub',
      rateLimit: { requests: 10, per: '1s' },
      allowedOrigins: ['EventGrid.azure.net'],
    };
    const config = await folder.load({
      server: { rateLimit: { requests: 600 }, trustedProxies: ['10.0.0.0/8', '::1'] },
      jobs: { a: JOB },
      triggers: { t: { source, run: { job: 'a' } } },
    });
    const trigger = config.triggers.get('t');
    expect(trigger?.source).toEqual({
      kind: 'webhook',
      auth: 'none',
      id: '${{ event.data.id }}',
      rememberMs: 7 * 24 * 60 * 60_000,
      format: 'pubsub',
      rateLimit: { requests: 10, perMs: 1_000 },
      allowedOrigins: ['eventgrid.azure.net'],
    });
    expect(trigger?.identify?.render({ event: { data: { id: 7 } } })).toMatchObject({ value: '7' });
    expect(config.server).toMatchObject({
      rateLimit: { requests: 600, perMs: 60_000 },
      trustedProxies: ['10.0.0.0/8', '::1'],
    });
  });

  it.each([
    [{ server: { trustedProxies: ['10.0.0.1/8'] } }, '10.0.0.0/8'],
    [{ server: { trustedProxies: ['proxy'] } }, 'proxy is neither an address nor a network'],
    [{ server: { rateLimit: { requests: 0 } } }, 'requests'],
  ])('refuses %j', async (settings, word) => {
    await expect(folder.load({ ...settings, jobs: { a: JOB } })).rejects.toThrow(word);
  });
});

describe('how long an id is remembered, and how long a signed call counts', () => {
  const secret = { file: './secret' };
  const refused = (auth: unknown, rememberFor?: string) => {
    folder.write('secret', 'x'.repeat(32));
    const source = { kind: 'webhook', auth, ...(rememberFor === undefined ? {} : { rememberFor }) };
    return folder.problemsOf({ jobs: { a: JOB }, triggers: { t: { source, run: { job: 'a' } } } });
  };
  it.each([
    ['slack', { hmac: { scheme: 'slack', secret, tolerance: '5m' } }, '9m', '10m'],
    [
      'one of several',
      { anyOf: [{ gitlab: { token: secret } }, { hmac: { scheme: 'stripe', secret } }] },
      '1m',
      '10m',
    ],
    ['the usual day', { hmac: { scheme: 'stripe', secret, tolerance: '24h' } }, undefined, '2d'],
  ])('refused: %s', async (_name, auth, rememberFor, least) => {
    const [problem = ''] = await refused(auth, rememberFor);
    expect(problem).toContain('triggers.t.source.rememberFor');
    expect(problem).toMatch(new RegExp(`at least (${least}|48h|10m0s|600s)`));
  });
  it.each([
    ['as long as it counts', { hmac: { scheme: 'slack', secret, tolerance: '5m' } }, '10m'],
    ['no time is signed', { hmac: { scheme: 'github', secret } }, '1m'],
    ['nothing is signed', 'none', '1m'],
  ])('taken: %s', async (_name, auth, rememberFor) => {
    expect(await refused(auth, rememberFor)).toEqual([]);
  });
});

const ANYONE = { issuer: 'google', audience: 'a', anyone: true };

describe('a body that is a file', () => {
  const secret = { file: './secret' };
  const token = { token: secret };
  const problems = (source: object) => {
    folder.write('secret', 'x'.repeat(32));
    const trigger = { source: { kind: 'webhook', ...source }, run: { job: 'a' } };
    const issuers = { google: { preset: 'google' } };
    return folder.problemsOf({ issuers, jobs: { a: JOB }, triggers: { t: trigger } });
  };

  it.each([
    [{ maxBody: '5Gi' }, 5 * 1024 ** 3],
    [{}, 1024 ** 3],
    [{ maxBody: 10 }, 10],
  ])('has its own limit: %j', async (more, maxBytes) => {
    folder.write('secret', 'x'.repeat(32));
    const source = { kind: 'webhook', auth: { bearer: token }, body: 'file', ...more };
    const config = await folder.load({ jobs: { a: JOB }, triggers: { t: { source, run: { job: 'a' } } } });
    const compiled = config.triggers.get('t')?.source;
    expect(compiled).toMatchObject({ bodyFile: { maxBytes } });
    expect(compiled).not.toHaveProperty('maxBody');
  });

  it.each([
    ['bearer', { bearer: token }],
    ['basic', { basic: { user: 'u', password: secret } }],
    ['gitlab', { gitlab: token }],
    ['addresses', { addresses: ['10.0.0.0/8'] }],
    ['a certificate', { clientCertificate: { header: 'x-cert', proxies: ['10.0.0.1'], subjects: ['CN=a'] } }],
    ['several', { anyOf: [{ bearer: token }, { addresses: ['10.0.0.0/8'] }], addresses: ['::/0'] }],
    ['anyone of a network', { oidc: ANYONE, addresses: ['10.0.0.0/8'] }],
    [
      'any of several, of a network',
      { anyOf: [{ bearer: token }, { oidc: ANYONE }], addresses: ['10.0.0.0/8'] },
    ],
    ['some with a token', { oidc: { issuer: 'google', audience: 'a', emails: ['a@example.com'] } }],
  ])('is taken where callers are known by their headers: %s', async (_name, auth) => {
    expect(await problems({ auth, body: 'file' })).toEqual([]);
  });

  it.each([
    ['none', 'none', /"auth: none", as any stranger could fill the disk: use oidc for some callers, bearer/],
    ['hmac', { hmac: { secret } }, /the signature is over a body that nobody has before/],
    [
      'standard webhooks',
      { hmac: { scheme: 'standard-webhooks', secret: { file: './key' } } },
      /the signature is over a body/,
    ],
    ['one of several', { anyOf: [{ bearer: token }, { hmac: { scheme: 'github', secret } }] }, /"hmac"/],
    ['anyone with a token', { oidc: ANYONE }, /"anyone: true", as that lets in anyone: use oidc for some/],
    ['every address', { addresses: ['10.0.0.0/8', '0.0.0.0/0'] }, /"addresses: \[10.0.0.0\/8, 0.0.0.0\/0\]"/],
    ['every address of IPv6', { addresses: ['::/0'] }, /"addresses: \[::\/0\]"/],
    ['anyone as one of several', { anyOf: [{ bearer: token }, { oidc: ANYONE }] }, /"anyone: true"/],
    ['every address as one of several', { anyOf: [{ bearer: token }, { addresses: ['::/0'] }] }, /::\/0/],
    ['anyone, from anywhere', { oidc: ANYONE, addresses: ['0.0.0.0/0'] }, /"anyone: true"/],
  ])('is refused where they are not: %s', async (_name, auth, words) => {
    folder.write('key', `whsec_${Buffer.alloc(32, 'k').toString('base64')}`);
    const [problem = '', ...others] = await problems({ auth, body: 'file' });
    expect(problem).toContain('triggers.t.source.body');
    expect(problem).toMatch(words);
    expect(others).toEqual([]);
  });

  it('stands alone: nothing else may read what is in it', async () => {
    const auth = { bearer: token };
    expect(await problems({ auth, body: 'file', format: 'pubsub', challenge: 'microsoft' })).toEqual([
      expect.stringMatching(/source\.format.*cannot stand beside "body: file"/),
      expect.stringMatching(/source\.challenge.*cannot stand beside "body: file"/),
    ]);
  });

  it('is what a limit of its own is for', async () => {
    expect(await problems({ auth: { bearer: token }, maxBody: '5Gi' })).toEqual([
      expect.stringMatching(/source\.maxBody.*add "body: file", or raise server\.maxBody/),
    ]);
  });
});
