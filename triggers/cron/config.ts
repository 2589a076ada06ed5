import { z } from 'zod';
import { strictObject } from '../../src/lib/strict-object.ts';
import { parseSchedule } from './schedule.ts';

/** `source` of a trigger of kind `cron`. */
export const schema = strictObject({
  kind: z.literal('cron'),
  cron: z
    .string()
    .describe(
      'Five fields (minute, hour, day of month, month, day of week), or six with seconds in front: "0 2 * * *".',
    ),
  zone: z.string().default('UTC').describe('IANA time zone such as "Europe/Berlin"; UTC if not named.'),
})
  .superRefine((source, context) => {
    const parsed = parseSchedule(source.cron, source.zone);
    if (!parsed.ok) context.addIssue({ code: 'custom', path: [parsed.field], message: parsed.message });
  })
  .describe('Fires by the clock. Every due slot is an event, whose id is the scheduled instant.');
