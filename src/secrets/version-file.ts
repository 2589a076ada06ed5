import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { SecretKey } from './key.ts';

/**
 * One version of a secret is one file, `<name>@<version>`, which is created once:
 *
 * | state   | file holds                                   | becomes                       |
 * |---------|----------------------------------------------|-------------------------------|
 * | stored  | time, id of the key, nonce, sealed value     | deleted                       |
 * | deleted | the time of that; its number is never reused | –                             |
 * | damaged | anything else                                | deleted                       |
 */
export type VersionFile =
  | { readonly state: 'stored'; readonly createTime: string; readonly sealed: Sealed }
  | { readonly state: 'deleted' }
  | { readonly state: 'damaged' };

export interface Sealed {
  /** Of the key: see `SecretKey.id`. */
  readonly keyId: string;
  readonly nonce: string;
  /** The encrypted value and the tag of 16 bytes after it. */
  readonly box: string;
}

export interface VersionName {
  readonly name: string;
  readonly version: number;
}

/** 96 bits: what GCM is made for. Drawn at random, they would have to be billions before two of them met. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

const fileSchema = z.union([
  z.strictObject({
    format: z.literal(1),
    createTime: z.iso.datetime(),
    keyId: z.string(),
    nonce: z.base64().length((NONCE_BYTES / 3) * 4),
    box: z.base64(),
  }),
  z.strictObject({ format: z.literal(1), deleteTime: z.iso.datetime() }),
]);

export function fileName({ name, version }: VersionName): string {
  return `${name}@${version}`;
}

/** undefined: a draft, or nothing of ours. */
export function parseFileName(file: string): VersionName | undefined {
  const [, name, version] = /^([^@]+)@([1-9]\d{0,8})$/.exec(file) ?? [];
  return name === undefined ? undefined : { name, version: Number(version) };
}

/** The text of a file that holds this value. */
export function sealVersion(of: VersionName, value: Uint8Array, createTime: string, key: SecretKey): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key.key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associated(of));
  const box = Buffer.concat([cipher.update(value), cipher.final(), cipher.getAuthTag()]);
  return text({
    createTime,
    keyId: key.id,
    nonce: nonce.toString('base64'),
    box: box.toString('base64'),
  });
}

export function deletedVersion(deleteTime: string): string {
  return text({ deleteTime });
}

export function parseVersionFile(content: string): VersionFile {
  const parsed = fileSchema.safeParse(parseJson(content));
  if (!parsed.success) return { state: 'damaged' };
  if ('deleteTime' in parsed.data) return { state: 'deleted' };
  const { createTime, keyId, nonce, box } = parsed.data;
  return { state: 'stored', createTime, sealed: { keyId, nonce, box } };
}

/** undefined: it was not sealed with this key for this name and version, or was changed since. */
export function openVersion(of: VersionName, sealed: Sealed, key: SecretKey): string | undefined {
  const box = Buffer.from(sealed.box, 'base64');
  if (box.length < TAG_BYTES) return undefined;
  const nonce = Buffer.from(sealed.nonce, 'base64');
  const decipher = createDecipheriv('aes-256-gcm', key.key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(associated(of));
  decipher.setAuthTag(box.subarray(-TAG_BYTES));
  const opened = decipher.update(box.subarray(0, -TAG_BYTES));
  try {
    return Buffer.concat([opened, decipher.final()]).toString('utf8');
  } catch {
    // `final` says in this way that the tag does not fit; it has no other failure.
    return undefined;
  }
}

/** Binds a value to its place, so that a file under another name opens nothing. No name has an `@`. */
function associated(of: VersionName): Buffer {
  return Buffer.from(`tappet-secret:${fileName(of)}`);
}

function text(fields: Readonly<Record<string, string>>): string {
  return `${JSON.stringify({ format: 1, ...fields })}\n`;
}

function parseJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}
