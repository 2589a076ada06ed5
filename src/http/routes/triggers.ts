import { z } from 'zod';
import type { TriggerResource } from '../../core/api.ts';
import type { TriggerDefinition } from '../../core/config.ts';
import { TappetError } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import type { Principal } from '../../core/auth.ts';
import { readJson } from '../body.ts';
import type { HttpDeps } from '../deps.ts';
import { instant, pageFields, parse, parseQuery, wholeNumber } from '../params.ts';
import type { AppContext, Routes } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { fireResource, triggerResource } from '../resources.ts';
import { definitionRow, pageByName } from './definitions.ts';
import { strictObject } from '../../lib/strict-object.ts';

const DEFAULT_NEXT = 5;
const MAX_NEXT = 1000;
const MAX_KEY = 255;

/** JSON that was parsed from text is JSON; walking it again would only cost time. */
const ANY_JSON = z.custom<Json>(() => true);
const FIRE_BODY = strictObject({ data: ANY_JSON.optional() });

export function triggerRoutes(routes: Routes): void {
  const { deps } = routes;
  const resourceOf = (trigger: TriggerDefinition): TriggerResource =>
    triggerResource(trigger, definitionRow(deps, 'trigger', trigger.name), deps.triggerStatus(trigger));
  routes.route('GET', '/api/v1/triggers', 'eventarc.triggers.list', (c) => {
    const { items, nextPageToken } = pageByName(deps.config().triggers, parseQuery(c, pageFields));
    return c.json({ triggers: items.map(resourceOf), nextPageToken });
  });
  routes.route('GET', '/api/v1/triggers/:name{[^/:]+}', 'eventarc.triggers.get', (c) => {
    parseQuery(c, {});
    return c.json(resourceOf(findTrigger(deps, c.req.param('name') ?? '')));
  });
  routes.route('GET', '/api/v1/triggers/:name{[^/:]+}/next', 'eventarc.triggers.get', (c) => {
    const query = parseQuery(c, { count: wholeNumber(1, MAX_NEXT).optional(), from: instant.optional() });
    const { name } = findTrigger(deps, c.req.param('name') ?? '');
    const times = deps.preview(name, query.from ?? deps.clock.now(), query.count ?? DEFAULT_NEXT);
    return c.json({ times: times.map((time) => new Date(time).toISOString()) });
  });
  routes.route('POST', '/api/v1/triggers/:name{[^/]+:fire}', 'tappet.triggers.fire', (c, principal) =>
    fire(c, deps, principal),
  );
}

function findTrigger(deps: HttpDeps, name: string) {
  const trigger = deps.config().triggers.get(name);
  if (trigger === undefined) throw notFound('trigger', name);
  return trigger;
}

async function fire(c: AppContext, deps: HttpDeps, principal: Principal): Promise<Response> {
  parseQuery(c, {});
  const { data } = parse(FIRE_BODY, (await readJson(c.req.raw, deps.config().server.maxBodyBytes)) ?? {});
  const { name } = findTrigger(deps, (c.req.param('name') ?? '').slice(0, -':fire'.length));
  const idempotencyKey = idempotencyKeyOf(c.req.raw.headers);
  return c.json(fireResource(await deps.fire(name, { data, idempotencyKey, principal })));
}

function idempotencyKeyOf(headers: Headers): string | undefined {
  const key = headers.get('idempotency-key');
  if (key === null) return undefined;
  if (key !== '' && key.length <= MAX_KEY) return key;
  const message = `Idempotency-Key must have 1 to ${MAX_KEY} characters.`;
  throw new TappetError('INVALID_ARGUMENT', message, { path: 'Idempotency-Key' });
}
