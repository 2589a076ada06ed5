import { z } from 'zod';
import { strictObject } from './strict-object.ts';
import { duration } from './unit-fields.ts';

const SECOND = 1_000;
const DAY = 24 * 60 * 60 * SECOND;

/** `{ "requests": 60, "per": "1m" }`. */
export const rateLimitField = strictObject({
  requests: z
    .int()
    .min(1)
    .max(1_000_000)
    .describe('So many at once, and as many again, evenly, in each "per".'),
  per: duration({ min: SECOND, max: DAY }, ['1s', '1m', '1h']).prefault('1m'),
}).transform(({ requests, per }) => ({ requests, perMs: per }));
