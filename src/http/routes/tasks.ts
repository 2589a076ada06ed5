import type { Execution, Task } from '../../core/execution.ts';
import { taskWaitText } from '../../executor/waiting.ts';
import type { HttpDeps, HttpStore } from '../deps.ts';
import { pageFields, parseQuery, readPage } from '../params.ts';
import type { AppContext, Routes } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { attemptResource, taskDetailResource, taskResource } from '../resources.ts';

export function taskRoutes(routes: Routes): void {
  const { deps } = routes;
  const { store } = deps;
  routes.route('GET', '/api/v1/executions/:name{[^/:]+}/tasks', 'run.tasks.list', async (c) => {
    const query = parseQuery(c, pageFields);
    const name = c.req.param('name') ?? '';
    const execution = await store.getExecution(name);
    if (execution === undefined) throw notFound('execution', name);
    const { items, nextPageToken } = await readPage(query, (page) => store.listTasks(name, page));
    const waits = waitsOf(deps, execution);
    return c.json({ tasks: items.map((task) => taskResource(task, waits(task))), nextPageToken });
  });
  routes.route('GET', '/api/v1/executions/:name{[^/:]+}/tasks/:index', 'run.tasks.get', async (c) => {
    parseQuery(c, {});
    const task = await findTask(c, store);
    const attempts = await store.listAttempts(task.execution, task.index);
    const execution = await store.getExecution(task.execution);
    const waitsFor = execution === undefined ? null : waitsOf(deps, execution)(task);
    return c.json(taskDetailResource(task, attempts, waitsFor));
  });
  routes.route(
    'GET',
    '/api/v1/executions/:name{[^/:]+}/tasks/:index/attempts',
    'run.tasks.get',
    async (c) => {
      parseQuery(c, {});
      const task = await findTask(c, store);
      const attempts = await store.listAttempts(task.execution, task.index);
      const execution = await store.getExecution(task.execution);
      // Deleted since it was found.
      if (execution === undefined) throw notFound('execution', task.execution);
      const shown = attempts.map((attempt) => attemptResource(attempt, execution.spec));
      return c.json({ attempts: shown, nextPageToken: '' });
    },
  );
}

/** What each task of the execution waits for. */
export function waitsOf(deps: HttpDeps, execution: Execution): (task: Task) => string | null {
  const view = deps.admission();
  const now = deps.clock.now();
  return (task) => taskWaitText(task, execution, view, now);
}

/** The task that the path names. Errors: NOT_FOUND. */
export async function findTask(c: AppContext, store: HttpStore): Promise<Task> {
  const name = c.req.param('name') ?? '';
  const index = c.req.param('index') ?? '';
  const execution = await store.getExecution(name);
  if (execution === undefined) throw notFound('execution', name);
  const task = /^(0|[1-9]\d{0,8})$/.test(index) ? await store.getTask(name, Number(index)) : undefined;
  if (task !== undefined) return task;
  throw notFound(`task of execution "${name}" with index`, index);
}
