import { z } from 'zod';
import { TappetError } from '../../core/errors.ts';
import type { ExecutionFilter } from '../../core/store.ts';
import { readJson } from '../body.ts';
import { pageFields, parse, parseQuery, readPage } from '../params.ts';
import type { Routes } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { executionResource } from '../resources.ts';
import { strictObject } from '../../lib/strict-object.ts';

const FILTERS = {
  ...pageFields,
  job: z.string().optional(),
  state: z.enum(['PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED']).optional(),
  trigger: z.string().optional(),
  event: z.string().optional(),
};
const EMPTY_BODY = strictObject({});

export function executionRoutes(routes: Routes): void {
  const { deps } = routes;
  const { store } = deps;
  routes.route('GET', '/api/v1/executions', 'run.executions.list', async (c) => {
    const query = parseQuery(c, FILTERS);
    const filter = filterOf(query);
    const { items, nextPageToken } = await readPage(query, (page) => store.listExecutions(filter, page));
    return c.json({ executions: items.map(executionResource), nextPageToken });
  });
  routes.route('GET', '/api/v1/executions/:name{[^/:]+}', 'run.executions.get', async (c) => {
    parseQuery(c, {});
    const name = c.req.param('name') ?? '';
    const execution = await store.getExecution(name);
    if (execution === undefined) throw notFound('execution', name);
    return c.json(executionResource(execution));
  });
  routes.route(
    'POST',
    '/api/v1/executions/:name{[^/]+:cancel}',
    'run.executions.cancel',
    async (c, principal) => {
      parseQuery(c, {});
      parse(EMPTY_BODY, (await readJson(c.req.raw, deps.config().server.maxBodyBytes)) ?? {});
      const name = (c.req.param('name') ?? '').slice(0, -':cancel'.length);
      const result = await store.cancelExecution(name, principal.name);
      if (result === undefined) throw notFound('execution', name);
      if (result.changed) deps.onStop();
      return c.json(executionResource(result.execution));
    },
  );
  routes.route('DELETE', '/api/v1/executions/:name{[^/:]+}', 'run.executions.delete', async (c) => {
    parseQuery(c, {});
    const name = c.req.param('name') ?? '';
    const outcome = await store.deleteExecution(name);
    if (outcome === undefined) throw notFound('execution', name);
    if (outcome === 'running') throw stillRunning(name);
    return c.json({});
  });
}

function stillRunning(name: string): TappetError {
  return new TappetError('CONFLICT', `The execution "${name}" has not ended yet.`, {
    fix: 'Cancel it first, then delete it when it has ended.',
  });
}

function filterOf(query: {
  readonly [K in keyof ExecutionFilter]?: ExecutionFilter[K] | undefined;
}): ExecutionFilter {
  const { job, state, trigger, event } = query;
  return {
    ...(job === undefined ? {} : { job }),
    ...(state === undefined ? {} : { state }),
    ...(trigger === undefined ? {} : { trigger }),
    ...(event === undefined ? {} : { event }),
  };
}
