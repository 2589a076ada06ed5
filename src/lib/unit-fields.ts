import { z } from 'zod';
import { formatDuration, parseDuration } from './duration.ts';
import { unitMissing } from './issue-text.ts';
import { formatSize, parseSize } from './size.ts';

interface Range {
  readonly min: number;
  readonly max: number;
}
interface DurationRange extends Range {
  /** 0 is right too, whatever `min` is: nothing happens by that time. */
  readonly zeroIsOff?: true;
}

/** A text such as `10m`, to milliseconds in `range`. */
export function duration(range: DurationRange, examples: readonly string[] = ['90s', '10m', '1h30m', '30d']) {
  return z
    .string({ error: unitMissing })
    .meta({ examples: [...examples] })
    .transform(parsedWith(parseDuration, formatDuration, range));
}

/** A text such as `512Mi`, or a number of bytes, to bytes in `range`. */
export function size(range: Range) {
  return z
    .union([z.string(), z.number()])
    .meta({ examples: ['512Mi', '2Gi'] })
    .transform(parsedWith(parseSize, formatSize, range));
}

function parsedWith(
  parse: (text: string) => number,
  show: (value: number) => string,
  { min, max, zeroIsOff }: DurationRange,
) {
  return (input: string | number, context: z.core.$RefinementCtx): number => {
    try {
      const value = parse(String(input));
      if ((value >= min && value <= max) || (zeroIsOff === true && value === 0)) return value;
      const off = zeroIsOff === true ? `${show(0)} (off) or ` : '';
      context.issues.push(custom(input, `must be ${off}between ${show(min)} and ${show(max)}, not ${input}`));
    } catch (error) {
      context.issues.push(custom(input, error instanceof Error ? error.message : String(error)));
    }
    return z.NEVER;
  };
}

const custom = (input: unknown, message: string): z.core.$ZodRawIssue => ({ code: 'custom', input, message });
