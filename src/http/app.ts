import { BodyBudget } from './body-budget.ts';
import { ClientAddresses } from './client-address.ts';
import type { HttpDeps } from './deps.ts';
import { Routes } from './permissions.ts';
import type { Caller, DeclaredRoute } from './permissions.ts';
import { engineRoutes } from './routes/engines.ts';
import { eventRoutes } from './routes/events.ts';
import { executionLogRoutes } from './routes/execution-logs.ts';
import { executionRoutes } from './routes/executions.ts';
import { healthRoutes } from './routes/health.ts';
import { hookRoutes, isReadFirst } from './routes/hooks.ts';
import { pageRoutes } from './page/routes.ts';
import { jobRoutes } from './routes/jobs.ts';
import { linkRoutes } from './routes/links.ts';
import { logRoutes } from './routes/logs.ts';
import { notificationRoutes } from './routes/notifications.ts';
import { notifyRoutes } from './routes/notify.ts';
import { statusRoutes } from './routes/status.ts';
import { taskRoutes } from './routes/tasks.ts';
import { triggerRoutes } from './routes/triggers.ts';
import { SmallBodies } from './small-bodies.ts';
import { UnreadAnswers } from './unread-answers.ts';

export interface App {
  /** Never rejects: everything that goes wrong is a problem document. */
  fetch(request: Request, info: Caller): Promise<Response>;
  /** Ends the answers that would go on (followed logs), so that a server can close. Idempotent. */
  close(): void;
  /** Of calls that come over a connection: what is to be there before `fetch` is called. */
  readonly smallBodies: SmallBodies;
  /** Every route there is, with who may call it. */
  readonly routes: readonly DeclaredRoute[];
  /** What the router really knows, for the test that ties it to `routes`. */
  readonly mounted: readonly { readonly method: string; readonly path: string }[];
}

/** The HTTP side of the gateway: the page at `/`, `/api/v1`, `/hooks/<trigger>`, `/notify/storage/<connection>`, `/livez`, `/readyz`. */
export function createApp(deps: HttpDeps): App {
  const closing = new AbortController();
  const routes = new Routes(deps);
  const addresses = new ClientAddresses();
  const unread = new UnreadAnswers();
  const budget = new BodyBudget();
  const smallBodies = new SmallBodies(({ url = '' }, length) =>
    isReadFirst(url, length, deps) ? budget.share(deps.config().server.maxBodyBytes, true) : undefined,
  );
  hookRoutes(routes, { budget, smallBodies });
  notifyRoutes(routes);
  healthRoutes(routes);
  jobRoutes(routes);
  executionRoutes(routes);
  taskRoutes(routes);
  executionLogRoutes(routes, closing.signal, unread);
  logRoutes(routes, closing.signal, unread);
  triggerRoutes(routes);
  eventRoutes(routes);
  notificationRoutes(routes);
  statusRoutes(routes);
  engineRoutes(routes);
  linkRoutes(routes);
  pageRoutes(routes);
  return {
    fetch: async (request, info) => {
      const { trustedProxies } = deps.config().server;
      return routes.hono.fetch(request, addresses.seen(info, request, trustedProxies));
    },
    close: () => closing.abort(),
    smallBodies,
    routes: routes.declared,
    mounted: routes.hono.routes,
  };
}
