import type { ErrorCode } from '../core/errors.ts';
import { isTappetError, TappetError } from '../core/errors.ts';

/** Where a call went, for messages: the connection's name and address, and the bucket. */
export interface Place {
  readonly connection: string;
  /** The endpoint, or `Amazon S3 in eu-central-1`. */
  readonly address: string;
  readonly bucket: string;
}

/** What an error of the SDK, of Node or of the store says of itself. */
interface Facts {
  /** The store's own code (`NoSuchBucket`), else the name of the class of error. */
  readonly name: string;
  /** Of Node: `ECONNREFUSED`, `CERT_HAS_EXPIRED`. */
  readonly code: string | undefined;
  readonly status: number | undefined;
  readonly message: string;
}

/** The keys are wrong or have run out: worth another look at where they stand. */
export function concernsKeys(error: unknown): boolean {
  const { name, status } = factsOf(error);
  return status === 401 || status === 403 || KEY_TROUBLE.has(name);
}

/** The object or its version is not there, or not any more the one that was asked for. */
export function isAbsent(error: unknown, versionAsked: boolean): boolean {
  const { name, status } = factsOf(error);
  if (status === 404) return name !== 'NoSuchBucket';
  if (status === 412) return true;
  // A delete marker has no content (405); an id that this store cannot have made is no version of it (400).
  return versionAsked && (status === 405 || (status === 400 && BAD_VERSION.has(name)));
}

export function isRefusal(error: unknown): boolean {
  return factsOf(error).status === 403;
}

export function isUnsupported(error: unknown): boolean {
  const { name, status } = factsOf(error);
  return status === 501 || name === 'NotImplemented' || name === 'MethodNotAllowed';
}

/** No answer came: the connection failed or broke off. */
export function isConnectionTrouble(error: unknown): boolean {
  return !isTappetError(error) && factsOf(error).status === undefined;
}

/** What went wrong in the port's words; what is in them already stays as it is. */
export function storeError(error: unknown, place: Place): TappetError {
  if (isTappetError(error)) return error;
  const facts = factsOf(error);
  const { code, text, fix } = explain(facts, place);
  return new TappetError(code, `${where(place)} ${text}`, { fix }, lean(error));
}

export function unavailable(place: Place, text: string, fix: string, cause?: unknown): TappetError {
  return new TappetError('OBJECT_STORE_UNAVAILABLE', `${where(place)} ${text}`, { fix }, cause);
}

export function notS3(place: Place): TappetError {
  return unavailable(
    place,
    'does not answer as an S3 store',
    "check the endpoint: it must be the store's S3 address, not its web console",
  );
}

/** Without the SDK's request and answer: they hold sockets, and headers with the token. */
function lean(error: unknown): unknown {
  if (!(error instanceof Error) || statusOf(error) === undefined) return error;
  const bare = new Error(error.message);
  bare.name = error.name;
  if (error.stack !== undefined) bare.stack = error.stack;
  return bare;
}

function where({ connection, address }: Place): string {
  return `the object store "${connection}" (${address})`;
}

const KEY_TROUBLE = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidToken',
  'InvalidTokenId',
]);
const BAD_VERSION = new Set([
  'InvalidArgument',
  'NoSuchVersion',
  'BadRequest',
  'Unknown',
  'UnknownError',
  '400',
]);
const REGION_TROUBLE = new Set(['AuthorizationHeaderMalformed', 'PermanentRedirect', '301', 'InvalidRegion']);
const BUSY = new Set(['SlowDown', 'RequestTimeout', 'ServiceUnavailable', 'Throttling', 'TooManyRequests']);

interface Explained {
  readonly code: ErrorCode;
  readonly text: string;
  readonly fix: string;
}

function explain(facts: Facts, place: Place): Explained {
  const { name, status } = facts;
  if (status === undefined) return explainConnection(facts);
  if (name === 'NoSuchBucket' || status === 404) {
    return {
      code: 'BUCKET_NOT_FOUND',
      text: `has no bucket "${place.bucket}"`,
      fix: 'make the bucket, or correct its name',
    };
  }
  if (REGION_TROUBLE.has(name) || status === 301) {
    return denied(
      `keeps the bucket "${place.bucket}" in another region${said(facts)}`,
      `set "region" of connections.${place.connection}`,
    );
  }
  if (status === 401 || status === 403 || KEY_TROUBLE.has(name)) return explainRefusal(facts, place);
  if (status >= 500 || status === 408 || status === 429 || BUSY.has(name)) {
    return down(
      `cannot serve the bucket "${place.bucket}" now: it answers ${status}${said(facts)}`,
      'it is tried again by itself; look into the log of the store if it stays so',
    );
  }
  if (status >= 200 && status < 300) {
    const { message, fields } = notS3(place);
    return down(message.slice(where(place).length + 1), fields.fix ?? '');
  }
  return {
    code: 'INVALID_ARGUMENT',
    text: `refuses the request for the bucket "${place.bucket}": ${status}${said(facts)}`,
    fix: 'check the names of bucket and key: this store has rules of its own for them',
  };
}

function explainRefusal(facts: Facts, { connection, bucket }: Place): Explained {
  const path = `connections.${connection}`;
  switch (facts.name) {
    case 'InvalidAccessKeyId':
      return denied('does not know the access key', `check "accessKeyId" of ${path}`);
    case 'SignatureDoesNotMatch':
      return denied('refuses the signature: the secret key is wrong', `check "secretAccessKey" of ${path}`);
    case 'RequestTimeTooSkewed':
      return denied('refuses the time of this machine: the two clocks differ', 'set both clocks (NTP)');
    case 'ExpiredToken':
    case 'ExpiredTokenException':
    case 'InvalidToken':
    case 'InvalidTokenId':
      return denied('refuses the token: it has run out or is wrong', `renew "sessionToken" of ${path}`);
    default:
      return denied(
        `refuses access to the bucket "${bucket}"${said(facts)}`,
        `check the keys of ${path} and what their policy allows in this bucket`,
      );
  }
}

const UNTRUSTED = /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_UNTRUSTED)/;
const CONNECTION_WORDS: Readonly<Record<string, readonly [text: string, fix: string]>> = {
  ECONNREFUSED: ['refuses the connection', 'start it, or check the endpoint'],
  ENOTFOUND: ['cannot be found: its host name is unknown', 'check the endpoint and the name server'],
  EAI_AGAIN: ['cannot be found: the name server does not answer', 'check the network of this machine'],
  EHOSTUNREACH: ['cannot be reached', 'check the endpoint and the network'],
  ENETUNREACH: ['cannot be reached', 'check the endpoint and the network'],
  ETIMEDOUT: ['cannot be reached: no connection in time', 'check the endpoint and the firewalls between'],
  CERT_HAS_EXPIRED: ['has a certificate that has expired', 'renew the certificate of the store'],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    'has a certificate for another host name',
    'use the name that stands in the certificate as endpoint',
  ],
  EPROTO: [
    'does not speak TLS at this address',
    'write http:// in the endpoint, or give the store a certificate',
  ],
};

function explainConnection(facts: Facts): Explained {
  const { code = '', name } = facts;
  const [text, fix] = CONNECTION_WORDS[code] ?? [];
  if (text !== undefined && fix !== undefined) return down(text, fix);
  if (UNTRUSTED.test(code))
    return down(
      `has a certificate that is not trusted here (${code})`,
      'name the file of the authority that signed it as "ca" of the connection',
    );
  if (code.startsWith('ERR_SSL') || code === 'ERR_TLS_WRONG_VERSION_NUMBER')
    return down(...(CONNECTION_WORDS['EPROTO'] ?? ['', '']));
  // The SDK gives this name to connections that broke off as well.
  if (name === 'TimeoutError' && code === '') return down(...(CONNECTION_WORDS['ETIMEDOUT'] ?? ['', '']));
  return down(
    `broke off the connection (${code || facts.message})`,
    'it is tried again by itself; is the store up?',
  );
}

function denied(text: string, fix: string): Explained {
  return { code: 'OBJECT_ACCESS_DENIED', text, fix };
}

function down(text: string, fix: string): Explained {
  return { code: 'OBJECT_STORE_UNAVAILABLE', text, fix };
}

/** The store's own words, where it has any. */
function said({ name, message }: Facts): string {
  const words = [name, message].filter(
    (word) => word !== '' && !/^(Unknown|UnknownError|Error|\d+)$/.test(word),
  );
  return words.length === 0 ? '' : ` (${words.join(': ')})`;
}

function factsOf(error: unknown): Facts {
  if (!(error instanceof Error))
    return { name: '', code: undefined, status: undefined, message: String(error) };
  // Where a host name has several addresses, Node wraps one failure for each.
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  const { name, message } = error.message === '' && inner instanceof Error ? inner : error;
  return { name, message, code: codeOf(error) ?? codeOf(inner), status: statusOf(error) };
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

function statusOf(error: Error): number | undefined {
  const metadata: unknown = '$metadata' in error ? error.$metadata : undefined;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}
