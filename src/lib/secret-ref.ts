import { z } from 'zod';
import { SECRET_NAME_PATTERN, SECRET_NAME_RULE } from './secret-name.ts';
import { strictObject } from './strict-object.ts';

/** What may be written where a secret stands, for messages. */
export const SECRET_FORMS = '{ "env": "NAME" }, { "file": "./path" } or { "secret": "name" }';

/** In the shape of the port's `SecretRef`. */
type Ref =
  | { readonly env: string }
  | { readonly file: string }
  | { readonly secret: string; readonly version?: number };

/** Where a secret value stands; exactly one place. */
export const secretRef = strictObject(
  {
    env: z.string().min(1).optional().describe('Name of an environment variable of the gateway.'),
    file: z
      .string()
      .min(1)
      .optional()
      .describe('Path of a file, relative to the folder of the configuration; one trailing newline is cut.'),
    secret: z
      .string()
      .regex(SECRET_NAME_PATTERN, `cannot be the name of a secret: ${SECRET_NAME_RULE}`)
      .optional()
      .describe("A name in the gateway's own store of secrets: tappet secrets set NAME."),
    version: z.int().min(1).optional().describe('Of "secret": this one instead of the newest.'),
  },
  `a secret value never stands here: write ${SECRET_FORMS}`,
)
  .transform(({ env, file, secret, version }, context): Ref => {
    // What is unknown has been told by name.
    if (context.issues.length > 0) return z.NEVER;
    const places = [env, file, secret].filter((place) => place !== undefined).length;
    if (places !== 1)
      context.addIssue({ code: 'custom', message: 'name exactly one of "env", "file" and "secret"' });
    else if (env !== undefined && version === undefined) return { env };
    else if (file !== undefined && version === undefined) return { file };
    else if (secret !== undefined) return { secret, ...(version === undefined ? {} : { version }) };
    else
      context.addIssue({
        code: 'custom',
        path: ['version'],
        message: 'belongs to "secret" alone: leave it out',
      });
    return z.NEVER;
  })
  .meta({ minProperties: 1, maxProperties: 2 })
  .describe('Where a secret value stands; the value itself is never written here.');
