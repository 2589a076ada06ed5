import { z } from 'zod';
import { secretRef } from '../../src/lib/secret-ref.ts';
import { strictObject } from '../../src/lib/strict-object.ts';
import { duration } from '../../src/lib/unit-fields.ts';

const SECOND = 1_000;
/** What proxies and clients on the way usually wait for an answer at most. */
const MAX_WAIT_MS = 300 * SECOND;

/** Fields of a webhook's `source` about what its callers hear. */
export const answerFields = {
  answer: strictObject({
    wait: duration({ min: SECOND, max: MAX_WAIT_MS }, ['30s', '5m'])
      .optional()
      .describe(
        'The caller gets the answer when the execution has ended, with its result, or after so long. Absent: at once.',
      ),
    status: z
      .union([z.int().min(200).max(599), z.string().min(1)])
      .optional()
      .describe('HTTP status: a number, or "${{ execution.state == \'SUCCEEDED\' ? 200 : 500 }}".'),
    headers: z
      .record(z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'is no name of a header'), z.string())
      .optional()
      .describe('Headers of the answer; texts over event, claims and execution.'),
    body: z
      .json()
      .optional()
      .describe(
        'Body of the answer: JSON whose texts may hold ${{ execution.output }} and friends; a text alone is sent as text.',
      ),
  })
    .optional()
    .describe(
      'What the caller hears once the event is stored. Absent: 202 with the event, the decision of each trigger and the executions.',
    ),
  challenge: z
    .union([z.enum(['slack', 'microsoft']), strictObject({ meta: strictObject({ verifyToken: secretRef }) })])
    .optional()
    .describe(
      'How the sender proves that this address is meant: "slack" (url_verification, signed), "microsoft" (Graph\'s validationToken), { "meta": { "verifyToken": … } } (hub.challenge).',
    ),
};
