import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
/** Escapes of a string in the source, and quotes that Markdown cannot hold, do not matter. */
const plain = (text: string): string => text.replace(/\\(.)/g, '$1').replace(/\s+/g, ' ');

/** Every test file that a row of docs/features.md names, with the names of tests that follow it. */
function mentions(): { readonly file: string; readonly names: string[] }[] {
  const rows = read('docs/features.md')
    .split('\n')
    .filter((line) => line.startsWith('| '));
  return rows.flatMap((row) => {
    const parts = row.split(/`(test\/[^`\s*]+)[^`\s]*`/);
    return parts.flatMap((file, i) =>
      i % 2 === 0
        ? []
        : [{ file, names: [...(parts[i + 1] ?? '').matchAll(/“([^”]+)”/g)].map(([, name = '']) => name) }],
    );
  });
}

test('docs/features.md names only tests that exist', () => {
  const found = mentions();
  expect(found.length).toBeGreaterThan(50);
  const missing = found.flatMap(({ file, names }) => {
    if (!existsSync(new URL(file, root))) return [`${file} is not there`];
    if (names.length === 0) return [];
    const text = plain(read(file));
    return names.filter((name) => !text.includes(plain(name))).map((name) => `${file} has no test “${name}”`);
  });
  expect(missing).toEqual([]);
});

test('links in README.md and docs/ lead somewhere', () => {
  const pages = [
    'README.md',
    ...readdirSync(new URL('docs', root))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  ];
  const links = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => ({ page, target })),
  );
  const relative = links.filter(({ target }) => !/^([a-z]+:|#)/.test(target));
  expect(relative.length).toBeGreaterThan(0);
  const broken = relative.filter(
    ({ page, target }) => !existsSync(new URL(target.replace(/#.*$/, ''), new URL(page, root))),
  );
  expect(broken).toEqual([]);
});
