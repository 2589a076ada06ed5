import { describe, expect, it } from 'vitest';
import { inNetworks, isPublicAddress, parseNetworks } from '../../src/lib/addresses.ts';

const PUBLIC = [
  '1.1.1.1',
  '8.8.8.8',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.1',
  '168.63.129.15',
  '168.63.129.17',
  '172.15.255.255',
  '172.32.0.0',
  '192.167.255.255',
  '223.255.255.255',
  '2001:4860:4860::8888',
  '2606:4700:4700::1111',
  '2a00:1450:4001:81d::200e',
  '::ffff:8.8.8.8',
  '::ffff:808:808',
];

const NOT_PUBLIC = [
  // unspecified, this network, loopback
  '0.0.0.0',
  '0.1.2.3',
  '127.0.0.1',
  '127.255.255.254',
  '::',
  '::1',
  '0:0:0:0:0:0:0:1',
  // private, carrier-grade NAT, link-local (cloud metadata), benchmarks
  '10.0.0.0',
  '10.255.255.255',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '100.64.0.1',
  '100.127.255.255',
  '169.254.169.254',
  '198.18.0.1',
  '198.19.255.255',
  // of clouds: Azure's wire server, Alibaba, Oracle, Google over IPv6
  '168.63.129.16',
  '::ffff:168.63.129.16',
  '100.100.100.200',
  '192.0.0.192',
  'fd20:ce::254',
  // documentation, protocol assignments, multicast, reserved, broadcast
  '192.0.0.8',
  '192.0.2.1',
  '198.51.100.1',
  '203.0.113.9',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '192.88.99.1',
  // unique-local, link-local (with a zone too), site-local, multicast, documentation, discard
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'ff02::1',
  '2001:db8::1',
  '3fff::1',
  '100::1',
  '5f00::1',
  '4000::1',
  'e000::1',
  // IPv4 within IPv6: mapped, compatible, translated (also of public ones), 6to4, Teredo, NAT64
  '::ffff:127.0.0.1',
  '::ffff:7f00:1',
  '::ffff:10.1.2.3',
  '::ffff:169.254.169.254',
  '::127.0.0.1',
  '::8.8.8.8',
  '::ffff:0:127.0.0.1',
  '64:ff9b::7f00:1',
  '64:ff9b::8.8.8.8',
  '64:ff9b:1::10.0.0.1',
  '2002:7f00:1::',
  '2001:0:7f00:1::',
  '2001:2::1',
  '2001:10::1',
  // no address, or one that is read differently by different programs
  '',
  'localhost',
  '127.1',
  '0x7f.0.0.1',
  '0177.0.0.1',
  '2130706433',
  '8.8.8.8 ',
  '8.8.8',
  '[::1]',
  '08.8.8.8',
];

describe('isPublicAddress', () => {
  it.each(PUBLIC)('%s is public', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });
  it.each(NOT_PUBLIC)('%j is not public', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });
});

describe('networks', () => {
  const networks = parseNetworks([
    '192.0.2.7',
    '10.0.0.0/8',
    '::ffff:172.16.0.0/108',
    '2001:db8::/32',
    '::1',
    '203.0.113.128/25',
    'fe80::/10',
  ]);

  it.each([
    '192.0.2.7',
    '::ffff:192.0.2.7',
    '10.255.0.1',
    '172.31.0.1',
    '2001:db8:ffff::1',
    '::1',
    '203.0.113.200',
    // As a system shows a neighbour's.
    'fe80::1%eth0',
  ])('%s lies in one of them', (address) => {
    expect(inNetworks(address, networks)).toBe(true);
  });
  it.each([
    '192.0.2.8',
    '11.0.0.0',
    '172.32.0.0',
    '2001:db9::',
    '::2',
    '203.0.113.127',
    '::10.0.0.1',
    'x',
    '',
  ])('%j lies in none of them', (address) => {
    expect(inNetworks(address, networks)).toBe(false);
  });

  it('all of a kind is not all of the other', () => {
    expect(inNetworks('8.8.8.8', parseNetworks(['::/0']))).toBe(false);
    expect(inNetworks('::1', parseNetworks(['0.0.0.0/0']))).toBe(false);
    expect(inNetworks('::ffff:8.8.8.8', parseNetworks(['0.0.0.0/0']))).toBe(true);
    expect(inNetworks('8.8.8.8', [])).toBe(false);
  });

  it.each([
    ['', 'neither'],
    ['localhost', 'neither'],
    ['10.0.0.0/33', 'longer than /32'],
    ['::/129', 'longer than /128'],
    ['10.0.0.0/08', 'neither'],
    ['10.0.0.0/', 'neither'],
    ['10.0.0.0/255.0.0.0', 'neither'],
    ['10/8', 'neither'],
    ['0x0a.0.0.0/8', 'neither'],
    ['fe80::1%eth0', 'neither'],
    ['10.0.0.5/8', 'write 10.0.0.0/8'],
    ['2001:db8::1/32', 'write 2001:db8::/32'],
    ['::ffff:0.0.0.0/90', 'mixes IPv4 and IPv6'],
  ])('%j is refused, by name', (text, why) => {
    const parse = (): unknown => parseNetworks(['10.0.0.0/8', text]);
    expect(parse).toThrow(why);
    if (text !== '') expect(parse).toThrow(text);
  });
});
