import type { Task } from '../../core/execution.ts';
import type { HttpStore } from '../deps.ts';
import { pageFields, parseQuery, readPage } from '../params.ts';
import type { AppContext, Routes } from '../permissions.ts';
import { notFound } from '../problem.ts';
import { attemptResource, taskDetailResource, taskResource } from '../resources.ts';

export function taskRoutes(routes: Routes): void {
  const { store } = routes.deps;
  routes.route('GET', '/api/v1/executions/:name{[^/:]+}/tasks', 'run.tasks.list', async (c) => {
    const query = parseQuery(c, pageFields);
    const name = c.req.param('name') ?? '';
    if ((await store.getExecution(name)) === undefined) throw notFound('execution', name);
    const { items, nextPageToken } = await readPage(query, (page) => store.listTasks(name, page));
    return c.json({ tasks: items.map(taskResource), nextPageToken });
  });
  routes.route('GET', '/api/v1/executions/:name{[^/:]+}/tasks/:index', 'run.tasks.get', async (c) => {
    parseQuery(c, {});
    const task = await findTask(c, store);
    return c.json(taskDetailResource(task, await store.listAttempts(task.execution, task.index)));
  });
  routes.route(
    'GET',
    '/api/v1/executions/:name{[^/:]+}/tasks/:index/attempts',
    'run.tasks.get',
    async (c) => {
      parseQuery(c, {});
      const task = await findTask(c, store);
      const attempts = await store.listAttempts(task.execution, task.index);
      return c.json({ attempts: attempts.map(attemptResource), nextPageToken: '' });
    },
  );
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
