import type { AuthSpec, Verify } from './core/auth.ts';
import type { Bodies } from './core/bodies.ts';
import type { Clock } from './core/clock.ts';
import { limitsOf } from './core/config.ts';
import type { Expressions } from './core/expression.ts';
import type { Fetch } from './core/fetch.ts';
import type { Ids } from './core/ids.ts';
import type { Log } from './core/log.ts';
import type { Objects } from './core/objects.ts';
import type { Secrets } from './core/secrets.ts';
import type { Store } from './core/store.ts';
import type { CurrentConfig } from './applied-config.ts';
import { Issuers } from './auth/issuers.ts';
import { compileVerify } from './auth/verify.ts';
import { hostedSources } from './hosted-sources.ts';
import { Inbox } from './inbox/inbox.ts';
import { SourceHost } from './inbox/source-host.ts';
import { ResultWaits } from './inbox/results.ts';
import { Router } from './routing/router.ts';

/** Ports, and the configuration that counts. */
export interface WayOfEventsDeps {
  readonly store: Store;
  readonly current: CurrentConfig;
  readonly objects: Objects;
  readonly secrets: Secrets;
  readonly bodies: Bodies;
  readonly expressions: Expressions;
  /** Connects to public addresses alone. */
  readonly fetch: Fetch;
  /** Connects to any address. */
  readonly fetchAnywhere: Fetch;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  /** There is something to run. */
  onExecutions(): void;
}
export interface WayOfEvents {
  readonly router: Router;
  readonly inbox: Inbox;
  readonly issuers: Issuers;
  readonly sources: SourceHost;
  /** Callers that wait for results. */
  readonly waits: ResultWaits;
  /** Checks callers by these issuers, which a reload may have others of. Errors: those of `compileVerify`. */
  readonly verifier: (auth: AuthSpec, issuers: Pick<Issuers, 'get'>) => Promise<Verify>;
}

/** Sources → inbox → routing, for the configuration as it is now; nothing is started. Errors: those of `compileVerify`. */
export async function wayOfEvents(deps: WayOfEventsDeps): Promise<WayOfEvents> {
  const { store, current, objects, secrets, bodies, expressions, clock, ids, log } = deps;
  const router = new Router({
    store,
    clock,
    ids,
    triggers: () => current.triggers,
    jobs: () => current.jobs,
    limits: () => limitsOf(current.server),
    onExecutions: () => deps.onExecutions(),
    log,
  });
  const inbox = new Inbox({
    store,
    ids,
    clock,
    log,
    // Text may grow when it is written as JSON; what the HTTP side let in must not be refused here.
    maxDataBytes: () => 2 * current.server.maxBodyBytes,
    route: (events) => router.decideNow(events),
  });
  const { config } = current;
  const { fetch, fetchAnywhere } = deps;
  const issuers = new Issuers({ specs: config.issuers, fetch, fetchAnywhere, clock, log });
  const verifier: WayOfEvents['verifier'] = (auth, by) =>
    compileVerify(auth, { issuers: by, secrets, clock, expressions });
  const hosted = await hostedSources(config, { objects, verifier: (auth) => verifier(auth, issuers) });
  const waits = new ResultWaits({ store, clock });
  const waitDecided = router.waitDecided.bind(router);
  const sources = new SourceHost({ inbox, store, waits, bodies, waitDecided, clock, ids, log }, hosted);
  return { router, inbox, issuers, sources, waits, verifier };
}
