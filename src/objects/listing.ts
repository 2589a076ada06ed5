import type {
  ListObjectsV2CommandOutput,
  ListObjectVersionsCommandOutput,
  DeleteMarkerEntry,
  ObjectVersion,
} from '@aws-sdk/client-s3';
import type { ListedObject, ListedVersion, ListParams } from '../core/objects.ts';
import { TappetError } from '../core/errors.ts';
import type { Place } from './failures.ts';
import { notS3, unavailable } from './failures.ts';

/** The page's objects and its continuation token. Errors: OBJECT_STORE_UNAVAILABLE where it is no listing at all. */
export function objectsOf(
  output: ListObjectsV2CommandOutput,
  params: ListParams,
  place: Place,
): { objects: ListedObject[]; next?: string } {
  // A web server's page parses as an answer without a field; it must not look like an empty bucket.
  if (output.Name === undefined && output.IsTruncated === undefined) throw notS3(place);
  const objects = (output.Contents ?? []).map((entry) => listed(entry, place));
  if (output.IsTruncated !== true) return { objects };
  return { objects, next: following(output.NextContinuationToken, params, place) };
}

/**
 * The page's versions and delete markers in one sequence: by key (UTF-8 bytes), within a key the latest first, then
 * by time. The SDK hands out two lists; what stands in the same millisecond has no order any more.
 */
export function versionsOf(
  output: ListObjectVersionsCommandOutput,
  params: ListParams,
  place: Place,
): { versions: ListedVersion[]; next?: string } {
  if (output.Name === undefined && output.IsTruncated === undefined) throw notS3(place);
  const versions = [
    ...(output.Versions ?? []).map((entry) => version(entry, false, place)),
    ...(output.DeleteMarkers ?? []).map((entry) => version(entry, true, place)),
  ].sort(byKeyThenNewest);
  if (output.IsTruncated !== true) return { versions };
  const { NextKeyMarker: key, NextVersionIdMarker: versionId } = output;
  const marker = key === undefined ? undefined : JSON.stringify(versionId ? [key, versionId] : [key]);
  return { versions, next: following(marker, params, place) };
}

/** What `next` of a page of versions stands for. Errors: INVALID_ARGUMENT. */
export function versionMarkers(token: string | undefined): { KeyMarker?: string; VersionIdMarker?: string } {
  if (token === undefined) return {};
  const [key, versionId] = parsedMarker(token);
  if (key === undefined) throw new TappetError('INVALID_ARGUMENT', 'this is no token of a page of versions');
  return { KeyMarker: key, ...(versionId === undefined ? {} : { VersionIdMarker: versionId }) };
}

function parsedMarker(token: string): string[] {
  try {
    const value: unknown = JSON.parse(token);
    return Array.isArray(value) ? value.filter((part) => typeof part === 'string') : [];
  } catch {
    return [];
  }
}

/** A store that says "more" without saying where, or twice the same, would be listed for ever or cut short. */
function following(next: string | undefined, params: ListParams, place: Place): string {
  if (next !== undefined && next !== '' && next !== params.token) return next;
  throw unavailable(
    place,
    `says that the listing of the bucket "${place.bucket}" goes on, but not where`,
    'the store may need an update: it breaks the rules of paged listings',
  );
}

function listed(
  entry: {
    Key?: string | undefined;
    ETag?: string | undefined;
    Size?: number | undefined;
    LastModified?: Date | undefined;
  },
  place: Place,
): ListedObject {
  if (entry.Key === undefined) throw notS3(place);
  return {
    key: entry.Key,
    etag: unquoted(entry.ETag ?? ''),
    size: entry.Size ?? 0,
    lastModified: entry.LastModified?.getTime() ?? 0,
  };
}

function version(
  entry: ObjectVersion | DeleteMarkerEntry,
  deleteMarker: boolean,
  place: Place,
): ListedVersion {
  return {
    ...listed(entry, place),
    versionId: entry.VersionId ?? 'null',
    isLatest: entry.IsLatest === true,
    deleteMarker,
  };
}

export function unquoted(etag: string): string {
  return etag.replace(/^"(.*)"$/, '$1');
}

function byKeyThenNewest(a: ListedVersion, b: ListedVersion): number {
  if (a.key !== b.key) return Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
  if (a.isLatest !== b.isLatest) return a.isLatest ? -1 : 1;
  return b.lastModified - a.lastModified;
}
