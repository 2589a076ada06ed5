import { readJson } from '../body.ts';
import { parse, parseQuery } from '../params.ts';
import type { Routes } from '../permissions.ts';
import { strictObject } from '../../lib/strict-object.ts';

const EMPTY_BODY = strictObject({});

/** One-time codes that open the page in a browser, for whoever has the token. */
export function linkRoutes(routes: Routes): void {
  const { deps } = routes;
  routes.route('POST', '/api/v1/links', 'tappet.links.create', async (c, principal) => {
    parseQuery(c, {});
    parse(EMPTY_BODY, (await readJson(c.req.raw, deps.config().server.maxBodyBytes)) ?? {});
    const { code, expireTime } = deps.sessions.newCode(principal);
    return c.json({ code, expireTime: new Date(expireTime).toISOString() });
  });
}
