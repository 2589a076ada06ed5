import { z } from 'zod';
import { errorText } from '../core/errors.ts';
import { parseNetworks } from '../lib/addresses.ts';
import { rateLimitField } from '../lib/rate-limit-field.ts';

const network = z.string().superRefine((text, context) => {
  try {
    parseNetworks([text]);
  } catch (error) {
    context.addIssue({ code: 'custom', message: errorText(error) });
  }
});

/** Fields of `server` about who calls, and how often. */
export const callSettings = {
  rateLimit: rateLimitField
    .optional()
    .describe(
      'Calls to hooks from one address, of IPv6 from one /64; more are answered 429. Absent = any number.',
    ),
  trustedProxies: z
    .array(network)
    .default([])
    .describe(
      'Proxies in front of the gateway, by address or network: only from them X-Forwarded-For says who calls.',
    ),
};
