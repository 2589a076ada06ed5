import { z } from 'zod';
import type { S3ConnectionSpec } from '../core/objects.ts';
import { secretRef } from '../lib/secret-ref.ts';
import { strictObject } from '../lib/strict-object.ts';
import { duration } from '../lib/unit-fields.ts';

const ENDPOINT = 'must be an address such as "http://127.0.0.1:9000": scheme, host and port, nothing behind';

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  const bare = url.pathname === '/' && url.search === '' && url.hash === '' && !text.endsWith('//');
  return /^https?:$/.test(url.protocol) && bare && url.username === '' && url.password === '';
}

const POLL = { min: 1000, max: 24 * 60 * 60 * 1000 };

const notifications = strictObject({
  token: secretRef.describe('Bearer token that the store sends with each notification.'),
  dialect: z
    .enum(['minio', 'raw'])
    .describe('How keys are written in notifications: "minio" = form-encoded, "raw" = as they are (Ceph).'),
}).describe('Takes notifications at /notify/storage/<name of the connection>.');

/** `connections.<name>` of kind `s3`. `ca` is as it was written: whoever loads the file knows what it is relative to. */
export const s3ConnectionSchema = strictObject({
  kind: z.literal('s3'),
  endpoint: z
    .string()
    .refine(isEndpoint, ENDPOINT)
    .optional()
    .describe('Address of the store, such as "http://127.0.0.1:9000"; absent: Amazon\'s own, by region.'),
  region: z.string().min(1).default('us-east-1').describe('Region; most stores of your own take any.'),
  pathStyle: z
    .boolean()
    .optional()
    .describe('Bucket in the path instead of the host name; by default true where an endpoint is given.'),
  accessKeyId: secretRef.describe('Access key.'),
  secretAccessKey: secretRef.describe('Secret key.'),
  sessionToken: secretRef.optional().describe('Token of temporary keys.'),
  ca: z
    .string()
    .min(1)
    .optional()
    .describe('File with certificates (PEM) to trust beside the usual ones; relative to the configuration.'),
  notifications: notifications.optional(),
  poll: duration(POLL, ['10s', '1m', '15m'])
    .prefault('1m')
    .describe('Time between two listings of a bucket.'),
})
  .transform(
    ({
      poll: pollMs,
      pathStyle,
      endpoint,
      sessionToken,
      ca,
      notifications: told,
      ...rest
    }): S3ConnectionSpec => {
      return {
        ...rest,
        ...(endpoint === undefined ? {} : { endpoint: endpoint.replace(/\/$/, '') }),
        pathStyle: pathStyle ?? endpoint !== undefined,
        ...(sessionToken === undefined ? {} : { sessionToken }),
        ...(ca === undefined ? {} : { ca }),
        ...(told === undefined ? {} : { notifications: told }),
        pollMs,
      };
    },
  )
  .describe('An S3 store: MinIO, SeaweedFS, Ceph, Amazon S3 and others.');
