import { z } from 'zod';
import { formatDuration, parseDuration } from '../../src/lib/duration.ts';
import { unitMissing } from '../../src/lib/issue-text.ts';
import { strictObject } from '../../src/lib/strict-object.ts';
import { globProblem } from './glob.ts';

const DAY = 24 * 60 * 60_000;
/** Shorter, and a large folder would be read all the time. */
const POLL_MIN_MS = 1_000;

/** A duration as text; `check` says what is wrong with its milliseconds. */
const duration = (standard: string, check: (ms: number) => string | undefined) =>
  z
    .string({ error: unitMissing })
    .default(standard)
    .transform((text, context) => {
      try {
        const ms = parseDuration(text);
        const problem = check(ms);
        if (problem === undefined) return ms;
        context.addIssue({ code: 'custom', message: `"${text}": ${problem}` });
      } catch (error) {
        context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
      }
      return z.NEVER;
    });

const atMostADay = (ms: number): string | undefined =>
  ms > DAY ? `must be at most ${formatDuration(DAY)}` : undefined;

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
  settle: duration('2s', atMostADay).describe(
    'A file is taken when nobody has written to it for so long: "2s". "0s" only where files are always moved into place.',
  ),
  poll: duration('0s', (ms) =>
    ms > 0 && ms < POLL_MIN_MS
      ? `must be 0s (off) or at least ${formatDuration(POLL_MIN_MS)}`
      : atMostADay(ms),
  ).describe(
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
