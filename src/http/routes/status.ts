import type { Routes } from '../permissions.ts';

export function statusRoutes(routes: Routes): void {
  routes.route('GET', '/api/v1/status', 'tappet.status.get', async (c) => c.json(await routes.deps.status()));
}
