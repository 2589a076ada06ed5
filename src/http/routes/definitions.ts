import { TappetError } from '../../core/errors.ts';
import type { DefinitionRow } from '../../core/store.ts';
import type { HttpDeps } from '../deps.ts';
import { pageParams } from '../params.ts';

/** Errors: INTERNAL where the store was not told of a definition that the configuration has. */
export function definitionRow(deps: HttpDeps, kind: 'job' | 'trigger', name: string): DefinitionRow {
  const row = deps.definitions(kind, name);
  if (row === undefined) throw new TappetError('INTERNAL', `the store does not know the ${kind} ${name}`);
  return row;
}

/** A page of definitions by name; the token is the last name of the page before. */
export function pageByName<T extends { readonly name: string }>(
  definitions: ReadonlyMap<string, T>,
  query: Parameters<typeof pageParams>[0],
): { readonly items: readonly T[]; readonly nextPageToken: string } {
  const { size, cursor } = pageParams(query);
  const after = cursor === undefined ? '' : nameOf(cursor);
  const rest = [...definitions.values()]
    .filter((definition) => definition.name > after)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const items = rest.slice(0, size);
  const last = items.at(-1);
  const more = rest.length > items.length && last !== undefined;
  return { items, nextPageToken: more ? tokenOf(last.name) : '' };
}

const tokenOf = (name: string): string => Buffer.from(name).toString('base64url');

/** Errors: INVALID_ARGUMENT where no page of definitions can have given this token. */
function nameOf(token: string): string {
  const name = Buffer.from(token, 'base64url').toString();
  if (tokenOf(name) === token && /^[a-z0-9-]+$/.test(name)) return name;
  const message = 'pageToken: is not from an earlier page of the same list.';
  throw new TappetError('INVALID_ARGUMENT', message, { path: 'pageToken' });
}
