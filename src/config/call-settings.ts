import { z } from 'zod';
import { networkField } from '../lib/network-field.ts';
import { rateLimitField } from '../lib/rate-limit-field.ts';

/** Fields of `server` about who calls, and how often. */
export const callSettings = {
  allowAnonymous: z
    .boolean()
    .default(false)
    .describe(
      'Whether webhooks may let in anyone ("auth: none") where other machines reach them. Else such a configuration is refused.',
    ),
  rateLimit: rateLimitField
    .optional()
    .describe(
      'Calls to hooks from one address, of IPv6 from one /64; more are answered 429. Absent = any number.',
    ),
  trustedProxies: z
    .array(networkField)
    .default([])
    .describe(
      'Proxies in front of the gateway, by address or network: only from them X-Forwarded-For says who calls.',
    ),
};
