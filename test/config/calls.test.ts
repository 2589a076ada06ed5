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
