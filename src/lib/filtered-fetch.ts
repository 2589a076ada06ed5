import { lookup as systemLookup } from 'node:dns';
import type { LookupAddress } from 'node:dns';
import { request as requestPlain } from 'node:http';
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import { request as requestTls } from 'node:https';
import { isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import type { Duplex } from 'node:stream';

export interface FilteredFetchOptions {
  /** Whether a connection to this address may be made. */
  readonly allowed: (address: string) => boolean;
  /** How names become addresses; the system's way if absent. */
  readonly lookup?: LookupFunction;
}

/** The URL leads to an address that may not be connected to. */
export class AddressRefused extends Error {
  constructor(host: string, addresses: readonly string[]) {
    const found = addresses.filter((address) => address !== host).join(', ');
    super(
      `${host}${found === '' ? '' : ` is ${found}, which`} is no address on the public Internet; allowPrivateAddresses lets it be used`,
    );
    this.name = 'AddressRefused';
  }
}

/** Answers before the answer (100, 102, 103): who sends more never means to come to an end. */
const MAX_INTERIM = 20;

/** Statuses that the Fetch standard allows no body with. */
const WITHOUT_BODY = new Set([204, 205, 304]);

/**
 * A `fetch` that connects only to addresses which are allowed. What is judged is the address of the connection itself:
 * a name that leads elsewhere the next time it is asked for leads nowhere else here. Every call makes a connection of
 * its own. Of `init` it knows method, headers, signal, a body of text or bytes, and `redirect`: no redirect is ever
 * followed; unless that is `manual`, one is an error. So is an answer that never comes: another protocol, or interim
 * answers without an end.
 * Errors: AddressRefused; what node:http throws; the signal's reason.
 */
export function filteredFetch(
  options: FilteredFetchOptions,
): (url: string, init?: RequestInit) => Promise<Response> {
  const lookup = filteredLookup(options);
  return async (url, init = {}) => {
    const target = new URL(url);
    const host = target.hostname.replace(/^\[|\]$/g, '');
    // No name is looked up for these.
    if (isIP(host) !== 0 && !options.allowed(host)) throw new AddressRefused(host, []);
    const response = await exchange(target, init, lookup);
    const redirects = response.status >= 300 && response.status < 400 && response.headers.has('location');
    if (!redirects || init.redirect === 'manual') return response;
    await response.body?.cancel();
    throw new Error(`it answered ${response.status}, which leads elsewhere, and is not followed`);
  };
}

function filteredLookup({ allowed, lookup = systemLookup }: FilteredFetchOptions): LookupFunction {
  return (host, options, done) => {
    // All of them, whatever is asked for: one that may not be used must not hide one that may.
    lookup(host, { ...options, all: true }, (error, answer) => {
      if (error !== null) return done(error, []);
      const found: readonly LookupAddress[] = Array.isArray(answer)
        ? answer
        : [{ address: answer, family: isIP(answer) }];
      const usable = found.filter(({ address }) => allowed(address));
      const [first] = usable;
      if (first === undefined)
        return done(
          new AddressRefused(
            host,
            found.map(({ address }) => address),
          ),
          [],
        );
      if (options.all === true) done(null, usable);
      else done(null, first.address, first.family);
    });
  };
}

function exchange(target: URL, init: RequestInit, lookup: LookupFunction): Promise<Response> {
  const { method = 'GET', signal, body } = init;
  const options: RequestOptions = {
    method,
    headers: Object.fromEntries(new Headers(init.headers)),
    lookup,
    // Its connections could have been judged by another rule, and its proxies are judged by none.
    agent: false,
    ...(signal === null || signal === undefined ? {} : { signal }),
  };
  return new Promise((resolve, reject) => {
    const request = start(target, options);
    request.on('error', reject);
    onNoAnswer(request, reject);
    request.on('response', (message) => {
      try {
        resolve(toResponse(message));
      } catch (error) {
        message.destroy();
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
    request.end(typeof body === 'string' || body instanceof Uint8Array ? body : undefined);
  });
}

/** What is no answer, and would be waited for as long as the caller has patience, on a connection that is gone. */
function onNoAnswer(request: ClientRequest, refuse: (error: Error) => void): void {
  let interim = 0;
  request.on('upgrade', ({ statusCode }: IncomingMessage, socket: Duplex) => {
    socket.destroy();
    refuse(new Error(`it answered ${statusCode}, for another protocol that nobody asked for`));
  });
  request.on('information', () => {
    interim += 1;
    if (interim <= MAX_INTERIM) return;
    request.destroy();
    refuse(new Error(`it sent more than ${MAX_INTERIM} interim answers, and no answer`));
  });
}

function start(target: URL, options: RequestOptions): ClientRequest {
  if (target.protocol === 'https:') return requestTls(target, options);
  if (target.protocol === 'http:') return requestPlain(target, options);
  throw new Error(`${target.protocol}// is neither https nor http`);
}

function toResponse(message: IncomingMessage): Response {
  const { statusCode: status = 0 } = message;
  if (status < 200 || status > 599)
    throw new Error(`it answered with the status ${status}, which HTTP does not know`);
  const headers = new Headers();
  for (const [name, values] of Object.entries(message.headersDistinct))
    for (const value of values ?? []) headers.append(name, value);
  if (!WITHOUT_BODY.has(status)) return new Response(bodyOf(message), { status, headers });
  message.resume();
  return new Response(null, { status, headers });
}

function bodyOf(message: IncomingMessage): ReadableStream<Uint8Array> {
  return Readable.toWeb(message) as ReadableStream<Uint8Array>;
}
