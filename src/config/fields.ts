import { z } from 'zod';
import { errorText } from '../core/errors.ts';
import { formatDuration, parseDuration } from '../lib/duration.ts';
import { unitMissing } from '../lib/issue-text.ts';
import { parseSize } from '../lib/size.ts';

interface Range {
  readonly min: number;
  readonly max: number;
}

function parsedWith(parse: (text: string) => number, show: (value: number) => string, { min, max }: Range) {
  return (input: string | number, context: z.core.$RefinementCtx): number => {
    try {
      const value = parse(String(input));
      if (value >= min && value <= max) return value;
      context.issues.push(custom(input, `must be between ${show(min)} and ${show(max)}, not ${input}`));
    } catch (error) {
      context.issues.push(custom(input, errorText(error)));
    }
    return z.NEVER;
  };
}

const custom = (input: unknown, message: string): z.core.$ZodRawIssue => ({ code: 'custom', input, message });

/** A text such as `10m`, to milliseconds in `range`. */
export function duration(range: Range) {
  return z
    .string({ error: unitMissing })
    .meta({ examples: ['90s', '10m', '1h30m', '30d'] })
    .transform(parsedWith(parseDuration, formatDuration, range));
}

/** A text such as `512Mi`, or a number of bytes, to bytes in `range`. */
export function size(range: Range) {
  return z
    .union([z.string(), z.number()])
    .meta({ examples: ['512Mi', '2Gi'] })
    .transform(parsedWith(parseSize, formatSize, range));
}

export function formatSize(bytes: number): string {
  for (const [unit, factor] of [
    ['Ti', 1024 ** 4],
    ['Gi', 1024 ** 3],
    ['Mi', 1024 ** 2],
    ['Ki', 1024],
  ] as const) {
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}

/** Numbers and true/false are taken as their text: an environment knows texts only, and YAML makes `8080` a number. */
export const text = z.union([z.string(), z.number(), z.boolean()]).transform(String);

export const labels = z.record(z.string().min(1).max(128), text).default({});

/** What names of jobs, triggers, connections and issuers look like; they become parts of container names and URLs. */
export const NAME_PATTERN = /^[a-z]([-a-z0-9]{0,47}[a-z0-9])?$/;
