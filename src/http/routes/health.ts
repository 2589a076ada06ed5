import type { Routes } from '../permissions.ts';

/** `/livez`: the process answers. `/readyz`: it can do its work. No details: these are open to anyone. */
export function healthRoutes(routes: Routes): void {
  routes.open('GET', '/livez', () => plain('ok', 200));
  routes.open('GET', '/readyz', () => (routes.deps.ready() ? plain('ok', 200) : plain('not ok', 503)));
}

function plain(text: string, status: number): Response {
  const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' };
  return new Response(`${text}\n`, { status, headers });
}
