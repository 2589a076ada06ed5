import { z } from 'zod';
import { limitsOf } from '../../core/config.ts';
import { isTappetError, TappetError } from '../../core/errors.ts';
import type { NewExecution } from '../../core/execution.ts';
import type { Overrides } from '../../core/job.ts';
import type { Principal } from '../../core/auth.ts';
import { isOfJob } from '../../routing/plan-execution.ts';
import { readJson } from '../body.ts';
import type { HttpDeps } from '../deps.ts';
import { duration, pageFields, parse, parseQuery } from '../params.ts';
import { requirePermission } from '../permissions.ts';
import type { AppContext, Routes } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { executionResource, jobResource, plannedResource } from '../resources.ts';
import { definitionRow, pageByName } from './definitions.ts';
import { strictObject } from '../../lib/strict-object.ts';

const OVERRIDES = strictObject({
  env: z.record(z.string(), z.string()).optional(),
  args: z.array(z.string()).optional(),
  taskCount: z.int().min(1).optional(),
  timeout: duration.optional(),
});
const RUN_BODY = strictObject({ overrides: OVERRIDES.optional(), validateOnly: z.boolean().optional() });

export function jobRoutes(routes: Routes): void {
  const { deps } = routes;
  routes.route('GET', '/api/v1/jobs', 'run.jobs.list', (c) => {
    const { items, nextPageToken } = pageByName(deps.config().jobs, parseQuery(c, pageFields));
    const jobs = items.map((job) => jobResource(job, definitionRow(deps, 'job', job.name)));
    return c.json({ jobs, nextPageToken });
  });
  routes.route('GET', '/api/v1/jobs/:name{[^/:]+}', 'run.jobs.get', (c) => {
    parseQuery(c, {});
    const job = findJob(deps, c.req.param('name') ?? '');
    return c.json(jobResource(job, definitionRow(deps, 'job', job.name)));
  });
  routes.route('POST', '/api/v1/jobs/:name{[^/]+:run}', 'run.jobs.run', (c, principal) =>
    runJob(c, deps, principal),
  );
}

function findJob(deps: HttpDeps, name: string) {
  const job = deps.config().jobs.get(name);
  if (job === undefined) throw notFound('job', name);
  return job;
}

async function runJob(c: AppContext, deps: HttpDeps, principal: Principal): Promise<Response> {
  parseQuery(c, {});
  const body = parse(RUN_BODY, (await readJson(c.req.raw, deps.config().server.maxBodyBytes)) ?? {});
  const overrides = overridesOf(body.overrides);
  if (Object.keys(overrides).length > 0) requirePermission(principal, 'run.jobs.runWithOverrides');
  const planned = plan(deps, (c.req.param('name') ?? '').slice(0, -':run'.length), overrides, principal);
  if (body.validateOnly === true) return c.json(plannedResource(planned, deps.clock.now()));
  const execution = await deps.store.createExecution(planned);
  deps.onWork();
  return c.json(executionResource(execution, deps.admission()));
}

function overridesOf(body: z.output<typeof OVERRIDES> | undefined): Overrides {
  const { env, args, taskCount, timeout } = body ?? {};
  return {
    ...(env === undefined ? {} : { env }),
    ...(args === undefined ? {} : { args }),
    ...(taskCount === undefined ? {} : { taskCount }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
  };
}

function plan(deps: HttpDeps, name: string, overrides: Overrides, principal: Principal): NewExecution {
  const job = findJob(deps, name);
  const { generation } = definitionRow(deps, 'job', name);
  const cause = { kind: 'api', principal: principal.name } as const;
  try {
    return deps.planExecution({
      job,
      generation,
      overrides,
      cause,
      ids: deps.ids,
      limits: limitsOf(deps.config().server),
    });
  } catch (error) {
    // The planner knows the overrides, not where they stood in the body.
    if (!isTappetError(error, 'INVALID_ARGUMENT') || error.fields.path === undefined) throw error;
    if (isOfJob(error.fields.path)) throw error;
    const fields = { ...error.fields, path: `overrides.${error.fields.path}` };
    throw new TappetError(error.code, error.message, fields, error);
  }
}
