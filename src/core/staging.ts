import type { PinnedBody } from './bodies.ts';
import type { FileIdentity } from './local-files.ts';
import type { SecretRef } from './secrets.ts';

/**
 * What a task finds in its container before it starts, and what is taken out after it has succeeded. The gateway
 * moves the bytes, so that neither the image nor the engine's machine needs to know of object stores.
 */
export interface InputSpec {
  /**
   * `s3://<connection>/<bucket>/<key>`, the object or file that the event tells of, the body that it came with, or where a secret stands. An
   * address may hold `${{ }}` in its key; in a frozen spec what is done is escaped as in env and args.
   */
  readonly from: string | SecretRef;
  /** Absolute path of the file in the container. */
  readonly to: string;
  /** Permission bits; absent = 0644, of a secret 0444. Owned by root. */
  readonly mode?: number;
  /** What `event.object` was at the decision. */
  readonly object?: PinnedObject;
  /** What `event.file` was at the decision. */
  readonly file?: FileIdentity;
  /** What `event.body` was at the decision. */
  readonly body?: PinnedBody;
}

export interface OutputSpec {
  /** Absolute path in the container: a file, or with `/` at its end a folder with all that is below it. */
  readonly from: string;
  /** As an input's address; with `/` at its end (a folder: always) what the key starts with. */
  readonly to: string;
  /** Absent = by the end of the name. */
  readonly contentType?: string;
}

/** An object as it was when the event happened: another content under its key is another object. */
export interface PinnedObject {
  readonly connection: string;
  readonly bucket: string;
  readonly key: string;
  readonly versionId?: string;
  readonly etag: string;
}
export const EVENT_OBJECT = 'event.object';
export const EVENT_FILE = 'event.file';
export const EVENT_BODY = 'event.body';
export const INPUT_MODE = 0o644;
/** The program may run as any user, and the file is root's: whoever is in the container may read it. */
export const SECRET_MODE = 0o444;

/** Named by TAPPET_OUTPUT. Made before the start, so that a program of any user can write to it. */
export const OUTPUT_PATH = '/tappet/output';
export const OUTPUT_MODE = 0o666;
export const OUTPUT_MAX_BYTES = 64 * 1024;

export interface Address {
  readonly connection: string;
  readonly bucket: string;
  /** Of an output also '' or with `/` at its end: what keys start with. */
  readonly key: string;
}
export type ParsedAddress =
  | { readonly ok: true; readonly address: Address }
  | { readonly ok: false; readonly problem: string };

const ADDRESS = /^s3:\/\/([^/]+)\/([^/]+)\/(.*)$/su;
/** S3's own bound. */
const KEY_MAX_BYTES = 1024;

/** Whether an input's `from` is an address (and not one of the words, or a secret). */
export const isAddress = (from: InputSpec['from']): from is `s3://${string}` =>
  typeof from === 'string' && from.startsWith('s3://');

/** Reads the rendered address of an input. `problem` is to be read after the place. */
export function inputAddress(text: string): ParsedAddress {
  const parsed = parseAddress(text);
  if (!parsed.ok || parsed.address.key !== '') return parsed;
  return { ok: false, problem: `${JSON.stringify(text)} names no object` };
}

/** The same of an output, whose `from` is given. */
export function outputAddress(from: string, text: string): ParsedAddress {
  const parsed = parseAddress(text);
  if (!parsed.ok || !isFolder(from) || text.endsWith('/')) return parsed;
  return { ok: false, problem: `${JSON.stringify(text)} must end with /, since a whole folder goes there` };
}

/** Whether a path or address as written means what is below it. */
export const isFolder = (path: string): boolean => path.endsWith('/');

function parseAddress(text: string): ParsedAddress {
  const [, connection, bucket, key] = ADDRESS.exec(text) ?? [];
  if (connection === undefined || bucket === undefined || key === undefined)
    return { ok: false, problem: `${JSON.stringify(text)} is not s3://<connection>/<bucket>/<key>` };
  const problem = key === '' ? null : keyProblem(key);
  if (problem !== null) return { ok: false, problem: `the key ${problem}` };
  return { ok: true, address: { connection, bucket, key } };
}

export const addressText = ({ connection, bucket, key }: Address): string =>
  `s3://${connection}/${bucket}/${key}`;

/**
 * What is wrong with a key that texts or names made; null = nothing. Some stores keep objects as files and would
 * follow `..` into another bucket.
 */
export function keyProblem(key: string): string | null {
  const bytes = Buffer.byteLength(key);
  if (bytes > KEY_MAX_BYTES) return `is ${bytes.toLocaleString('en')} bytes long, more than 1,024`;
  if (key.includes('\0')) return 'holds a NUL character';
  if (key.split('/').some((part) => part === '.' || part === '..')) return 'has "." or ".." as a part';
  return null;
}

/**
 * What is wrong with an address as written, `${{ }}` and all; null = nothing. What an event says may choose the
 * object, never the credentials or the bucket.
 */
export function addressTextProblem(text: string): string | null {
  const [, connection, bucket] = ADDRESS.exec(text) ?? [];
  if (connection === undefined || bucket === undefined)
    return 'must be an address, s3://<connection>/<bucket>/<key>';
  if (connection.includes('$') || bucket.includes('$'))
    return 'must name connection and bucket in plain text; only the key may hold ${{ }}';
  return null;
}

/** What is wrong with a path in the container; null = nothing. `folder`: it may end with `/`. */
export function containerPathProblem(path: string, { folder }: { readonly folder: boolean }): string | null {
  if (!path.startsWith('/')) return 'must be an absolute path in the container, starting with /';
  if (path.includes('\0')) return 'holds a NUL character';
  const parts = path.slice(1).split('/');
  const last = parts.at(-1) === '' ? parts.pop() : undefined;
  if (last !== undefined && !folder) return 'must name a file, without / at its end';
  if (parts.length === 0) return 'must not be the root of the container';
  if (parts.some((part) => part === '' || part === '.' || part === '..'))
    return 'must not hold "//", "." or ".." as a part';
  return null;
}

/** Where an engine mounts something of its own at the start, over whatever was put there before. */
const COVERED = /^\/(?:(?:dev|proc|sys)(?:\/|$)|etc\/(?:hosts|hostname|resolv\.conf)$)/;

/** Whether a file at this path would not be seen in the container. */
export const isCovered = (path: string): boolean => COVERED.test(path);
