import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

type Address = ReturnType<typeof ipaddr.parse>;
interface Network {
  readonly start: Address;
  readonly bits: number;
}
export type Networks = readonly Network[];

const MAPPED_BITS = 96;
/**
 * Addresses that stand among public ones and are the inside of a cloud for every machine in it: Azure's wire server.
 * The metadata services of the others are link-local, private or carrier-grade NAT.
 */
const INSIDE_CLOUDS: ReadonlySet<string> = new Set(['168.63.129.16']);
/** All of IPv6 that is routed on the Internet today. What lies outside holds the translated forms of IPv4 too. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

/**
 * Addresses and networks (`192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`). An IPv4 address written as IPv6
 * (`::ffff:192.0.2.7`) counts as IPv4; `::/0` is all of IPv6 and none of IPv4. Throws an Error that names the first one
 * which is neither, or whose address is not the first of its network.
 */
export function parseNetworks(texts: readonly string[]): Networks {
  return texts.map(parseNetwork);
}

/** false also for text that is no address. */
export function inNetworks(address: string, networks: Networks): boolean {
  const given = parseAddress(address);
  return given !== undefined && networks.some((network) => contains(network, given));
}

/**
 * Whether an address lies on the public Internet: false for loopback, private, link-local, carrier-grade NAT,
 * unique-local, multicast, documentation and reserved ones, for those that are the inside of a cloud, for every form of IPv6 that leads to IPv4 by translation or
 * a tunnel (whatever it leads to), and for text that is no address.
 */
export function isPublicAddress(address: string): boolean {
  const given = parseAddress(address);
  if (given === undefined || given.range() !== 'unicast') return false;
  return given.kind() === 'ipv4' ? !INSIDE_CLOUDS.has(given.toString()) : given.match(GLOBAL_UNICAST);
}

/**
 * Who is counted as one caller: an IPv4 address by itself, an IPv6 address with the /64 that it lies in, all of which a
 * single machine can use. Text that is no address stands for itself.
 */
export function addressBlock(address: string): string {
  const given = parseAddress(address);
  if (given === undefined) return address;
  if (given instanceof ipaddr.IPv6)
    return `${given.parts
      .slice(0, 4)
      .map((part) => part.toString(16))
      .join(':')}::/64`;
  return given.toString();
}

function parseNetwork(text: string): Network {
  const [, address = '', prefix] = /^([^/%]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  if (isIP(address) === 0) {
    throw new Error(`${text} is neither an address nor a network such as 192.0.2.0/24`);
  }
  const written = read(address);
  const start = plain(written);
  const size = written.kind() === 'ipv4' ? 32 : 128;
  const bits = prefix === undefined ? size : Number(prefix);
  if (bits > size) throw new Error(`${text} has a prefix longer than /${size}`);
  if (start.kind() === written.kind()) return checked(text, start, bits);
  if (bits < MAPPED_BITS) throw new Error(`${text} mixes IPv4 and IPv6: write the IPv4 network by itself`);
  return checked(text, start, bits - MAPPED_BITS);
}

function checked(text: string, start: Address, bits: number): Network {
  const kind = start.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6;
  const first = kind.networkAddressFromCIDR(`${start.toString()}/${bits}`).toString();
  if (first !== start.toString()) {
    throw new Error(`${text} starts inside its network: write ${first}/${bits}`);
  }
  return { start, bits };
}

function contains({ start, bits }: Network, address: Address): boolean {
  return start.kind() === address.kind() && address.match(start, bits);
}

/** Only the usual spelling: `127.1`, `0x7f.0.0.1` and `017700000001` are read differently by different programs. */
function parseAddress(text: string): Address | undefined {
  return isIP(text) === 0 ? undefined : plain(read(text));
}

/** The parser takes `::192.0.2.1` (a form that never came into use) for a mapped address, which it is not. */
function read(text: string): Address {
  return ipaddr.parse(text.replace(/^::(?=\d+\.)/, '0:0:0:0:0:0:'));
}

/** IPv4 for an IPv4-mapped IPv6 address. */
function plain(address: Address): Address {
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}
