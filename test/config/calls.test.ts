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
