import type { Verify, VerifyResult } from '../core/auth.ts';
import { inNetworks, parseNetworks } from '../lib/addresses.ts';

/** Text that is no address is on no list. */
const UNKNOWN = '(unknown)';

type Unavailable = Extract<VerifyResult, { ok: 'unavailable' }>;

/** Only calls from these addresses, and of them only what `verify` lets in. */
export function fromAddresses(addresses: readonly string[], verify: Verify): Verify {
  const networks = parseNetworks(addresses);
  return async (request) => {
    const { remoteAddress = UNKNOWN, peerAddress, callerUntold } = request;
    // Behind the proxy is everybody.
    if (callerUntold === true) return { ok: false, reason: untold(remoteAddress, peerAddress) };
    if (inNetworks(remoteAddress, networks)) return verify(request);
    return { ok: false, reason: `the address ${remoteAddress} is not on the list` };
  };
}

function untold(last: string, peer = last): string {
  if (last !== peer)
    return `the trusted proxy ${peer} names ${last}, which is in server.trustedProxies too: narrow those to the proxies alone, or let the outermost one name its caller`;
  return `the trusted proxy ${peer} did not say who calls: let it set X-Forwarded-For to the address of its caller, or take it out of server.trustedProxies where it is the caller itself`;
}

/**
 * The answer of the first that lets the call in, in the order as configured, which so decides what is vouched for too.
 * Where none does, and one could not check, the call may be right: it is to come again.
 */
export function anyOf(verifiers: readonly Verify[]): Verify {
  return async (request) => {
    const reasons: string[] = [];
    let unavailable: Unavailable | undefined;
    for (const verify of verifiers) {
      const result = await verify(request);
      if (result.ok === true) return result;
      reasons.push(result.reason);
      if (result.ok === 'unavailable') unavailable = sooner(unavailable, result);
    }
    const reason = reasons.join('; ');
    return unavailable === undefined ? { ok: false, reason } : { ...unavailable, reason };
  };
}

const sooner = (one: Unavailable | undefined, other: Unavailable): Unavailable =>
  one !== undefined && one.retryAfter <= other.retryAfter ? one : other;
