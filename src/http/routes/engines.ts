import { z } from 'zod';
import type { EngineResource, ForgottenEngineResource } from '../../core/api.ts';
import { readJson } from '../body.ts';
import { parse, parseQuery } from '../params.ts';
import type { Routes } from '../permissions.ts';
import { strictObject } from '../../lib/strict-object.ts';

/** In the body, as names of engines are paths and addresses. */
const FORGET_BODY = strictObject({ engine: z.string().min(1).max(4096) });

export function engineRoutes(routes: Routes): void {
  const { deps } = routes;
  routes.route('GET', '/api/v1/engines', 'tappet.engines.list', async (c) => {
    parseQuery(c, {});
    const inUse = await deps.engines.list();
    const engines: EngineResource[] = inUse.map(({ engine, openAttempts }) => ({
      name: engine,
      openAttempts,
    }));
    return c.json({ engines });
  });
  routes.route('POST', '/api/v1/engines:forget', 'tappet.engines.forget', async (c, principal) => {
    parseQuery(c, {});
    const body = await readJson(c.req.raw, deps.config().server.maxBodyBytes);
    const { engine } = parse(FORGET_BODY, body ?? {});
    const endedAttempts = await deps.engines.forget(engine, principal.name);
    // Tasks of the same executions, and executions that waited for theirs, may have their turn now.
    deps.onWork();
    const answer: ForgottenEngineResource = { engine, endedAttempts };
    return c.json(answer);
  });
}
