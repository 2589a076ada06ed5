import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { copyCheckout } from '../../support/checkout-copy.ts';

/** Mistakes of which only one step knows: the step, the file, its text, and what the step then says. */
const PLANTED: readonly (readonly [step: string, file: string, text: string, said: string])[] = [
  [
    'tests',
    'test/planted.test.ts',
    "import { expect, it } from 'vitest';\n\nit('is planted', () => expect(1).toBe(2));\n",
    'is planted',
  ],
  ['lint', 'test/planted-type.ts', "export const planted: number = 'text';\n", 'planted-type.ts:1:14: Type'],
  // In JavaScript that asks for it.
  [
    'lint',
    'scripts/lib/planted-type.mjs',
    "// @ts-check\n/** @type {number} */\nexport const planted = 'text';\n",
    'planted-type.mjs:3:14: Type',
  ],
  // Only a linter that knows types sees it.
  [
    'lint',
    'test/planted-lint.ts',
    'async function planted(): Promise<void> {}\n\nplanted();\n',
    'no-floating-promises',
  ],
  ['format', 'docs/planted.json', '{"planted":true}\n', 'docs/planted.json'],
  ['format', 'test/planted-format.ts', 'export  const planted = 1;\n', 'test/planted-format.ts'],
  [
    'imports',
    'src/lib/planted-import.ts',
    "import '../core/job.ts';\n",
    'room-src-lib: src/lib/planted-import.ts',
  ],
  ['unused', 'src/lib/planted-unused.ts', 'export const planted = 1;\n', 'planted-unused.ts'],
];

/** A page or file that is generated, with a change by hand. */
const CHANGED: readonly (readonly [step: string, file: string, from: string, to: string, said: string])[] = [
  ['schema', 'config.schema.json', '{', '{\n  "planted": true,', 'npm run schema'],
  ['imports', 'docs/architecture.md', 'flowchart TD', 'flowchart TD\n  planted["planted"]', 'npm run graph'],
];

// The other tests are left out: they would run too, and say nothing about this.
it('npm run check sees a planted mistake in each of its steps, and fails', { timeout: 600_000 }, () => {
  const { dir, remove } = copyCheckout(['test']);
  onTestFinished(remove);
  for (const [, file, text] of PLANTED) {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    writeFileSync(join(dir, file), text);
  }
  for (const [, file, from, to] of CHANGED) {
    const text = readFileSync(join(dir, file), 'utf8');
    writeFileSync(join(dir, file), text.replace(from, to));
  }
  const { status, stdout } = spawnSync('npm', ['run', '--silent', 'check'], { cwd: dir, encoding: 'utf8' });
  const said = stdout.split(/^(?=ok {3}|FAIL )/m).map((part) => [part.split(/\s+/)[1] ?? '', part] as const);
  const steps = Object.fromEntries(said);
  const wanted = [...PLANTED, ...CHANGED];
  expect(Object.keys(steps).toSorted()).toEqual([...new Set(wanted.map(([step]) => step))].toSorted());
  for (const [step, file, ...rest] of wanted) {
    expect(steps[step], file).toMatch(/^FAIL/);
    expect(steps[step], file).toContain(rest.at(-1));
  }
  expect(stdout).toMatch(/^check: failed: .* in \d+\.\d s/m);
  expect(status).toBe(1);
});

// The step lint checks types with the compiler that it brings along; what an editor shows comes from this one.
it('the TypeScript of package.json finds no mistake either', { timeout: 300_000 }, () => {
  const root = join(import.meta.dirname, '../../..');
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync(process.execPath, [tsc, '--noEmit'], { cwd: root, encoding: 'utf8' });
  expect(stdout).toBe('');
  expect(status).toBe(0);
});
