import { expect, test } from 'vitest';
import { ClientAddresses } from '../../src/http/client-address.ts';
import { addressBlock } from '../../src/lib/addresses.ts';

const PROXIES = ['10.0.0.0/8', '2001:db8:1::/64'];

function seen(remoteAddress: string, forwarded?: string, trusted: readonly string[] = PROXIES) {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return new ClientAddresses().seen({ remoteAddress }, new Request('http://x/', { headers }), trusted);
}

test.each<[string, string, string | undefined, string]>([
  ['nobody is trusted by himself', '192.0.2.1', '198.51.100.7', '192.0.2.1'],
  ['a proxy says who called it', '10.0.0.1', '198.51.100.7', '198.51.100.7'],
  ['what a caller wrote himself stands further left', '10.0.0.1', '1.1.1.1, 198.51.100.7', '198.51.100.7'],
  ['a chain of proxies', '10.0.0.1', '198.51.100.7, 10.9.9.9, 10.0.0.2', '198.51.100.7'],
  ['a call of a proxy itself', '10.0.0.1', undefined, '10.0.0.1'],
  ['a call from inside, through proxies alone', '10.0.0.1', '10.3.3.3,10.0.0.2', '10.3.3.3'],
  ['an entry that is no address ends it', '10.0.0.1', '198.51.100.7, unknown, 10.0.0.2', '10.0.0.2'],
  ['an empty header', '10.0.0.1', '', '10.0.0.1'],
  ['a port', '10.0.0.1', '198.51.100.7:5123', '198.51.100.7'],
  ['IPv6 with a port', '10.0.0.1', '[2001:db8::7]:5123', '2001:db8::7'],
  ['IPv6', '2001:db8:1::5', '2001:db8::7', '2001:db8::7'],
  ['a proxy that IPv6 shows as mapped', '::ffff:10.0.0.1', '198.51.100.7', '198.51.100.7'],
])('%s', (_name, peer, forwarded, expected) => {
  expect(seen(peer, forwarded).remoteAddress).toBe(expected);
});

test.each<[string, string | undefined, true | undefined]>([
  ['names a caller', '198.51.100.7', undefined],
  ['says nothing', undefined, true],
  ['says nothing that can be read', 'unknown', true],
  ['names proxies alone', '10.3.3.3, 10.0.0.2', true],
])('a trusted proxy that %s', (_name, forwarded, untold) => {
  expect(seen('10.0.0.1', forwarded).callerUntold).toBe(untold);
});

test('the proxy stays known where it named another, and nothing changes without proxies', () => {
  expect(seen('10.0.0.1', '198.51.100.7')).toEqual({
    remoteAddress: '198.51.100.7',
    peerAddress: '10.0.0.1',
  });
  const info = { remoteAddress: '10.0.0.1' };
  const request = new Request('http://x/', { headers: { 'x-forwarded-for': '198.51.100.7' } });
  expect(new ClientAddresses().seen(info, request, [])).toBe(info);
  expect(new ClientAddresses().seen(info, request, ['192.0.2.0/24'])).toBe(info);
});

test('other proxies after a reload count at once', () => {
  const addresses = new ClientAddresses();
  const request = new Request('http://x/', { headers: { 'x-forwarded-for': '198.51.100.7' } });
  const info = { remoteAddress: '192.0.2.1' };
  expect(addresses.seen(info, request, PROXIES).remoteAddress).toBe('192.0.2.1');
  expect(addresses.seen(info, request, ['192.0.2.1']).remoteAddress).toBe('198.51.100.7');
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['fe80::1:2%eth0', 'fe80:0:0:0::/64'],
  ['', ''],
])('%s is counted as %s', (address, block) => {
  expect(addressBlock(address)).toBe(block);
});
