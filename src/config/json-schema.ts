import { z } from 'zod';
import { configSchema } from './schema.ts';

/** JSON Schema (draft-07) of a configuration file as it is written, for editors. */
export function configJsonSchema(): Record<string, unknown> {
  return {
    ...z.toJSONSchema(configSchema, { io: 'input', target: 'draft-7', unrepresentable: 'any' }),
    title: 'Tappet',
  };
}
