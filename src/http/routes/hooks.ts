import type { IncomingMessage } from 'node:http';
import { isTappetError, TappetError } from '../../core/errors.ts';
import { addressBlock } from '../../lib/addresses.ts';
import { TokenBuckets } from '../../lib/token-buckets.ts';
import { announcedLength, readBody, readIncoming } from '../body.ts';
import { BodyBudget } from '../body-budget.ts';
import type { BodyShare } from '../body-budget.ts';
import { hookRefused, infoOf } from '../permissions.ts';
import type { Caller, Routes } from '../permissions.ts';
import { problemResponse } from '../problem.ts';

const PREFIX = '/hooks/';
/** A body that announces no more is not counted, where there is room for what is announced. */
const SMALL_BODY = 64 * 1024;

/**
 * `/hooks/<trigger>`: the busiest way in, so nothing stands between the router and the source but the bound on the
 * body. Whoever is not let in hears the same, whether there is such a trigger or not.
 */
export function hookRoutes(routes: Routes): void {
  const { deps } = routes;
  const budget = new BodyBudget();
  const calls = new TokenBuckets();
  routes.source('/hooks/:trigger', async (c) => {
    // The Fetch standard has no such requests: the first look at its headers would throw.
    if (c.req.method === 'TRACE') return hookRefused();
    const { maxBodyBytes: limit, rateLimit } = deps.config().server;
    if (rateLimit !== null) {
      const wait = calls.take(addressBlock(c.env.remoteAddress), deps.clock.now(), rateLimit);
      if (wait > 0) return tooMany(wait);
    }
    const name = c.req.path.slice(PREFIX.length);
    const info = infoOf(c.env);
    const receiving = deps.hooks.receive?.(name, c.req.raw, info);
    const received = receiving === undefined ? undefined : await taken(receiving, c.env);
    if (received !== undefined) return received;
    const share = budget.share(limit);
    try {
      // Who may take the body as a file has looked at the request, and a web stream may have begun to read.
      const incoming = receiving === undefined ? c.env.incoming : undefined;
      const request = await bounded(c.req.raw, { limit, share, incoming });
      const response = await deps.hooks.handle(name, request, info);
      if (response !== undefined) return response.status === 401 ? hookRefused() : response;
      // A source makes this of the body before it answers; sooner or later would tell that there is none.
      await request.arrayBuffer().catch(() => undefined);
      return hookRefused();
    } catch (error) {
      if (!share.refused || !isTappetError(error)) throw error;
      return unread(problemResponse(error));
    } finally {
      if (c.env.incoming !== undefined) give(c.env.incoming, undefined);
      share.free();
    }
  });
}

/**
 * A body that becomes a file takes its time, as long as it moves. Where that is refused, the connection is not closed
 * with the answer: its sender, who is still at it, would hear of a broken connection in place of the reason. What he
 * sends goes nowhere, for as long as the server below us allows.
 */
async function taken(
  receiving: Promise<Response | undefined>,
  { transfer }: Caller,
): Promise<Response | undefined> {
  const end = transfer?.lengthen();
  try {
    return await receiving;
  } finally {
    end?.();
  }
}

/** The rest of the body is not read. */
function unread(response: Response): Response {
  response.headers.set('connection', 'close');
  return response;
}

/** Before anything is read or checked: so it tells nothing about the trigger, and costs next to nothing. */
function tooMany(waitMs: number): Response {
  const message = 'This address calls more often than server.rateLimit of the gateway allows.';
  const retryAfter = Math.ceil(waitMs / 1000);
  return unread(problemResponse(new TappetError('TOO_MANY_REQUESTS', message, { retryAfter })));
}

interface Bounds {
  readonly limit: number;
  readonly share: BodyShare;
  /** Where the body comes in, if it may be read from there. */
  readonly incoming: IncomingMessage | undefined;
}

/**
 * The request, its body read where it may have one. A small body with an announced length cannot be longer (the parser
 * ends it there), so it is not counted, as long as all that is announced so has room; any other is counted as it comes
 * in. So whoever only announces takes nothing from anybody but this short cut.
 */
async function bounded(request: Request, { limit, share, incoming }: Bounds): Promise<Request> {
  const { method, url, headers } = request;
  if (method === 'GET' || method === 'HEAD') return request;
  const length = announcedLength(headers, limit);
  const small = length !== undefined && length <= SMALL_BODY && share.announce(length);
  const count = small ? undefined : (bytes: number): void => share.grow(bytes);
  if (incoming === undefined) {
    const body = await readBody(request, limit, count);
    return new Request(url, { method, headers, body });
  }
  const bytes = await readIncoming(incoming, limit, count);
  give(incoming, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return request;
}

/**
 * The body, read: what makes a Request of `incoming` takes it from there, as where a platform has read it. Not left there
 * when it was handled, since `incoming` lives until its answer has gone, behind all those before it in the connection.
 */
function give(
  incoming: IncomingMessage & { rawBody?: Buffer | undefined },
  rawBody: Buffer | undefined,
): void {
  incoming.rawBody = rawBody;
}
