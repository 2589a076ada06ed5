import { z } from 'zod';
import { TappetError } from '../../core/errors.ts';
import type { ExecutionFilter } from '../../core/store.ts';
import type { Principal } from '../../core/auth.ts';
import { executionName } from '../../routing/plan-execution.ts';
import { readJson } from '../body.ts';
import type { HttpDeps } from '../deps.ts';
import { pageFields, parse, parseQuery, readPage } from '../params.ts';
import type { AppContext, Routes } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { executionResource } from '../resources.ts';
import { notificationsOf } from './notifications.ts';
import { strictObject } from '../../lib/strict-object.ts';
import { imageRefused, isAllowedImage } from '../../lib/image-pattern.ts';

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
    const view = deps.admission();
    return c.json({ executions: items.map((one) => executionResource(one, view)), nextPageToken });
  });
  routes.route('GET', '/api/v1/executions/:name{[^/:]+}', 'run.executions.get', async (c) => {
    parseQuery(c, {});
    const name = c.req.param('name') ?? '';
    const execution = await store.getExecution(name);
    if (execution === undefined) throw notFound('execution', name);
    const resource = executionResource(execution, deps.admission());
    // Where nobody is told of it, there is nothing to look for.
    const told = execution.spec.notify !== undefined;
    return c.json(told ? { ...resource, notifications: await notificationsOf(store, name) } : resource);
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
      return c.json(executionResource(result.execution, deps.admission()));
    },
  );
  routes.route('POST', '/api/v1/executions/:name{[^/]+:rerun}', 'run.jobs.run', (c, principal) =>
    rerun(c, deps, principal),
  );
  routes.route('DELETE', '/api/v1/executions/:name{[^/:]+}', 'run.executions.delete', async (c) => {
    parseQuery(c, {});
    const name = c.req.param('name') ?? '';
    const outcome = await store.deleteExecution(name);
    if (outcome === undefined) throw notFound('execution', name);
    if (outcome === 'running') throw stillRunning(name, 'Cancel it first, then delete it when it has ended.');
    return c.json({});
  });
}

/** Runs again what did not succeed in an execution that has ended. */
async function rerun(c: AppContext, deps: HttpDeps, principal: Principal): Promise<Response> {
  const { store, ids } = deps;
  parseQuery(c, {});
  parse(EMPTY_BODY, (await readJson(c.req.raw, deps.config().server.maxBodyBytes)) ?? {});
  const of = (c.req.param('name') ?? '').slice(0, -':rerun'.length);
  const old = await store.getExecution(of);
  if (old === undefined) throw notFound('execution', of);
  refuseImage(of, old.spec.image, deps);
  const name = executionName(old.job, ids);
  const result = await store.rerunExecution({ of, uid: ids.uid(), name, by: principal.name });
  if (result === undefined) throw notFound('execution', of);
  if (result.outcome === 'running') {
    throw stillRunning(of, 'Wait for its end, or cancel it; then run again what did not succeed.');
  }
  if (result.outcome === 'nothing') throw nothingToRun(of, old.job);
  deps.onWork();
  return c.json(executionResource(result.execution, deps.admission()));
}

function stillRunning(name: string, fix: string): TappetError {
  return new TappetError('CONFLICT', `The execution "${name}" has not ended yet.`, { fix });
}

/** What is frozen in an old execution is judged by the settings of now, as every run is. */
function refuseImage(name: string, image: string, deps: HttpDeps): void {
  const { allowedImages } = deps.config().server;
  if (allowedImages === null || isAllowedImage(image, allowedImages)) return;
  const message = `The image of "${name}" may not run any more: ${imageRefused(image, allowedImages)}.`;
  throw new TappetError('CONFLICT', message, {
    fix: 'Have the setting allow it, or run a job with another image.',
  });
}

function nothingToRun(name: string, job: string): TappetError {
  const message = `Every task of "${name}" has succeeded: there is nothing to run again.`;
  return new TappetError('CONFLICT', message, { fix: `To run all of it again: tappet jobs run ${job}` });
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
