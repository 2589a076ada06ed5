import { isIP } from 'node:net';
import type { ReceiverSpec } from '../core/notify.ts';
import { isPublicAddress } from '../lib/addresses.ts';

/**
 * Why nothing is sent to the URL, or undefined: as much as can be said without a connection, at which each address is
 * judged.
 */
export function receiverUrlProblem(
  spec: Pick<ReceiverSpec, 'url' | 'allowHttp' | 'allowPrivateAddresses'>,
): string | undefined {
  if (!URL.canParse(spec.url)) return 'must be an address such as https://example.com/hook';
  const { protocol, username, password, hostname } = new URL(spec.url);
  if (protocol !== 'https:' && protocol !== 'http:') return 'must begin with https://';
  if (protocol === 'http:' && !spec.allowHttp)
    return 'must be https, or everybody on the way reads it; "allowHttp": true permits http in a network of your own';
  if (username + password !== '') return 'holds a user name or a password: leave it out, messages are signed';
  const host = hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) === 0 || spec.allowPrivateAddresses || isPublicAddress(host)) return undefined;
  return `leads to ${host}, which is not on the public Internet; "allowPrivateAddresses": true permits that`;
}
