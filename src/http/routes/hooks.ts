import { isTappetError, TappetError } from '../../core/errors.ts';
import { addressBlock } from '../../lib/addresses.ts';
import { TokenBuckets } from '../../lib/token-buckets.ts';
import { announcedLength, readBody } from '../body.ts';
import { BodyBudget } from '../body-budget.ts';
import type { BodyShare } from '../body-budget.ts';
import { hookRefused } from '../permissions.ts';
import type { Routes } from '../permissions.ts';
import { problemResponse } from '../problem.ts';

const PREFIX = '/hooks/';
/** A body that announces no more counts as announced; a larger one as it comes in, so that announcing takes no room. */
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
    const share = budget.share(limit);
    try {
      const request = await bounded(c.req.raw, limit, share);
      const response = await deps.hooks.handle(c.req.path.slice(PREFIX.length), request, c.env);
      if (response !== undefined) return response.status === 401 ? hookRefused() : response;
      // A source reads the body before it answers, in this way; sooner or later would tell that there is none.
      await request.arrayBuffer().catch(() => undefined);
      return hookRefused();
    } catch (error) {
      if (!share.refused || !isTappetError(error)) throw error;
      const full = problemResponse(error);
      // The rest of the body is not read.
      full.headers.set('connection', 'close');
      return full;
    } finally {
      share.free();
    }
  });
}

/** Before anything is read or checked: so it tells nothing about the trigger, and costs next to nothing. */
function tooMany(waitMs: number): Response {
  const message = 'This address calls more often than server.rateLimit of the gateway allows.';
  const retryAfter = Math.ceil(waitMs / 1000);
  const response = problemResponse(new TappetError('TOO_MANY_REQUESTS', message, { retryAfter }));
  response.headers.set('connection', 'close');
  return response;
}

/**
 * A small body with an announced length cannot be longer (the parser ends it there), so it stays unread; any other is
 * read here and counted.
 */
async function bounded(request: Request, limit: number, share: BodyShare): Promise<Request> {
  const { method, url, headers } = request;
  if (method === 'GET' || method === 'HEAD') return request;
  const length = announcedLength(headers, limit);
  if (length !== undefined && length <= SMALL_BODY) {
    share.grow(length);
    return request;
  }
  const body = await readBody(request, limit, (bytes) => share.grow(bytes));
  return new Request(url, { method, headers, body });
}
