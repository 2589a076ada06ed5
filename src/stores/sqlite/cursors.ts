import { TappetError } from '../../core/errors.ts';
import type { Page, PageParams } from '../../core/store.ts';

export const MAX_PAGE = 1000;

/** The sort key after which a page starts, as `kinds` says its parts; null = from the start. Errors: INVALID_ARGUMENT. */
export function pageStart<const K extends readonly ('number' | 'string')[]>(
  { size, cursor }: PageParams,
  kinds: K,
): SortKey<K> | null {
  if (!Number.isInteger(size) || size < 1 || size > MAX_PAGE) {
    throw new TappetError('INVALID_ARGUMENT', `A page has 1 to ${MAX_PAGE} items.`, { path: 'size' });
  }
  if (cursor === undefined) return null;
  const key = decode(cursor);
  const fits =
    Array.isArray(key) && key.length === kinds.length && kinds.every((kind, i) => typeof key[i] === kind);
  if (fits) return key as unknown as SortKey<K>;
  throw new TappetError('INVALID_ARGUMENT', 'This cursor is not from an earlier page of the same list.', {
    path: 'cursor',
    fix: 'Use nextCursor of the page before as it was given, or leave it out to start anew.',
  });
}

type SortKey<K extends readonly ('number' | 'string')[]> = {
  readonly [I in keyof K]: K[I] extends 'number' ? number : string;
};

function decode(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}

/** From up to `size + 1` rows: the one too many only says that there are more. */
export function toPage<Row, T>(
  rows: readonly Row[],
  size: number,
  decodeRow: (row: Row) => T,
  sortKey: (row: Row) => readonly (string | number)[],
): Page<T> {
  const shown = rows.slice(0, size);
  const last = shown.at(-1);
  const more = rows.length > size && last !== undefined;
  return {
    items: shown.map(decodeRow),
    nextCursor: more ? Buffer.from(JSON.stringify(sortKey(last))).toString('base64url') : null,
  };
}
