import type { Routes } from '../permissions.ts';
import { enter } from './door.ts';
import { eventPage } from './event-page.ts';
import { executionPage } from './execution-page.ts';
import { logPage } from './log-page.ts';
import { overviewPage } from './overview.ts';

/** What people look at: read-only, made here, without a script. */
export function pageRoutes(routes: Routes): void {
  const { deps } = routes;
  routes.page(
    '/',
    [
      'run.executions.list',
      'eventarc.triggers.list',
      'tappet.events.list',
      'tappet.events.get',
      'tappet.status.get',
    ],
    (c) => overviewPage(c, deps),
    (c) => enter(c, deps),
  );
  routes.page(
    '/executions/:name{[^/:]+}',
    ['run.executions.get', 'run.tasks.list', 'run.tasks.get', 'logging.logEntries.list', 'tappet.events.get'],
    (c) => executionPage(c, deps),
  );
  routes.page(
    '/executions/:name{[^/:]+}/tasks/:index/attempts/:attempt/log',
    ['logging.logEntries.list', 'run.tasks.get'],
    (c) => logPage(c, deps),
  );
  routes.page('/events/:uid', ['tappet.events.get'], (c) => eventPage(c, deps));
}
