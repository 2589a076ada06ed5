import { plainFingerprint } from '../core/auth.ts';
import type { ClientCertificateSpec, Verify, VerifyResult } from '../core/auth.ts';
import { SecretValue } from '../core/secrets.ts';
import { inNetworks, parseNetworks } from '../lib/addresses.ts';
import { secretComparer } from './comparisons.ts';

const refuse = (reason: string): VerifyResult => ({ ok: false, reason });

/**
 * Checks what a proxy that ends TLS says of the caller's certificate. Anyone can send a header, so it counts only in a
 * connection from the proxy itself, wherever the proxy says that the call came from. `claims` is `{ subject }` or
 * `{ fingerprint }`.
 */
export function clientCertificateVerifier(spec: ClientCertificateSpec): Verify {
  const { header, subjects = [], fingerprints = [] } = spec;
  const proxies = parseNetworks(spec.proxies);
  // No secrets, but compared in the same way: the names of who is let in need not be found by measuring either.
  const isSubject = secretComparer(...subjects.map((text) => new SecretValue(text)));
  const isFingerprint = secretComparer(...fingerprints.map((text) => new SecretValue(text)));
  return async ({ headers, remoteAddress, peerAddress = remoteAddress }) => {
    if (peerAddress === undefined || !inNetworks(peerAddress, proxies)) {
      return refuse('the call does not come from the proxy that checks certificates');
    }
    const given = headers.get(header);
    if (given === null) return refuse(`no ${header} header`);
    const fingerprint = plainFingerprint(given);
    if (isFingerprint(fingerprint)) return { ok: true, claims: { fingerprint } };
    if (isSubject(given)) return { ok: true, claims: { subject: given } };
    return refuse(`${header} names no certificate that may call`);
  };
}
