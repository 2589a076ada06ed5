import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { copyCheckout } from '../../support/checkout-copy.ts';

/** For each step a mistake that it alone is there for: the file, its text, and what the step then says. */
const PLANTED: Record<string, readonly [file: string, text: string, said: string]> = {
  types: ['test/planted-type.ts', "export const planted: number = 'text';\n", 'test/planted-type.ts'],
  tests: [
    'test/planted.test.ts',
    "import { expect, it } from 'vitest';\n\nit('is planted', () => expect(1).toBe(2));\n",
    'is planted',
  ],
  // Only a linter that knows types sees it.
  lint: [
    'test/planted-lint.ts',
    'async function planted(): Promise<void> {}\n\nplanted();\n',
    'no-floating-promises',
  ],
  format: ['docs/planted.json', '{"planted":true}\n', 'docs/planted.json'],
  imports: ['src/lib/planted-import.ts', "import '../core/job.ts';\n", 'planted-import.ts'],
  unused: ['src/lib/planted-unused.ts', 'export const planted = 1;\n', 'planted-unused.ts'],
};

/** A page or file that is generated, with a change by hand. */
const CHANGED: Record<string, readonly [file: string, from: string, to: string, said: string]> = {
  schema: ['config.schema.json', '{', '{\n  "planted": true,', 'npm run schema'],
  graph: ['docs/architecture.md', 'flowchart TD', 'flowchart TD\n  planted["planted"]', 'npm run graph'],
};

// The other tests are left out: they would run too, and say nothing about this.
it('npm run check sees a planted mistake in each of its steps, and fails', { timeout: 600_000 }, () => {
  const { dir, remove } = copyCheckout(['test']);
  onTestFinished(remove);
  for (const [file, text] of Object.values(PLANTED)) {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    writeFileSync(join(dir, file), text);
  }
  for (const [file, from, to] of Object.values(CHANGED)) {
    const text = readFileSync(join(dir, file), 'utf8');
    writeFileSync(join(dir, file), text.replace(from, to));
  }
  const { status, stdout } = spawnSync('npm', ['run', '--silent', 'check'], { cwd: dir, encoding: 'utf8' });
  const said = stdout.split(/^(?=ok {3}|FAIL )/m).map((part) => [part.split(/\s+/)[1] ?? '', part] as const);
  const steps = Object.fromEntries(said);
  const wanted = { ...PLANTED, ...CHANGED };
  expect(Object.keys(steps).toSorted()).toEqual(Object.keys(wanted).toSorted());
  for (const [name, part] of said) {
    expect(part, name).toMatch(/^FAIL/);
    expect(part, name).toContain(wanted[name]?.at(-1));
  }
  expect(stdout).toMatch(/^check: failed: .* in \d+\.\d s/m);
  expect(status).toBe(1);
});
