import { isTappetError } from '../../src/core/errors.ts';
import type { ListedObject, ListedVersion, ObjectStore } from '../../src/core/objects.ts';
import type { Upload } from './event.ts';
import type { ObjectKey } from './keys.ts';

export function listedUpload(bucket: string, { key, etag, size, lastModified }: ListedObject): Upload {
  return { bucket, key, versionId: null, etag, size, ms: lastModified };
}

/**
 * The store tells nothing of this one object, and will not: reading is not allowed where listing is, or it asks for
 * more than an address (a key that its owner keeps, SSE-C). Only this object goes without; the others must go on.
 */
export function isUntold(error: unknown): boolean {
  return isTappetError(error, 'OBJECT_ACCESS_DENIED') || isTappetError(error, 'INVALID_ARGUMENT');
}

/** A version that was written without versioning is the same object as before versioning. */
export function listedVersion(bucket: string, version: ListedVersion): Upload {
  const { versionId } = version;
  return { ...listedUpload(bucket, version), versionId: versionId === 'null' ? null : versionId };
}

/**
 * What a listing says of one object (version): the only way to learn its modification time in the ms that a listing
 * has. A key is the first of those that begin with it. null = it is not there (any more). Errors: the object store's.
 */
export async function lookUp(
  objects: ObjectStore,
  { bucket, key, versionId }: ObjectKey,
  signal: AbortSignal,
): Promise<Upload | null> {
  if (versionId !== null) return lookUpVersion(objects, { bucket, key, versionId }, signal);
  const page = await objects.list(bucket, { prefix: key, signal });
  const found = page.objects.find((one) => one.key === key);
  return found === undefined ? null : listedUpload(bucket, found);
}

async function lookUpVersion(
  objects: ObjectStore,
  { bucket, key, versionId }: ObjectKey & { readonly versionId: string },
  signal: AbortSignal,
): Promise<Upload | null> {
  let token: string | undefined;
  do {
    const params = { prefix: key, signal, ...(token === undefined ? {} : { token }) };
    const page = await objects.listVersions(bucket, params);
    const own = page.versions.filter((one) => one.key === key);
    const found = own.find((one) => one.versionId === versionId && !one.deleteMarker);
    if (found !== undefined) return listedVersion(bucket, found);
    token = own.length === page.versions.length ? page.next : undefined;
  } while (token !== undefined);
  return null;
}
