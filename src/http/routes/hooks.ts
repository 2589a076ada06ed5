import { hasBoundedLength, readBody } from '../body.ts';
import { hookRefused } from '../permissions.ts';
import type { Routes } from '../permissions.ts';
import type { HttpDeps } from '../deps.ts';

const PREFIX = '/hooks/';

/**
 * `/hooks/<trigger>`: the busiest way in, so nothing stands between the router and the source but the bound on the
 * body. Whoever is not let in hears the same, whether there is such a trigger or not.
 */
export function hookRoutes(routes: Routes): void {
  const { deps } = routes;
  routes.source('/hooks/:trigger', async (c) => {
    const request = await bounded(c.req.raw, deps);
    const response = await deps.hooks.handle(c.req.path.slice(PREFIX.length), request, c.env);
    return response === undefined || response.status === 401 ? hookRefused() : response;
  });
}

/**
 * A body with an announced length cannot be longer (the parser ends it there), so it stays unread; one without is
 * read here and counted.
 */
async function bounded(request: Request, deps: HttpDeps): Promise<Request> {
  const { method, url, headers } = request;
  if (method === 'GET' || method === 'HEAD') return request;
  const limit = deps.config().server.maxBodyBytes;
  if (hasBoundedLength(headers, limit)) return request;
  return new Request(url, { method, headers, body: await readBody(request, limit) });
}
