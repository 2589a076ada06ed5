import { z } from 'zod';
import { suggest } from './nearest.ts';

/**
 * A zod object that refuses unknown keys, with a line per key that says what was probably meant. `wrongType` is the
 * message where something else than an object stands.
 */
export function strictObject<T extends z.ZodRawShape>(
  shape: T,
  wrongType?: string,
): z.ZodObject<T, z.core.$strict> {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === 'invalid_type' && issue.input !== undefined) return wrongType;
      if (issue.code !== 'unrecognized_keys') return undefined;
      return issue.keys.map((key) => `unknown key "${key}": ${suggest(key, known)}`).join('\n');
    },
  });
}
