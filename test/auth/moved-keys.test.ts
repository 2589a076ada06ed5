import { describe, expect, test } from 'vitest';
import { ISSUER } from '../support/issuer-spec.ts';
import { DISCOVERY, IssuerSite, JWKS, json } from '../support/issuer-site.ts';
import { settle } from '../support/manual-clock.ts';
import { makeKey } from '../support/tokens.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const first = makeKey('ES256', 'first').jwk;
const second = makeKey('ES256', 'second').jwk;
const MOVED = `${ISSUER}/moved`;

/** The issuer publishes new keys in another place from now on; the old one goes on answering. */
function move(site: IssuerSite): void {
  site.discover(MOVED);
  site.pages.set(MOVED, json({ keys: [second] }));
}
async function read(options: { url?: string } = {}): Promise<IssuerSite> {
  const site = new IssuerSite([first], options);
  await site.state('first');
  return site;
}
const messages = (site: IssuerSite): string[] => site.log.lines.map(({ message }) => message);

describe('keys that move while the old place still answers', () => {
  test('are found with the first refresh after an hour, and the old place is left', async () => {
    const site = await read();
    move(site);
    await site.clock.advance(HOUR - 1);
    expect([site.times(DISCOVERY), site.times(MOVED)]).toEqual([1, 0]);
    const before = site.reads;
    await site.clock.advance(1);
    expect([site.times(DISCOVERY), site.times(MOVED)]).toEqual([2, 1]);
    expect(await site.state('second')).toBe('found');
    expect(await site.state('first')).toBe('unknown');
    expect(site.log.lines).toEqual([
      {
        level: 'info',
        message: 'an issuer has moved its keys',
        fields: { issuer: 'main', url: JWKS, to: MOVED },
      },
    ]);
    await site.clock.advance(10 * MINUTE);
    expect(site.reads).toBe(before + 1);
    expect(site.times(MOVED)).toBe(4);
  });

  test('discovery is asked once an hour, and where nothing moved nothing more is read', async () => {
    const site = await read();
    await site.clock.advance(3 * HOUR);
    expect([site.times(DISCOVERY), site.reads]).toEqual([4, 37]);
    expect(messages(site)).toEqual([]);
  });

  test('no lookup waits for discovery', async () => {
    const site = await read();
    site.pages.set(DISCOVERY, () => new Promise<Response>(() => {}));
    await site.clock.advance(HOUR);
    expect(site.times(DISCOVERY)).toBe(2);
    site.serve(first, second);
    expect(await site.state('second')).toBe('found');
  });

  test('where discovery fails the keys go on, the log says so once, and it is tried with each refresh', async () => {
    const site = await read();
    site.pages.delete(DISCOVERY);
    await site.clock.advance(HOUR + 10 * MINUTE);
    expect([site.times(DISCOVERY), site.reads]).toEqual([4, 15]);
    expect(await site.state('first')).toBe('found');
    expect(site.log.lines).toEqual([
      {
        level: 'warn',
        message: expect.stringContaining('discovery document of an issuer cannot be read'),
        fields: { issuer: 'main', url: JWKS, error: expect.stringContaining('ECONNREFUSED') },
      },
    ]);
    move(site);
    await site.clock.advance(5 * MINUTE);
    expect(await site.state('second')).toBe('found');
    site.pages.delete(DISCOVERY);
    await site.clock.advance(HOUR);
    expect(messages(site).filter((message) => message.includes('discovery'))).toHaveLength(2);
  });

  test('a discovery document of another issuer moves nothing', async () => {
    const site = await read();
    site.pages.set(DISCOVERY, json({ issuer: 'https://evil.example', jwks_uri: MOVED }));
    await site.clock.advance(HOUR);
    expect(site.times(MOVED)).toBe(0);
    expect(await site.state('first')).toBe('found');
  });

  test('an address that is configured is where they are', async () => {
    const site = await read({ url: JWKS });
    await site.clock.advance(2 * HOUR);
    expect(site.times(DISCOVERY)).toBe(0);
  });

  test('a clock that is set back asks with the next refresh', async () => {
    const site = await read();
    site.clock.set(site.clock.now() - HOUR);
    await site.clock.advance(5 * MINUTE);
    expect(site.times(DISCOVERY)).toBe(2);
  });

  test('a stop while discovery is asked is the end of it', async () => {
    const site = await read();
    move(site);
    let answer = (_response: Response): void => {};
    site.pages.set(DISCOVERY, () => new Promise<Response>((resolve) => void (answer = resolve)));
    await site.clock.advance(HOUR);
    site.cache.stop();
    answer(Response.json({ issuer: ISSUER, jwks_uri: MOVED }));
    await settle();
    expect(site.times(MOVED)).toBe(0);
    expect(site.clock.pending).toBe(0);
  });
});
