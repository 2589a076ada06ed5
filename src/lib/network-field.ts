import { z } from 'zod';
import { parseNetworks } from './addresses.ts';

/** An address, or a network such as `192.0.2.0/24`. */
export const networkField = z.string().superRefine((text, context) => {
  try {
    parseNetworks([text]);
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
  }
});
