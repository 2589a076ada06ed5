import type { ListObjectsV2CommandOutput, ListObjectVersionsCommandOutput } from '@aws-sdk/client-s3';
import type { Place } from './failures.ts';
import { unavailable } from './failures.ts';

/**
 * Keys may hold characters that XML 1.0 cannot carry. MinIO and Amazon write them as numbers all the same; servers that
 * use Go's XML writer (SeaweedFS) put U+FFFD in their place. Such a page is asked for once more with encoded keys:
 * those alone would not do, for servers differ in whether `+` is a space there. Both pages together tell.
 */
const LOST = '\ufffd';
// oxlint-disable-next-line no-control-regex -- control characters are what this is about
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

interface Entry {
  readonly Key?: string | undefined;
}

/** Some key may have lost a character. */
export function mayBeInexact(...lists: readonly (readonly Entry[] | undefined)[]): boolean {
  return lists.some((list) => list?.some(({ Key }) => Key?.includes(LOST) === true) === true);
}

export function withExactKeys(
  plain: ListObjectsV2CommandOutput,
  encoded: ListObjectsV2CommandOutput,
  place: Place,
): ListObjectsV2CommandOutput {
  return Object.assign(plain, { Contents: merged(plain.Contents, encoded.Contents, place) });
}

export function withExactVersionKeys(
  plain: ListObjectVersionsCommandOutput,
  encoded: ListObjectVersionsCommandOutput,
  place: Place,
): ListObjectVersionsCommandOutput {
  const { NextKeyMarker: marker } = plain;
  return Object.assign(plain, {
    Versions: merged(plain.Versions, encoded.Versions, place),
    DeleteMarkers: merged(plain.DeleteMarkers, encoded.DeleteMarkers, place),
    ...(marker === undefined ? {} : { NextKeyMarker: exact(marker, encoded.NextKeyMarker, place) }),
  });
}

function merged<T extends Entry>(plain: T[] = [], encoded: readonly T[] = [], place: Place): T[] {
  return plain.map((entry, i) =>
    entry.Key === undefined ? entry : { ...entry, Key: exact(entry.Key, encoded[i]?.Key, place) },
  );
}

function exact(plain: string, encoded: string | undefined, place: Place): string {
  if (!plain.includes(LOST)) return plain;
  const key = candidates(encoded ?? '').find((candidate) => candidate.replace(NOT_XML, LOST) === plain);
  if (key !== undefined) return key;
  const text = `changed the listing of the bucket "${place.bucket}" while it was read`;
  throw unavailable(place, text, 'it is tried again by itself');
}

/** What an encoded key can stand for: form-encoded, percent-encoded, or not encoded after all. */
function candidates(encoded: string): string[] {
  try {
    return [decodeURIComponent(encoded.replaceAll('+', ' ')), decodeURIComponent(encoded), encoded];
  } catch {
    return [encoded];
  }
}
