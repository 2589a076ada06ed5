import type { IncomingMessage } from 'node:http';
import { TappetError } from '../../core/errors.ts';
import { addressBlock } from '../../lib/addresses.ts';
import { TokenBuckets } from '../../lib/token-buckets.ts';
import { announcedBytes, boundAnnounced, readBody, readIncoming } from '../body.ts';
import type { BodyBudget, BodyShare } from '../body-budget.ts';
import type { HttpDeps } from '../deps.ts';
import { hookRefused, infoOf } from '../permissions.ts';
import type { Caller, Routes } from '../permissions.ts';
import { problemResponse } from '../problem.ts';
import { give, isSmall } from '../small-bodies.ts';
import type { SmallBodies } from '../small-bodies.ts';

const PREFIX = '/hooks/';

/** A path that means what it says. */
const PLAIN_PATH = /^\/hooks\/([\w-]+)(?:\?|$)/;

/**
 * Whether the body of a call to `url` may be read before the call is looked at. Who calls too often, brings too much or
 * sends a file hears what is said of that before he sends it.
 */
export function isReadFirst(url: string, length: number, deps: HttpDeps): boolean {
  const { maxBodyBytes, rateLimit } = deps.config().server;
  if (rateLimit !== null || length > maxBodyBytes) return false;
  const name = PLAIN_PATH.exec(url)?.[1];
  return name !== undefined && deps.hooks.takesFiles?.(name) !== true;
}

interface Bodies {
  /** Of all bodies together. */
  readonly budget: BodyBudget;
  /** Those that were read before their calls came here. */
  readonly smallBodies: SmallBodies;
}

/**
 * `/hooks/<trigger>`: the busiest way in, so nothing stands between the router and the source but the bound on the
 * body. Whoever is not let in hears the same, whether there is such a trigger or not.
 */
export function hookRoutes(routes: Routes, { budget, smallBodies }: Bodies): void {
  const { deps } = routes;
  const calls = new TokenBuckets();
  routes.source('/hooks/:trigger', async (c) => {
    // The Fetch standard has no such requests: the first look at its headers would throw.
    if (c.req.method === 'TRACE') return hookRefused();
    const { incoming } = c.env;
    const readFirst = incoming === undefined ? undefined : smallBodies.of(incoming);
    if (readFirst?.refusal !== undefined) return unread(problemResponse(readFirst.refusal));
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
    const share = readFirst ?? budget.share(limit, isSmall(announcedBytes(c.req.raw.headers)));
    try {
      // Who may take the body as a file has looked at the request, and a web stream may have begun to read.
      const bounds = { limit, share, incoming: receiving === undefined ? incoming : undefined };
      const request = readFirst === undefined ? await bounded(c.req.raw, bounds) : c.req.raw;
      const response = await deps.hooks.handle(name, request, info);
      if (response !== undefined) return response.status === 401 ? hookRefused() : response;
      // A source makes this of the body before it answers; sooner or later would tell that there is none.
      await request.arrayBuffer().catch(() => undefined);
      return hookRefused();
    } catch (error) {
      if (share.refusal === undefined) throw error;
      return unread(problemResponse(share.refusal));
    } finally {
      share.free();
      // Not only with the answer: of a refusal that comes later, and is a stranger's.
      if (incoming !== undefined) smallBodies.forget(incoming);
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

/** The request, its body read where it may have one, and counted as it comes in. */
async function bounded(request: Request, { limit, share, incoming }: Bounds): Promise<Request> {
  const { method, url, headers } = request;
  if (method === 'GET' || method === 'HEAD') return request;
  const count = (bytes: number): void => share.grow(bytes);
  if (incoming === undefined) {
    const body = await readBody(request, limit, count);
    return new Request(url, { method, headers, body });
  }
  boundAnnounced(headers, limit);
  give(incoming, await readIncoming(incoming, limit, count));
  return request;
}
