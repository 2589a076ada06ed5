import { z } from 'zod';
import { strictObject } from '../../src/lib/strict-object.ts';
import { duration } from '../../src/lib/unit-fields.ts';
import { globProblem } from './glob.ts';

const DAY = 24 * 60 * 60_000;
/** Shorter, and a large folder would be read all the time. */
const POLL_MIN_MS = 1_000;

/** `source` of a trigger of kind `files`; `path` stays as it was written: the loader resolves it. */
export const schema = strictObject({
  kind: z.literal('files'),
  path: z.string().min(1).describe('The folder to watch, relative to the folder of the configuration.'),
  glob: z
    .string()
    .min(1)
    .default('**')
    .superRefine((glob, context) => {
      const problem = globProblem(glob);
      if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
    })
    .describe(
      'Which files below it: "*.csv" = in the folder itself, "**/*.csv" = at any depth. Hidden and temporary files only where it names them.',
    ),
  existing: z
    .enum(['skip', 'run'])
    .default('skip')
    .describe('What becomes of files that were there before the first start: nothing, or an event each.'),
  settle: duration({ min: 0, max: DAY }, ['500ms', '2s', '1m'])
    .prefault('2s')
    .describe(
      'A file is taken when nobody has written to it for so long: "2s". "0s" only where files are always moved into place.',
    ),
  poll: duration({ min: POLL_MIN_MS, max: DAY, zeroIsOff: true }, ['10s', '1m'])
    .prefault('0s')
    .describe(
      'How often the folder is looked through by itself, for file systems that tell nothing (NFS, SMB): "10s". "0s" = each minute.',
    ),
})
  .transform(({ kind, path, glob, existing, settle, poll }) => ({
    kind,
    path,
    glob,
    existing,
    settleMs: settle,
    pollMs: poll,
  }))
  .describe('Each file that is finished in a folder is an event.');
