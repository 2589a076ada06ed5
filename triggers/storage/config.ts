import { z } from 'zod';
import type { StorageSourceSpec } from '../../src/core/config.ts';
import type { CloudEvent } from '../../src/core/event.ts';
import { strictObject } from '../../src/lib/strict-object.ts';
import { FINALIZED } from './event.ts';

/** What S3 allows; some servers take more, none of them a slash. */
const BUCKET = /^[a-zA-Z0-9][a-zA-Z0-9._-]{1,62}$/;
/** Longest key of S3, in bytes. */
const KEY_MAX = 1024;
const keyPart = (): z.ZodString =>
  z
    .string()
    .refine((text) => Buffer.byteLength(text) <= KEY_MAX, `is longer than ${KEY_MAX} bytes, the longest key`);

/** `source` of a trigger of kind `storage`. */
export const schema = strictObject({
  kind: z.literal('storage'),
  connection: z.string().min(1).describe('A name under "connections".'),
  bucket: z
    .string()
    .regex(BUCKET, 'is no name of a bucket: 3 to 63 letters, digits, dots and hyphens')
    .describe('The bucket whose uploads start the job.'),
  prefix: keyPart()
    .default('')
    .describe('Only objects whose key begins so: "in/". Without a slash in front, as keys have none.'),
  suffix: keyPart().default('').describe('Only objects whose key ends so: ".mp4".'),
  existing: z
    .enum(['skip', 'run'])
    .default('skip')
    .describe(
      'What becomes of objects that were there before the trigger first started: "skip" starts nothing, "run" starts the job for each.',
    ),
}).describe('Fires once for each object (version) that is uploaded to a bucket.');

type StorageFilter = Pick<StorageSourceSpec, 'bucket' | 'prefix' | 'suffix'>;

/** Whether an object is one that the trigger asks for. Prefix and suffix may overlap in a short key. */
export function matches(filter: StorageFilter, bucket: string, key: string): boolean {
  return bucket === filter.bucket && key.startsWith(filter.prefix) && key.endsWith(filter.suffix);
}

/** `TriggerDefinition.concerns` of a storage trigger: only finished uploads to its place. Pure. */
export function concerns(filter: StorageFilter): (event: CloudEvent) => boolean {
  return ({ type, data }) => {
    if (type !== FINALIZED || typeof data !== 'object' || data === null || Array.isArray(data)) return false;
    const { bucket, name } = data;
    return typeof bucket === 'string' && typeof name === 'string' && matches(filter, bucket, name);
  };
}
