import { isIP } from 'node:net';
import { inNetworks, parseNetworks } from '../lib/addresses.ts';
import type { Networks } from '../lib/addresses.ts';
import type { Caller } from './permissions.ts';

/** A proxy adds one; longer lists are somebody's invention. */
const MAX_HOPS = 32;

/**
 * Who calls, where proxies stand in front of the gateway. `X-Forwarded-For` grows at its right end: each proxy adds whom
 * it heard from. So it is read from the right, and only as long as the last speaker is one of the trusted proxies: what
 * a stranger wrote into it himself stands left of the place where reading stops.
 */
export class ClientAddresses {
  #trusted: readonly string[] = [];
  #networks: Networks = [];

  /** `trusted`: as in the settings of the moment. */
  seen(info: Caller, request: Request, trusted: readonly string[]): Caller {
    // The Fetch standard has no TRACE: the first look at its headers would throw.
    if (trusted.length === 0 || request.method === 'TRACE') return info;
    if (this.#trusted !== trusted) {
      this.#networks = parseNetworks(trusted);
      this.#trusted = trusted;
    }
    const peerAddress = info.remoteAddress;
    if (!inNetworks(peerAddress, this.#networks)) return info;
    const remoteAddress = this.#nearestStranger(peerAddress, request.headers);
    const untold = inNetworks(remoteAddress, this.#networks);
    return { ...info, remoteAddress, peerAddress, ...(untold ? { callerUntold: true } : {}) };
  }

  /** The nearest address that is no proxy's; where there is none, or nothing readable, that of the last proxy that is known. */
  #nearestStranger(peerAddress: string, headers: Headers): string {
    let known = peerAddress;
    const hops = (headers.get('x-forwarded-for') ?? '').split(',').slice(-MAX_HOPS);
    for (const hop of hops.toReversed()) {
      const address = bare(hop.trim());
      if (address === undefined) return known;
      known = address;
      if (!inNetworks(known, this.#networks)) return known;
    }
    return known;
  }
}

/** Some proxies write a port too: `192.0.2.7:4711`, `[2001:db8::1]:4711`. */
function bare(hop: string): string | undefined {
  const [, v6, v4] = /^(?:\[([0-9a-fA-F:.]+)\]|(\d+\.\d+\.\d+\.\d+))(?::\d{1,5})?$/.exec(hop) ?? [];
  const address = v6 ?? v4 ?? hop;
  return isIP(address) === 0 ? undefined : address;
}
