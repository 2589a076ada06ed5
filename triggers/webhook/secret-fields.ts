import { z } from 'zod';
import type { SecretRef } from '../../src/core/secrets.ts';
import { secretRef } from '../../src/lib/secret-ref.ts';

/** While a secret is exchanged there are two; each one more is work at every call. */
const MAX_SECRETS = 5;

const several = z
  .array(secretRef)
  .min(1)
  .max(MAX_SECRETS)
  .optional()
  .describe('Several that count alike, so that one can be exchanged for another without a gap.');

/** The two ways to name what a caller must know: one, or several. */
export function secretFields<One extends string, Several extends string>(one: One, more: Several) {
  // The names are the caller's, which no mapped type can follow through computed keys.
  return { [one]: secretRef.optional(), [more]: several } as Record<One, z.ZodOptional<typeof secretRef>> &
    Record<Several, typeof several>;
}

type Choice<One extends string, Several extends string> =
  | { readonly [K in One]: SecretRef }
  | { readonly [K in Several]: readonly SecretRef[] };

/** Exactly one of the two; undefined where that is reported. */
export function oneOrSeveral<One extends string, Several extends string>(
  given: { readonly [K in One]?: SecretRef | undefined } & {
    readonly [K in Several]?: readonly SecretRef[] | undefined;
  },
  one: One,
  more: Several,
  context: z.core.$RefinementCtx,
): Choice<One, Several> | undefined {
  const single: SecretRef | undefined = given[one];
  const list: readonly SecretRef[] | undefined = given[more];
  if (single !== undefined && list === undefined) return { [one]: single } as Choice<One, Several>;
  if (single === undefined && list !== undefined) return { [more]: list } as Choice<One, Several>;
  const message =
    single === undefined
      ? `is missing; it must be a secret, or name several under "${more}"`
      : `name "${one}" or "${more}", not both`;
  context.addIssue({ code: 'custom', message, path: single === undefined ? [one] : [] });
  return undefined;
}
