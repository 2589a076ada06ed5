import { ENGINE_DEFAULTS } from '../core/engine-limits.ts';
import { formatDuration } from '../lib/duration.ts';
import { strictObject } from '../lib/strict-object.ts';
import { duration } from '../lib/unit-fields.ts';

const HOUR = 60 * 60 * 1000;

/** The field `server.engine`. */
export const engineSettings = strictObject({
  answer: duration({ min: 1000, max: HOUR })
    .prefault(formatDuration(ENGINE_DEFAULTS.answerMs))
    .describe('For an ordinary call.'),
  order: duration({ min: 1000, max: HOUR })
    .prefault(formatDuration(ENGINE_DEFAULTS.orderMs))
    .describe('For creating, starting and removing a container.'),
})
  .prefault({})
  .describe('How long the container engine may take to answer before it counts as gone.');
