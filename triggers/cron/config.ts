import { z } from 'zod';
import { strictObject } from '../../src/lib/strict-object.ts';
import { cronProblem, zoneProblem } from './schedule-problems.ts';

/** On each field by itself, so that a mistake in one does not hide those of the other. */
const checkedBy =
  (problemOf: (text: string) => string | undefined) =>
  (text: string, context: z.core.$RefinementCtx): void => {
    const message = problemOf(text);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  };

/** `source` of a trigger of kind `cron`. */
export const schema = strictObject({
  kind: z.literal('cron'),
  cron: z
    .string()
    .superRefine(checkedBy(cronProblem))
    .describe(
      'Five fields (minute, hour, day of month, month, day of week), or six with seconds in front: "0 2 * * *".',
    ),
  zone: z
    .string()
    .superRefine(checkedBy(zoneProblem))
    .default('UTC')
    .describe('IANA time zone such as "Europe/Berlin"; UTC if not named.'),
}).describe('Fires by the clock. Every due slot is an event, whose id is the scheduled instant.');
