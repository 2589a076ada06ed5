import { hookRefused, infoOf } from '../permissions.ts';
import type { Routes } from '../permissions.ts';
import { methodNotAllowed } from '../problem.ts';

const PREFIX = '/notify/storage/';

/**
 * `/notify/storage/<connection>`: where an object store tells of uploads. Whoever is not let in hears the same, whether
 * there is such a connection or not, and before a byte of the body is read.
 *
 * Never a redirect, of no spelling: MinIO follows 301 to 303 with a GET that carries nothing, takes its answer for
 * ours and deletes the event; so a GET is 405 for everyone. No bound on the body here: a sender that is let in would
 * repeat what is refused for ever and hold back all the rest, so the source reads to the end and keeps what it may.
 */
export function notifyRoutes(routes: Routes): void {
  const { deps } = routes;
  routes.source(`${PREFIX}:connection`, async (c) => {
    const { method, path } = c.req;
    // The Fetch standard has no such requests: the first look at its headers would throw.
    if (method === 'TRACE') return hookRefused();
    if (method !== 'POST') return methodNotAllowed(path, method, ['POST']);
    const response = await deps.notifications.handle(path.slice(PREFIX.length), c.req.raw, infoOf(c.env));
    return response === undefined || response.status === 401 ? hookRefused() : response;
  });
}
