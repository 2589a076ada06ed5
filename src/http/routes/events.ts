import { z } from 'zod';
import type { Decision } from '../../core/decision.ts';
import type { HttpStore } from '../deps.ts';
import { pageFields, parseQuery, readPage } from '../params.ts';
import type { Routes } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { eventDetailResource, eventResource } from '../resources.ts';

const FILTERS = {
  ...pageFields,
  origin: z.string().optional(),
  trigger: z.string().optional(),
  type: z.string().optional(),
};

export function eventRoutes(routes: Routes): void {
  const { store } = routes.deps;
  routes.route('GET', '/api/v1/events', 'tappet.events.list', async (c) => {
    const query = parseQuery(c, FILTERS);
    const { origin, trigger, type } = query;
    const filter = {
      ...(origin === undefined ? {} : { origin }),
      ...(trigger === undefined ? {} : { trigger }),
      ...(type === undefined ? {} : { type }),
    };
    const { items, nextPageToken } = await readPage(query, (page) => store.listEvents(filter, page));
    return c.json({ events: items.map(eventResource), nextPageToken });
  });
  routes.route('GET', '/api/v1/events/:uid', 'tappet.events.get', async (c) => {
    parseQuery(c, {});
    const uid = c.req.param('uid') ?? '';
    const event = await store.getEvent(uid);
    if (event === undefined) throw notFound('event', uid);
    return c.json(eventDetailResource(event, await allDecisions(store, uid)));
  });
}

async function allDecisions(store: HttpStore, event: string): Promise<Decision[]> {
  const decisions: Decision[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<HttpStore['listDecisions']>> = await store.listDecisions(
      { event },
      cursor === null ? { size: 1000 } : { size: 1000, cursor },
    );
    decisions.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null);
  return decisions;
}
