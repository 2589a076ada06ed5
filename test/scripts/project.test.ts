import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import config from '../../vitest.config.ts';

const root = new URL('../../', import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), 'utf8');
interface Package {
  readonly type: string;
  readonly license: string;
  readonly version: string;
  readonly files: readonly string[];
  readonly bin: Readonly<Record<string, string>>;
}
const own = JSON.parse(read('package.json')) as Package;

it('the package is ESM, and what it ships and starts with comes from the sources', () => {
  expect(own.type).toBe('module');
  const source = (path: string): string => path.replace(/^(\.\/)?dist\//, '').replace(/\.js$/, '.ts');
  // A fresh clone has no dist/: its sources count.
  const shipped = own.files.filter((path) => path !== 'dist');
  const missing = [...shipped, ...Object.values(own.bin)].filter(
    (path) => !existsSync(new URL(source(path), root)),
  );
  expect(missing).toEqual([]);
  expect(read('src/cli.ts')).toMatch(/^#!\/usr\/bin\/env node\n/);
});

it('TypeScript is strict, and imports name the files that are there', () => {
  const { extends: bases, compilerOptions } = JSON.parse(read('tsconfig.json')) as {
    extends: string[];
    compilerOptions: Record<string, unknown>;
  };
  expect(bases).toContain('@tsconfig/strictest/tsconfig.json');
  expect(compilerOptions).toMatchObject({ module: 'NodeNext', erasableSyntaxOnly: true });
  // None of what `strictest` switches on is switched off again.
  const off = Object.entries(compilerOptions).filter(
    ([name, value]) => value === false && /^(strict|no|exact|allowUn)/.test(name),
  );
  expect(off).toEqual([]);
});

it('there are the projects unit, contract, crash, slow, sim, integration and e2e, and no test is tried twice', () => {
  const { test } = config as { test: { retry: number; projects: { test: { name: string } }[] } };
  expect(test.projects.map((project) => project.test.name)).toEqual([
    'unit',
    'contract',
    'crash',
    'slow',
    'sim',
    'integration',
    'e2e',
  ]);
  expect(test.retry).toBe(0);
});

it('LICENSE is the licence that package.json names, whole', () => {
  expect(own.license).toBe('Apache-2.0');
  const text = read('LICENSE');
  expect(text).toMatch(/^\s*Apache License\n\s*Version 2\.0, January 2004/);
  expect(text).toContain('9. Accepting Warranty or Additional Liability.');
  expect(text).toContain('END OF TERMS AND CONDITIONS');
});

it('CHANGELOG has entries for what is not released yet, or for this version', () => {
  const parts = read('CHANGELOG.md').split(/^## /m).slice(1);
  const current = parts.find(
    (part) => part.startsWith('[Unreleased]') || part.startsWith(`[${own.version}]`),
  );
  expect(current?.match(/^- \S/gm)?.length ?? 0).toBeGreaterThan(0);
});
