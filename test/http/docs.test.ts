import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { ERROR_CODES } from '../../src/core/errors.ts';
import { PROBLEMS } from '../../src/http/problem.ts';
import { problemResponse as hookProblem, reject } from '../../triggers/webhook/problem.ts';
import { createTestApp } from '../support/http-fakes.ts';

const doc = (name: string): Promise<string> =>
  readFile(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

test('docs/errors.md has a row for every code, with its status, and no other', async () => {
  const rows = [
    ...(await doc('errors.md')).matchAll(/^\| `([A-Z_]+)` \| (\d{3})(?:; [^|]+)? \| (.+) \| (.+) \|$/gm),
  ];
  expect(rows.map(([, code, status]) => [code, Number(status)])).toEqual(
    ERROR_CODES.map((code) => [code, PROBLEMS[code].status]),
  );
});

test('docs/errors.md tells the other statuses that a hook gives a code', async () => {
  const page = await doc('errors.md');
  for (const status of [400, 401, 405, 413, 415, 422, 429, 500, 503] as const) {
    const { code } = (await hookProblem(reject(status, '')).json()) as { code: string };
    const [, statuses = ''] = new RegExp(`^\\| \`${code}\` \\| ([^|]+) \\|`, 'm').exec(page) ?? [];
    expect(statuses, code).toContain(String(status));
  }
});

test('docs/api.md has a row for every route, with its permission, and no other', async () => {
  const rows = [
    ...(await doc('api.md')).matchAll(/^\| (?:`(GET|POST|DELETE) (\S+)`|any `(\S+)`) \| ([^|]+) \|/gm),
  ];
  const documented = rows.map(([, method, path, any, access]) => {
    const named = [...(access ?? '').matchAll(/`([\w.]+)`/g)].map(([, permission = '']) => permission);
    // Of a page all are named; of the API the first one is what the route asks for.
    const page = access?.startsWith('by cookie: ') === true;
    const permission = page ? `page ${named.join(' ')}` : (named[0] ?? (access ?? '').trim());
    return `${method ?? 'ALL'} ${path ?? any} ${any === undefined ? permission : 'source'}`;
  });
  const declared = createTestApp().app.routes.map(({ method, path, access, page }) => {
    const shown = path.replace(/:(\w+)\{\[\^\/:?\]\+((?::\w+)?)\}/, '{$1}$2').replace(/\/:(\w+)/g, '/{$1}');
    return `${method} ${shown} ${page === undefined ? access : `page ${page.join(' ')}`}`;
  });
  expect(documented.sort()).toEqual(declared.sort());
});
