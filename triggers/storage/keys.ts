/**
 * The keys of this source's state rows. Within one bucket their order is the order of the objects' keys by UTF-8
 * bytes, which is the order of a listing, so that a page of a listing and a range of rows can be laid side by side.
 *
 *     o/<bucket>/<key>                              an object without a version
 *     v/<bucket>/<escaped key> 01 01 <version>      a version of an object
 *     t/<trigger>                                   since when a trigger has been there
 *     l/<bucket>/<prefix>                           how far the listing under way has come
 *
 * No bucket holds a slash. U+0001 is the lowest character that a key may hold; in a version's row it is written as
 * 01 02, so that the 01 01 between key and version sorts below everything that a longer key could go on with.
 */
const LOW = '\u0001';
const ESCAPED = `${LOW}\u0002`;
const END = LOW + LOW;

const escape = (key: string): string => key.replaceAll(LOW, ESCAPED);

export const objectRows = (bucket: string, prefix: string): string => `o/${bucket}/${prefix}`;
export const versionRows = (bucket: string, prefix: string): string => `v/${bucket}/${escape(prefix)}`;
/** Before the first version of this key, and behind every key that sorts before it. */
export const versionsOf = (bucket: string, key: string): string => versionRows(bucket, key) + END;
export const triggerRow = (name: string): string => `t/${name}`;
export const cursorRow = (bucket: string, prefix: string): string => `l/${bucket}/${prefix}`;

export interface ObjectKey {
  readonly bucket: string;
  readonly key: string;
  readonly versionId: string | null;
}

export function ledgerRow({ bucket, key, versionId }: ObjectKey): string {
  return versionId === null ? objectRows(bucket, key) : versionsOf(bucket, key) + versionId;
}

/** What a ledger row is about. Errors: TypeError for a row of another kind. */
export function parseLedgerRow(row: string): ObjectKey {
  const slash = row.indexOf('/', 2);
  const bucket = row.slice(2, slash);
  const rest = row.slice(slash + 1);
  if (row.startsWith('o/')) return { bucket, key: rest, versionId: null };
  const end = rest.lastIndexOf(END);
  if (!row.startsWith('v/') || end < 0) throw new TypeError('not a row of the ledger');
  return {
    bucket,
    key: rest.slice(0, end).replaceAll(ESCAPED, LOW),
    versionId: rest.slice(end + END.length),
  };
}

/**
 * Order by UTF-8 bytes, as listings and rows have it; JavaScript compares UTF-16 units, in which the characters from
 * U+E000 to U+FFFF stand above those beyond U+FFFF.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return lift(x) - lift(y);
  }
  return a.length - b.length;
}

/** Surrogates above everything else. */
const lift = (unit: number): number => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
