import { z } from 'zod';
import { isTappetError, TappetError } from '../core/errors.ts';
import type { Page, PageParams } from '../core/store.ts';
import { parseDuration } from '../lib/duration.ts';
import { plainIssues, unitMissing } from '../lib/issue-text.ts';
import { pathText } from '../lib/path-text.ts';
import type { AppContext } from './permissions.ts';
import { strictObject } from '../lib/strict-object.ts';

const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 1000;

/** A whole number in a query or a path, bounded. */
export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));

export const flag = z.enum(['true', 'false'], 'must be true or false').transform((text) => text === 'true');

export const instant = z
  .string()
  .refine((text) => /^\d{4}-\d\d-\d\dT/.test(text) && !Number.isNaN(Date.parse(text)), {
    message: 'must be a time such as 2026-01-31T08:00:00Z',
  })
  .transform((text) => Date.parse(text));

/** Text such as `90s` or `1h30m`, to milliseconds. */
export const duration = z.string({ error: unitMissing }).transform((text, ctx) => {
  try {
    return parseDuration(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    ctx.addIssue({ code: 'custom', message: error.message });
    return z.NEVER;
  }
});

export const pageFields = {
  pageSize: wholeNumber(1, MAX_PAGE_SIZE).optional(),
  pageToken: z.string().max(1000).optional(),
};

export function pageParams(query: {
  readonly pageSize?: number | undefined;
  readonly pageToken?: string | undefined;
}): PageParams {
  const size = query.pageSize ?? DEFAULT_PAGE_SIZE;
  // An empty token is what clients send that always send one.
  return query.pageToken === undefined || query.pageToken === ''
    ? { size }
    : { size, cursor: query.pageToken };
}

/** One page of a list. Errors: INVALID_ARGUMENT where the token is not from an earlier page. */
export async function readPage<T>(
  query: Parameters<typeof pageParams>[0],
  read: (page: PageParams) => Promise<Page<T>>,
): Promise<{ readonly items: readonly T[]; readonly nextPageToken: string }> {
  try {
    const { items, nextCursor } = await read(pageParams(query));
    return { items, nextPageToken: nextCursor ?? '' };
  } catch (error) {
    // The store calls it a cursor; the caller knows it as the token.
    if (!isTappetError(error, 'INVALID_ARGUMENT') || error.fields.path !== 'cursor') throw error;
    const message = 'pageToken: is not from an earlier page of the same list.';
    throw new TappetError('INVALID_ARGUMENT', message, { path: 'pageToken' }, error);
  }
}

/** The query, strictly: an unknown or repeated name is a mistake worth hearing of. Errors: INVALID_ARGUMENT. */
export function parseQuery<T extends z.ZodRawShape>(c: AppContext, shape: T): z.output<z.ZodObject<T>> {
  const query: Record<string, string> = {};
  for (const [name, values] of Object.entries(c.req.queries())) {
    if (values.length > 1) throw invalid([{ path: name, message: 'stands there more than once' }]);
    query[name] = values[0] ?? '';
  }
  return parse(strictObject(shape), query);
}

/** Errors: INVALID_ARGUMENT with every field that is wrong. */
export function parse<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  throw invalid(
    plainIssues(result.error.issues).map(({ path, message }) => ({ path: pathText(path), message })),
  );
}

function invalid(errors: readonly { readonly path: string; readonly message: string }[]): TappetError {
  const text = errors.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
  return new TappetError('INVALID_ARGUMENT', /[.?!]$/.test(text) ? text : `${text}.`, { errors });
}
