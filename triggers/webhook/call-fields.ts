import { z } from 'zod';
import { rateLimitField } from '../../src/lib/rate-limit-field.ts';
import { duration, size } from '../../src/lib/unit-fields.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const TIB = 1024 ** 4;

/** Fields of a webhook's `source` about the calls themselves. */
export const callFields = {
  id: z
    .string()
    .min(1)
    .optional()
    .describe(
      'What names an event, over event, claims and headers: "${{ event.data.id }}", "${{ headers[\'x-request-id\'] }}". Absent: what the sender calls it (ce-id, Idempotency-Key, webhook-id, X-GitHub-Delivery).',
    ),
  rememberFor: duration({ min: MINUTE, max: 3650 * DAY }, ['24h', '7d'])
    .prefault('24h')
    .describe(
      'How long a call with the same id is answered as the first one was, and starts nothing. Longer than the sender tries again.',
    ),
  format: z
    .literal('pubsub')
    .optional()
    .describe(
      'pubsub: the body is what Pub/Sub pushes; the message is unwrapped. Absent: a CloudEvent in any mode, or whatever else is sent.',
    ),
  body: z
    .literal('file')
    .optional()
    .describe(
      'file: the body of each call becomes a file, whatever it is, for a job with an input "event.body". Only where "auth" knows callers by their headers. Absent: the body is the event\'s data.',
    ),
  maxBody: size({ min: 1, max: 16 * TIB })
    .optional()
    .describe('With "body": "file": the largest body, in place of server.maxBody; 1Gi unless set.'),
  rateLimit: rateLimitField
    .optional()
    .describe('Verified calls of this trigger; more are answered 429. Absent = any number.'),
  allowedOrigins: z
    .array(
      z
        .string()
        .regex(
          /^(?:\*|[A-Za-z0-9.-]+)$/,
          'must be the name of a sender, such as "eventgrid.azure.net", or "*"',
        )
        .transform((origin) => origin.toLowerCase()),
    )
    .min(1)
    .optional()
    .describe(
      'Senders of CloudEvents that hear "yes" when they ask with OPTIONS whether they may send here; "*" = all. They learn that the trigger exists.',
    ),
};

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** What is not written is not there either. */
export function withoutAbsent<T extends object>(fields: T): Present<T> {
  // The type says no more than that undefined values are gone.
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>;
}
